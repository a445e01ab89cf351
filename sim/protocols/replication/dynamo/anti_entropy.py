"""Anti-entropy: two nodes compare the Merkle trees of the keys that both store, and exchange differing versions.

DeCandia et al. 2007, section 4.7. Each pair of nodes has its own tree, over the keys of which both are homes. One node
sends the hash of its root. A receiver that finds a difference answers with the hashes one level down, and so on to the
leaves, whose versions are exchanged in both directions. Equal trees cost one message; any difference in trees of depth
d costs d + 1 messages with hashes, one with versions, and one with the answer to it if there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Part
from sim.protocols.replication.dynamo.merkle import MerkleTree
from sim.protocols.replication.dynamo.messages import Leaves, Tree
from sim.protocols.replication.dynamo.versions import digest_of_version

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["DynamoAntiEntropy"]


class DynamoAntiEntropy(Part):
    """Anti-entropy of one node: it synchronizes with the other nodes in order, one every ``sync_every`` seconds."""

    node: DynamoNode

    def on_start(self) -> None:
        settings = self.node.settings
        self.trees: dict[str, MerkleTree] = {}
        self.turn = 0
        if settings.sync_every is None or self.name not in settings.names:
            return
        for peer in settings.names:
            if peer != self.name:
                self.trees[peer] = MerkleTree(settings.fanout, settings.depth)
        for key, version in self.node.store.items():
            self.changed(key, version)
        if self.trees:
            self.set_timer("sync", settings.sync_every * self.random.random())

    def changed(self, key: str, version: Any) -> None:
        """Update the trees after this node's version of a key has changed; None: it holds none."""
        if not self.trees:
            return
        digest = 0 if version is None else digest_of_version(version)
        for home in self.node.settings.homes(key):
            tree = self.trees.get(home)
            if tree is not None and version is None:
                tree.remove(key)
            elif tree is not None:
                tree.put(key, digest)

    def on_sync_timeout(self) -> None:
        assert self.node.settings.sync_every is not None
        self.set_timer("sync", self.node.settings.sync_every)
        peer = list(self.trees)[self.turn % len(self.trees)]
        self.turn += 1
        self.send(peer, Tree(((0, 0, self.trees[peer].root),)), hold=False)

    def on_tree(self, src: str, msg: Tree) -> None:
        """Answer with the hashes one level down where hashes differ; at leaves, with this node's versions."""
        tree = self.trees[src]
        deeper: list[tuple[int, int, int]] = []
        leaves: list[int] = []
        for level, index, digest in msg.hashes:
            if tree.hash(level, index) == digest:
                continue
            if level == tree.depth:
                leaves.append(index)
            else:
                deeper += [(level + 1, child, tree.hash(level + 1, child)) for child in tree.children(index)]
        if deeper:
            self.send(src, Tree(tuple(deeper)), hold=False)
        if leaves:
            self.send(src, Leaves(tuple(leaves), self.versions_in(src, leaves), True))

    def versions_in(self, peer: str, leaves: list[int] | tuple[int, ...]) -> tuple[tuple[str, Any], ...]:
        """The (key, version) pairs in some leaves of the tree shared with a peer."""
        tree, store = self.trees[peer], self.node.store
        return tuple((key, store[key]) for leaf in leaves for key in tree.keys(leaf))

    def on_leaves(self, src: str, msg: Leaves) -> None:
        for key, version in msg.versions:
            self.node.keep(key, version)
        if msg.ask:
            theirs = dict(msg.versions)
            news = [kv for kv in self.versions_in(src, msg.leaves) if kv[1] != theirs.get(kv[0])]
            if news:
                self.send(src, Leaves(msg.leaves, tuple(news), False))
