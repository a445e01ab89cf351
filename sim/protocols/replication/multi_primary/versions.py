"""Versions of a key, and the two rules by which replicas that hold several make do.

Each write makes a version with a *dot* (which replica, its how-manieth write) and a *past*: a version vector that says
which versions of the key it replaced, knowingly or through those (Parker et al., IEEE TSE 1983; dots: Preguica et
al., "Dotted Version Vectors", 2010). Two versions of which neither is in the other's past are in conflict.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sim.message import message, size_of
from sim.protocols.causality.dots import Dot
from sim.protocols.causality.hlc import HybridTime

__all__ = ["Version", "Write", "latest", "past_of", "siblings"]

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

    def replaces(self, other: Version) -> bool:
        """Whether this one was written in place of the other (or of one that replaced it)."""
        actor, number = other.dot
        return any(name == actor and last >= number for name, last in self.past)

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return 1 + self.size + size_of((self.dot, self.past, self.time, self.value, self.write))


Held = tuple[Version, ...]
"""What a replica holds of a key, in the order of dots."""


def past_of(held: Held) -> tuple[Dot, ...]:
    """The past of a write that replaces all these versions."""
    last: dict[str, int] = {}
    for version in held:
        for actor, number in (*version.past, version.dot):
            last[actor] = max(number, last.get(actor, 0))
    return tuple(sorted(last.items()))


def latest(versions: Iterable[Version]) -> Held:
    """Last writer wins: the version with the highest timestamp, whatever it knew of the others."""
    return (max(versions, key=lambda version: version.stamp),)


def siblings(versions: Iterable[Version]) -> Held:
    """All versions that no other one replaces."""
    all_of_them = tuple(versions)
    kept = [v for v in all_of_them if not any(other.replaces(v) for other in all_of_them)]
    return tuple(sorted(kept, key=lambda version: version.dot))
