"""Consistent hashing: keys and nodes on one ring, and the order in which a walk from a key meets the nodes.

A node owns some points of a ring of 64-bit hashes; a key belongs to the owner of the first point after its own hash.
When a node joins or leaves, only the keys next to its points move.

Sources: Karger et al., "Consistent Hashing and Random Trees" (STOC 1997); preference lists: DeCandia et al., "Dynamo"
(SOSP 2007), sections 4.2 and 4.3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

__all__ = ["Ring", "digest64", "hash64", "order_on_ring"]


def digest64(text: str) -> int:
    """A 64-bit hash of a string: the same in every process (BLAKE2b)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=1 << 16)
def hash64(text: str) -> int:
    """`digest64` with a cache, for keys and names, which are hashed often."""
    return digest64(text)


class Ring(NamedTuple):
    """The points of a ring in order, and the owner of each point."""

    hashes: list[int]
    owners: list[Any]

    @classmethod
    def of(cls, owners: Iterable[tuple[str, int, Any]]) -> Ring:
        """A ring with the points of all owners; ``owners``: (name, number of points, the owner itself)."""
        points = [
            (hash64(f"{name}#{i}"), index, owner)
            for index, (name, count, owner) in enumerate(owners)
            for i in range(count)
        ]
        points.sort(key=lambda point: point[:2])
        return cls([point[0] for point in points], [point[2] for point in points])

    def walk(self, key: str) -> Iterator[Any]:
        """The owner of each point, clockwise from the hash of a key; once around."""
        start = bisect_right(self.hashes, hash64(key))
        yield from self.owners[start:]
        yield from self.owners[:start]


@lru_cache(maxsize=64)
def _ring(names: tuple[str, ...], points: int) -> Ring:
    return Ring.of((name, points, name) for name in names)


@lru_cache(maxsize=1 << 16)
def order_on_ring(names: tuple[str, ...], points: int, key: str) -> tuple[str, ...]:
    """All nodes, each with ``points`` points, in the order in which a walk from the key meets them first.

    In Dynamo the first N nodes are the key's preference list; the others replace them when they fail.
    """
    return tuple(dict.fromkeys(_ring(names, points).walk(key)))
