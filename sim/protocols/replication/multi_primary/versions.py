"""Versions of a key; which of them a replica keeps is by one of two rules, `latest` or `siblings`.

Each write makes a version with a *dot* (which replica, its how-manieth write) and a *past*: a version vector that says
which versions of the key it replaced, knowingly or through those (Parker et al., IEEE TSE 1983; dots: Preguica et
al., "Dotted Version Vectors", 2010). Two versions of which neither is in the other's past are in conflict: they are
siblings (`sim.protocols.causality.siblings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sim.message import message, size_of
from sim.protocols.causality.dots import Dot
from sim.protocols.causality.hlc import HybridTime

__all__ = ["Version", "Versions", "Write", "latest"]

Write = tuple[int, int]
"""``(session, sequence)``: which client's write."""


@message
class Version:
    """What one write made of a key. ``past``: for each replica the number of its last write that this one replaces.

    ``time`` is that of the writer's clock; ``size`` counts bytes beyond those of the value.
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
        """The timestamp, which no two writes share: equal times are told apart by who wrote."""
        return self.time, self.dot

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return 1 + self.size + size_of((self.dot, self.past, self.time, self.value, self.write))


Versions = tuple[Version, ...]
"""What a replica holds of a key, in the order of dots."""


def latest(versions: Iterable[Version]) -> Versions:
    """Last writer wins: the version with the highest timestamp, whatever it knew of the others."""
    return (max(versions, key=lambda version: version.stamp),)
