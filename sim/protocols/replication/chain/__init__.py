"""Chain replication (van Renesse, Schneider, OSDI 2004) and CRAQ (Terrace, Freedman, USENIX 2009)."""

from sim.protocols.replication.chain.craq import Craq, CraqNode
from sim.protocols.replication.chain.node import ChainNode, Forward
from sim.protocols.replication.chain.sharded import ShardedChain
from sim.protocols.replication.chain.system import ChainReplication

__all__ = [
    "ChainNode",
    "ChainReplication",
    "Craq",
    "CraqNode",
    "Forward",
    "ShardedChain",
]
