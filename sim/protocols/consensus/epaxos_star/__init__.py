"""EPaxos* (arXiv 2511.02743): Egalitarian Paxos with a recovery that is proved."""

from sim.protocols.consensus.epaxos_star.system import EPaxosStar

__all__ = [
    "EPaxosStar",
]
