"""What products that replicate from a primary state about their settings; see `sim.protocols.products`.

Where reads ask no replica, the model's are ``"lease"``: as cheap, but safe, because the primary answers only while it
holds a lease.
"""

from __future__ import annotations

from sim.protocols.products import FromPage, Product

__all__ = ["PRODUCTS"]

_POSTGRESQL = "https://www.postgresql.org/docs/current/runtime-config-replication.html"
_STANDBY = "https://www.postgresql.org/docs/current/warm-standby.html"
_PATRONI = "https://patroni.readthedocs.io/en/latest/"
_MYSQL = "https://dev.mysql.com/doc/refman/8.4/en/replication-semisync-interface.html"
_REDIS = "https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/"
_REDIS_SOURCE = "https://github.com/redis/redis/blob/unstable/"

_NO_FAILOVER = (
    "The product detects no failure and promotes no replica by itself; the view service of the model does, with "
    "the times of the scenario."
)
_LOCAL_READS = (
    "A primary that was replaced may answer stale reads in the product; the model's lease rules that out."
)

PRODUCTS = (
    Product(
        "postgresql-any-1",
        "PostgreSQL, synchronous_standby_names = 'ANY 1 (...)'",
        {
            "mode": FromPage(
                "semi-sync", "ANY num_sync (...): a commit waits for num_sync standbys", _POSTGRESQL
            ),
            "acks": FromPage(1, "ANY 1 (...)", _POSTGRESQL),
            "reads": FromPage("lease", "read-only transactions wait for no standby", _STANDBY),
        },
        (
            _NO_FAILOVER,
            _LOCAL_READS,
            (
                "A transaction that waits for a standby is already durable on the primary, and visible there after a "
                "restart; in the model a write takes effect when it is acknowledged."
            ),
        ),
    ),
    Product(
        "patroni",
        "Patroni with PostgreSQL, asynchronous",
        {
            "mode": FromPage("async", "asynchronous by default", f"{_PATRONI}replication_modes.html"),
            "heartbeat": FromPage(10.0, "loop_wait 10 (s)", f"{_PATRONI}dynamic_configuration.html"),
            "detection": FromPage(30.0, "ttl 30 (s)", f"{_PATRONI}dynamic_configuration.html"),
        },
        (
            (
                "Patroni's lock is in etcd, Consul or ZooKeeper, which are a view service of one node here "
                "(services=3: three, by Raft)."
            ),
            "maximum_lag_on_failover: Patroni promotes no replica that is too far behind.",
            "A primary that crashed may restart within primary_start_timeout (300 s) before a replica is promoted.",
        ),
    ),
    Product(
        "mysql-semisync",
        "MySQL 8.4, semisynchronous replication",
        {
            "mode": FromPage(
                "semi-sync", "rpl_semi_sync_source_enabled: a commit waits for acknowledgements", _MYSQL
            ),
            "acks": FromPage(1, "rpl_semi_sync_source_wait_for_replica_count 1", _MYSQL),
            "fallback": FromPage(10.0, "rpl_semi_sync_source_timeout 10000 (ms)", _MYSQL),
        },
        (
            _NO_FAILOVER,
            (
                "A read asks no replica in MySQL; in the model the primary confirms it by as many backups as a write "
                'needs (reads="lease" asks none).'
            ),
        ),
    ),
    Product(
        "redis-sentinel",
        "Redis with three Sentinels",
        {
            "mode": FromPage("async", "asynchronous replication: acknowledged writes may be lost", _REDIS),
            "services": FromPage(3, "at least three Sentinel instances", _REDIS),
            "heartbeat": FromPage(1.0, "SENTINEL_PING_PERIOD 1000 (ms)", f"{_REDIS_SOURCE}src/sentinel.c"),
            "detection": FromPage(
                30.0, "down-after-milliseconds, default 30 seconds", f"{_REDIS_SOURCE}sentinel.conf"
            ),
        },
        (
            (
                "A Redis primary that is cut off goes on to accept writes, unless min-replicas-to-write is set; in the "
                "model it stops when its lease ends (fencing=False, unsafe=True: it does not)."
            ),
            (
                "Redis answers before a write is on disk (appendonly no, or everysec): give the machines a disk with "
                "fsync=0 for that."
            ),
            "The Sentinels agree by votes of their own; in the model by Raft.",
        ),
    ),
    Product(
        "kafka-acks-all",
        "Kafka (KRaft), one partition, producers with acks=all",
        {
            "mode": FromPage(
                "sync",
                "acks=all: the leader waits for all in-sync replicas",
                "https://kafka.apache.org/documentation/#producerconfigs_acks",
            ),
            "heartbeat": FromPage(
                2.0,
                "broker.heartbeat.interval.ms 2000",
                "https://kafka.apache.org/documentation/#brokerconfigs_broker.heartbeat.interval.ms",
            ),
            "detection": FromPage(
                9.0,
                "broker.session.timeout.ms 9000",
                "https://kafka.apache.org/documentation/#brokerconfigs_broker.session.timeout.ms",
            ),
        },
        (
            (
                "A replica that lags for replica.lag.time.max.ms leaves the in-sync replicas while its broker is "
                "alive; in the model only a replica that is silent leaves the view."
            ),
            "min.insync.replicas: with too few replicas Kafka refuses writes; the model goes on with one.",
            "Kafka writes to the page cache and does not sync: give the machines a disk with fsync=0 for that.",
            "Followers fetch, in the model the primary pushes; a partition is a log, here a key-value store.",
        ),
    ),
)
