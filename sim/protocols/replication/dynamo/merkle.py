"""Merkle trees over the keys that two nodes share: equal roots mean equal data; differences are found top-down.

Merkle, "A Digital Signature Based on a Conventional Encryption Function" (CRYPTO 1987); as used for anti-entropy in
DeCandia et al. 2007, section 4.7.
"""

from __future__ import annotations

from sim.protocols.rings import digest64, hash64

__all__ = ["MerkleTree"]


class MerkleTree:
    """A tree of hashes of fixed depth. Level 0 is the root; the hash of a key determines its leaf.

    Parameters
    ----------
    fanout:
        Children of an inner node (>= 2).
    depth:
        Levels below the root (>= 1): there are ``fanout ** depth`` leaves.

    A change costs one hash per level, computed on demand. An empty subtree has hash 0.
    """

    def __init__(self, fanout: int, depth: int) -> None:
        self.fanout = fanout
        self.depth = depth
        self._count: int = fanout**depth
        self._leaves: dict[int, dict[str, int]] = {}  # leaf -> key -> digest of its version
        self._sizes: dict[tuple[int, int], int] = {}  # (level, index) -> keys below
        self._hashes: dict[tuple[int, int], int] = {}  # only hashes that are up to date

    def leaf_of(self, key: str) -> int:
        """The leaf of a key, from 0."""
        return hash64(key) * self._count >> 64

    def put(self, key: str, digest: int) -> None:
        """Set the digest of the version of ``key``."""
        leaf = self.leaf_of(key)
        keys = self._leaves.setdefault(leaf, {})
        self._touch(leaf, int(key not in keys))
        keys[key] = digest

    def remove(self, key: str) -> None:
        """Remove a key, if present."""
        leaf = self.leaf_of(key)
        if key in self._leaves.get(leaf, {}):
            del self._leaves[leaf][key]
            self._touch(leaf, -1)

    def _touch(self, leaf: int, more: int) -> None:
        index = leaf
        for level in range(self.depth, -1, -1):
            self._hashes.pop((level, index), None)
            self._sizes[level, index] = self._sizes.get((level, index), 0) + more
            index //= self.fanout

    def keys(self, leaf: int) -> tuple[str, ...]:
        """The keys in a leaf, sorted."""
        return tuple(sorted(self._leaves.get(leaf, ())))

    def children(self, index: int) -> range:
        """The indices, one level down, of the children of the node with this index."""
        return range(index * self.fanout, (index + 1) * self.fanout)

    @property
    def root(self) -> int:
        """The hash of the whole tree."""
        return self.hash(0, 0)

    def hash(self, level: int, index: int) -> int:
        """The hash of a node."""
        if not self._sizes.get((level, index)):
            return 0
        known = self._hashes.get((level, index))
        if known is None:
            if level == self.depth:
                below = repr(sorted(self._leaves[index].items()))
            else:
                below = repr([self.hash(level + 1, child) for child in self.children(index)])
            known = self._hashes[level, index] = digest64(below)
        return known
