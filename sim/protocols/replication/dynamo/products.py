"""What stores in the manner of Dynamo state about their settings; see `sim.protocols.products`."""

from __future__ import annotations

from sim.protocols.products import FromPage, Product

__all__ = ["PRODUCTS"]

_CASSANDRA = "https://cassandra.apache.org/doc/latest/cassandra/"
_LEVELS = f"{_CASSANDRA}architecture/dynamo.html"
_HINTS = f"{_CASSANDRA}managing/operating/hints.html"
_RIAK = "https://docs.riak.com/riak/kv/2.2.3/developing/"
_RIAK_PROPERTIES = f"{_RIAK}app-guide/replication-properties/"

_CASSANDRA_FIELDS = {
    "versions": FromPage("lww", "last write wins", _LEVELS),
    "stamps": FromPage("client", "a timestamp from the client's clock", _LEVELS),
    "sloppy": FromPage(False, "a hint counts at level ANY only", _LEVELS),
    "handoff": FromPage(True, "hinted_handoff_enabled true", _HINTS),
    "hint_expiry": FromPage(10_800.0, "max_hint_window 3h", _HINTS),
    "detection": FromPage(2.0, "write_request_timeout 2000ms: then the coordinator stores a hint", _HINTS),
    "heartbeat": FromPage(1.0, "gossip every second", _LEVELS),
    "repair": FromPage(
        "blocking", "read_repair BLOCKING", f"{_CASSANDRA}managing/operating/read_repair.html"
    ),
    "grace": FromPage(864_000.0, "gc_grace_seconds 864000", f"{_CASSANDRA}developing/cql/ddl.html"),
    "points": FromPage(16, "num_tokens 16", f"{_CASSANDRA}managing/configuration/cass_yaml_file.html"),
    "sync_every": FromPage(None, "anti-entropy repair is a process that operators run", _HINTS),
}
_CASSANDRA_LEFT_OUT = (
    (
        "The coordinator of a write keeps its hints in Cassandra; here the next nodes on the ring do, so hints need "
        "more nodes than n."
    ),
    "Cassandra's phi accrual detector of gossip; here a node is suspected when it does not answer in time.",
    "Digest reads and speculative retries; partitions of several rows; lightweight transactions.",
)

PRODUCTS = (
    Product(
        "cassandra-quorum",
        "Cassandra 4, reads and writes at QUORUM",
        {
            "n": FromPage(3, "replication factor 3, as in the page's example", _LEVELS),
            "r": FromPage(None, "QUORUM: n/2 + 1", _LEVELS),
            "w": FromPage(None, "QUORUM: n/2 + 1", _LEVELS),
            **_CASSANDRA_FIELDS,
        },
        _CASSANDRA_LEFT_OUT,
    ),
    Product(
        "cassandra-one",
        "Cassandra 4, reads and writes at ONE",
        {
            "n": FromPage(3, "replication factor 3, as in the page's example", _LEVELS),
            "r": FromPage(1, "ONE: a single replica", _LEVELS),
            "w": FromPage(1, "ONE: a single replica", _LEVELS),
            **_CASSANDRA_FIELDS,
        },
        _CASSANDRA_LEFT_OUT,
    ),
    Product(
        "riak",
        "Riak KV 2.2, a bucket type with its defaults",
        {
            "n": FromPage(3, "n_val 3", _RIAK_PROPERTIES),
            "r": FromPage(None, "r quorum", _RIAK_PROPERTIES),
            "w": FromPage(None, "w quorum", _RIAK_PROPERTIES),
            "sloppy": FromPage(True, "pr 0, pw 0: a sloppy quorum", _RIAK_PROPERTIES),
            "versions": FromPage("siblings", "allow_mult true", f"{_RIAK}usage/conflict-resolution/"),
        },
        (
            "notfound_ok: Riak takes the first replica without the key as an answer; here it counts as any other.",
            "How often Riak's active anti-entropy compares trees: sync_every keeps its default.",
            "The ring of Riak has 64 partitions of equal size; here each node has random points.",
        ),
    ),
)
