"""What products that run Raft state about their settings; see `sim.protocols.products`.

HashiCorp's library sends a heartbeat after a random time between one and two tenths of the heartbeat timeout; the
shortest one stands here.
"""

from __future__ import annotations

from sim.protocols.products import FromPage, Product

__all__ = ["PRODUCTS"]

_ETCD = "https://etcd.io/docs/v3.6/op-guide/configuration/"
_ETCD_SOURCE = "https://github.com/etcd-io/etcd/blob/main/server/etcdserver/"
_CONSUL = "https://developer.hashicorp.com/consul/docs/reference/architecture/server"
_HASHICORP = "https://github.com/hashicorp/raft/blob/main/"
_COCKROACH = "https://github.com/cockroachdb/cockroach/blob/master/pkg/base/config.go"
_COCKROACH_DOCS = "https://www.cockroachlabs.com/docs/stable/"
_TIKV = "https://docs.pingcap.com/tidb/stable/tikv-configuration-file"
_KAFKA = "https://github.com/apache/kafka/blob/trunk/raft/src/main/java/org/apache/kafka/raft/"
_MONGODB = "https://www.mongodb.com/docs/manual/"
_MONGODB_SOURCE = "https://github.com/mongodb/mongo/blob/master/src/mongo/db/repl/"

_HASHICORP_LIMITS = (
    "An AppendEntries has at most MaxAppendEntries = 64 entries; in the model its length is not limited.",
    (
        "The leader steps down after LeaderLeaseTimeout without a quorum, half a heartbeat timeout; in the model after "
        "a whole one."
    ),
)

