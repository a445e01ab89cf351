"""Gossip by rumour mongering and anti-entropy (Demers et al., PODC 1987): epidemic (the part of a node), system."""

from sim.protocols.membership.gossip.epidemic import AntiEntropy, Mongering
from sim.protocols.membership.gossip.system import Gossip

__all__ = [
    "AntiEntropy",
    "Gossip",
    "Mongering",
]
