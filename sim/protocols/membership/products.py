"""What products with detectors by heartbeats state about their settings; see `sim.protocols.products`."""

from __future__ import annotations

from sim.protocols.membership.suspicion import PhiAccrual
from sim.protocols.products import FromPage, Product

__all__ = ["PRODUCTS"]

_AKKA = "https://doc.akka.io/libraries/akka-core/current/general/configuration-reference.html"
_PEKKO = "https://github.com/apache/pekko/blob/main/cluster/src/main/resources/reference.conf"

_PHI = PhiAccrual(threshold=8.0, window=1000, min_std=0.1, pause=3.0)
_SAYS = "threshold 8.0, max-sample-size 1000, min-std-deviation 100 ms, acceptable-heartbeat-pause 3 s"
_LEFT_OUT = (
    "A member sends heartbeats to at most nine others (monitored-by-nr-of-members); in the model to all.",
    "A heartbeat is answered, and the answer counts; in the model the heartbeat itself does.",
    "Gossip of what each member has found, and the resolver that removes members.",
)

PRODUCTS = (
    Product(
        "akka",
        "Akka Cluster",
        {
            "heartbeat": FromPage(1.0, "heartbeat-interval 1 s", _AKKA),
            "detector": FromPage(_PHI, _SAYS, _AKKA),
        },
        _LEFT_OUT,
    ),
    Product(
        "pekko",
        "Pekko Cluster",
        {
            "heartbeat": FromPage(1.0, "heartbeat-interval 1 s", _PEKKO),
            "detector": FromPage(_PHI, _SAYS, _PEKKO),
        },
        _LEFT_OUT,
    ),
)
