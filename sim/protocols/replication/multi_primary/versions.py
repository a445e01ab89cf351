"""Versions of a key. A replica keeps versions by one of two rules, `latest` or `siblings`.

Each write makes a version with a *dot* (replica, number of the write at this replica) and a *past*: a version vector
of the versions of the key that it replaced, directly or indirectly (Parker et al., IEEE TSE 1983; dots: Preguica et
al., "Dotted Version Vectors", 2010). Two versions conflict if neither is in the other's past: they are siblings
(`sim.protocols.causality.siblings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sim.message import message, size_of
from sim.protocols.causality.dots import Dot
from sim.protocols.causality.hlc import HybridTime

__all__ = ["Version", "Versions", "Write", "latest"]

Write = tuple[int, int]
"""``(session, sequence)`` of a client's write."""


@message
class Version:
    """The version of a key made by one write. ``past``: for each replica, the number of its last write replaced.

    ``time`` is the time on the writer's clock; ``size`` counts bytes beyond those of the value.
    """

    dot: Dot
    past: tuple[Dot, ...]
    time: HybridTime
    value: Any
    deleted: bool
    write: Write
    size: int = 0

    @property
    def stamp(self) -> tuple[HybridTime, Dot]:
        """The timestamp, unique for each write: ties of time are broken by the dot."""
        return self.time, self.dot

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return 1 + self.size + size_of((self.dot, self.past, self.time, self.value, self.write))


Versions = tuple[Version, ...]
"""The versions of a key that a replica holds, in the order of dots."""


def latest(versions: Iterable[Version]) -> Versions:
    """Last writer wins: the version with the highest timestamp, regardless of causality."""
    return (max(versions, key=lambda version: version.stamp),)
