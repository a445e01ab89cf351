"""ABD (Attiya, Bar-Noy, Dolev, J. ACM 1995): linearizable registers by quorums, without consensus."""

from sim.protocols.replication.abd.client import AbdClient, OnePhaseClient
from sim.protocols.replication.abd.messages import StoredValue
from sim.protocols.replication.abd.nearest import NearestValueClient
from sim.protocols.replication.abd.node import AbdServer
from sim.protocols.replication.abd.system import Abd

__all__ = ["Abd", "AbdClient", "AbdServer", "NearestValueClient", "OnePhaseClient", "StoredValue"]
