"""What HashiCorp's memberlist, the SWIM of Consul and Serf, states about its settings; see `sim.protocols.products`."""

from __future__ import annotations

from sim.protocols.products import FromPage, Product

__all__ = ["PRODUCTS"]

_MEMBERLIST = "https://github.com/hashicorp/memberlist/blob/master/config.go"

_LEFT_OUT = (
    "Updates also spread by messages of their own (GossipInterval, GossipNodes); in the model only by piggybacking.",
    (
        "Lifeguard: a member that misses acknowledgements slows down, and a suspicion ends sooner as others confirm it "
        "(SuspicionMaxTimeoutMult). The suspicion timeout here is the shortest one."
    ),
    "A ping that is not answered is repeated over TCP.",
    "RetransmitMult x ceil(log10(n + 1)) transmissions of an update; the model has retransmit x ln n.",
)


def _memberlist(
    name: str, title: str, period: float, timeout_ms: int, k: int, suspicion: int, sync: int
) -> Product:
    """The settings of one of memberlist's configurations; ``period`` and ``sync`` in seconds."""
    return Product(
        name,
        title,
        {
            "period": FromPage(period, f"ProbeInterval {period:g} s", _MEMBERLIST),
            "timeout": FromPage(timeout_ms / 1000, f"ProbeTimeout {timeout_ms} ms", _MEMBERLIST),
            "k": FromPage(k, f"IndirectChecks {k}", _MEMBERLIST),
            "suspicion": FromPage(float(suspicion), f"SuspicionMult {suspicion}", _MEMBERLIST),
            "sync_every": FromPage(round(sync / period), f"PushPullInterval {sync} s", _MEMBERLIST),
        },
        _LEFT_OUT,
    )


PRODUCTS = (
    _memberlist("memberlist-lan", "memberlist, DefaultLANConfig", 1.0, 500, 3, 4, 30),
    _memberlist("memberlist-wan", "memberlist, DefaultWANConfig", 5.0, 3000, 3, 6, 60),
    _memberlist("memberlist-local", "memberlist, DefaultLocalConfig", 1.0, 200, 1, 3, 15),
)
