"""Quorum replication in the style of Dynamo: rings, N, R and W, hints, repair, anti-entropy, tombstones.

Files: client, coordinator, replica and system; messages and versions; handoff, anti_entropy (by merkle trees) and
tombstones; invariants and convergence; products.
"""

from sim.protocols.replication.dynamo.client import DynamoClient
from sim.protocols.replication.dynamo.merkle import MerkleTree
from sim.protocols.replication.dynamo.replica import DynamoNode
from sim.protocols.replication.dynamo.system import Dynamo
from sim.protocols.replication.dynamo.versions import Siblings, Stamped

__all__ = ["Dynamo", "DynamoClient", "DynamoNode", "MerkleTree", "Siblings", "Stamped"]