PRODUCTS = (
    Product(
        "etcd",
        "etcd 3.6",
        {
            "heartbeat": FromPage(0.1, "--heartbeat-interval 100 (ms)", _ETCD),
            "detection": FromPage(1.0, "--election-timeout 1000 (ms)", _ETCD),
            "pre_vote": FromPage(True, "--pre-vote true", _ETCD),
            "check_quorum": FromPage(True, "CheckQuorum: true", f"{_ETCD_SOURCE}bootstrap.go"),
            "pipeline": FromPage(512, "maxInflightMsgs = 4096 / 8", f"{_ETCD_SOURCE}raft.go"),
            "snapshot_every": FromPage(10_000, "--snapshot-count 10000", _ETCD),
            "reads": FromPage(
                "follower",
                "linearizable by default: the member that is asked requests the read index",
                f"{_ETCD_SOURCE}v3_server.go",
            ),
        },
        (
            "A client is connected to one member, which forwards its writes; the model's clients write to the leader.",
            "A message holds at most 1 MB of entries; in the model its length is not limited.",
            "Watches, leases of keys, and the compaction of old revisions.",
        ),
    ),
    Product(
        "consul",
        "Consul, server defaults (raft_multiplier 5)",
        {
            "heartbeat": FromPage(
                0.5, "a tenth to a fifth of HeartbeatTimeout, 5 x 1000 ms", f"{_HASHICORP}replication.go"
            ),
            "detection": FromPage(5.0, "HeartbeatTimeout 5000 ms", _CONSUL),
            "pre_vote": FromPage(
                True, "pre-vote, activated by default since 1.7.0", f"{_HASHICORP}CHANGELOG.md"
            ),
            "check_quorum": FromPage(
                True, "LeaderLeaseTimeout: the leader steps down", f"{_HASHICORP}config.go"
            ),
            "pipeline": FromPage(2, "DefaultMaxRPCsInFlight = 2", f"{_HASHICORP}net_transport.go"),
            "reads": FromPage(
                "lease",
                "consistency mode default: the leader answers without asking others",
                "https://developer.hashicorp.com/consul/api-docs/features/consistency",
            ),
            "lease": FromPage(2.5, "LeaderLeaseTimeout 2500 ms", _CONSUL),
        },
        (
            (
                "In the mode default an old leader may answer with a stale value for a short time; the model's lease "
                'rules that out. reads="index" is the mode consistent, reads="stale" the mode stale.'
            ),
            *_HASHICORP_LIMITS,
            "Client agents that forward requests, sessions, and the gossip below (`Swim.like`).",
        ),
    ),
    Product(
        "hashicorp-raft",
        "HashiCorp's Raft library, DefaultConfig",
        {
            "heartbeat": FromPage(
                0.1, "a tenth to a fifth of HeartbeatTimeout, 1000 ms", f"{_HASHICORP}replication.go"
            ),
            "detection": FromPage(1.0, "HeartbeatTimeout 1000 ms", f"{_HASHICORP}config.go"),
            "pre_vote": FromPage(
                True, "pre-vote, activated by default since 1.7.0", f"{_HASHICORP}CHANGELOG.md"
            ),
            "check_quorum": FromPage(
                True, "LeaderLeaseTimeout: the leader steps down", f"{_HASHICORP}config.go"
            ),
            "pipeline": FromPage(2, "DefaultMaxRPCsInFlight = 2", f"{_HASHICORP}net_transport.go"),
            "snapshot_every": FromPage(8192, "SnapshotThreshold 8192", f"{_HASHICORP}config.go"),
        },
        (
            *_HASHICORP_LIMITS,
            "Snapshots are taken every 120 to 240 s, if there are enough entries; in the model at once.",
            "The library leaves it to the application how reads are served; the model's reads go through the log.",
        ),
    ),
    Product(
        "cockroachdb",
        "CockroachDB 25.2, one range",
        {
            "nodes": FromPage(3, "num_replicas 3", f"{_COCKROACH_DOCS}configure-replication-zones"),
            "heartbeat": FromPage(1.0, "RAFT_HEARTBEAT_INTERVAL_TICKS 2, of 500 ms", _COCKROACH),
            "detection": FromPage(2.0, "RAFT_ELECTION_TIMEOUT_TICKS 4, of 500 ms", _COCKROACH),
            "timeout_spread": FromPage(
                2.0,
                "the election timeout times a random factor of 1 to 2",
                f"{_COCKROACH_DOCS}architecture/replication-layer",
            ),
            "check_quorum": FromPage(True, "RAFT_ENABLE_CHECKQUORUM true", _COCKROACH),
            "pre_vote": FromPage(True, "CheckQuorum enables PreVote fully", _COCKROACH),
            "pipeline": FromPage(128, "RAFT_MAX_INFLIGHT_MSGS 128", _COCKROACH),
            "reads": FromPage(
                "lease", "the leaseholder serves reads", f"{_COCKROACH_DOCS}architecture/replication-layer"
            ),
        },
        (
            (
                "The lease of a range lasts 6 s and is apart from the leadership of its Raft group; the model's lease "
                "ends with the election timeout."
            ),
            "Store liveness: a leader that its stores support is not challenged by an election timeout.",
            "Quiescent ranges, transactions, SQL, and all ranges but one (`ShardedRaft` has several).",
        ),
    ),
    Product(
        "tikv",
        "TiKV 8, one region",
        {
            "heartbeat": FromPage(2.0, "raft-heartbeat-ticks 2, of 1s", _TIKV),
            "detection": FromPage(10.0, "raft-election-timeout-ticks 10, of 1s", _TIKV),
            "timeout_spread": FromPage(
                2.0, "raft-max-election-timeout-ticks 0: twice the election timeout", _TIKV
            ),
            "pre_vote": FromPage(True, "prevote true", _TIKV),
            "check_quorum": FromPage(
                True,
                "check_quorum: true",
                "https://github.com/tikv/tikv/blob/master/components/raftstore/src/store/peer.rs",
            ),
            "pipeline": FromPage(256, "raft-max-inflight-msgs 256", _TIKV),
            "reads": FromPage("lease", "raft-store-max-leader-lease: how long a leader is trusted", _TIKV),
            "lease": FromPage(9.0, "raft-store-max-leader-lease 9s", _TIKV),
        },
        (
            "Hibernating regions send no heartbeats.",
            "The placement driver, which moves regions and leaders; transactions.",
            "All regions but one (`ShardedRaft` has several).",
        ),
    ),
    Product(
        "kafka-kraft",
        "Kafka's controller quorum (KRaft)",
        {
            "heartbeat": FromPage(0.5, "MAX_FETCH_WAIT_MS = 500", f"{_KAFKA}KafkaRaftClient.java"),
            "detection": FromPage(
                2.0, "controller.quorum.fetch.timeout.ms 2000", f"{_KAFKA}QuorumConfig.java"
            ),
            "check_quorum": FromPage(
                True,
                "controller.quorum.fetch.timeout.ms: without fetches of a majority a leader resigns",
                f"{_KAFKA}QuorumConfig.java",
            ),
        },
        (
            (
                "Followers fetch from the leader, and there are no heartbeats; a fetch without news is answered after "
                "500 ms, which stands here as the heartbeat. In the model the leader pushes."
            ),
            "The fetch timeout is not random, only the election timeout (1 to 2 s) is.",
            (
                "The leader collects writes for controller.quorum.append.linger.ms (25 ms) up to a number of bytes; "
                "batch=..., batch_wait=0.025 comes close."
            ),
            "Observers (brokers), and the pre-vote that came with 4.0.",
        ),
    ),
    Product(
        "mongodb",
        "MongoDB, a replica set (protocol version 1), majority writes",
        {
            "heartbeat": FromPage(
                2.0, "heartbeats every two seconds", f"{_MONGODB}core/replica-set-elections/"
            ),
            "detection": FromPage(
                10.0, "settings.electionTimeoutMillis 10000", f"{_MONGODB}reference/replica-configuration/"
            ),
            "timeout_spread": FromPage(
                1.15,
                "replElectionTimeoutOffsetLimitFraction 0.15",
                f"{_MONGODB_SOURCE}repl_server_parameters.idl",
            ),
            "pre_vote": FromPage(
                True, "a candidate runs a dry-run election first", f"{_MONGODB_SOURCE}README.md"
            ),
            "check_quorum": FromPage(
                True,
                "a primary that sees only a minority steps down",
                f"{_MONGODB}core/replica-set-elections/",
            ),
        },
        (
            "Secondaries fetch the oplog, also from each other (chaining); in the model the leader pushes.",
            "Every member sends heartbeats to every other member; in the model only the leader sends them.",
            (
                "Writes wait for a majority, and reads go through the log; weaker read and write concerns are left "
                "out, and so are priorities, catch-up after an election, and arbiters."
            ),
        ),
    ),
)
