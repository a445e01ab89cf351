"""Versions of a key: values with their known history. Two versions of a key always merge into one that covers both,
so replicas may receive them in any order, and more than once.

`Stamped` is last-writer-wins: the greater timestamp covers the smaller. `Siblings` keeps all values that no write has
replaced, with the causal context of all known writes (`sim.protocols.causality.siblings`). In both, a deletion is also
a version, a *tombstone*.

A write is named by its client's session (not by its coordinator), so that a retried write, perhaps through another
coordinator, has the same name. The price is a context that grows with the number of sessions that wrote a key.
"""

from __future__ import annotations

from typing import Any

from sim.message import message, size_of
from sim.protocols.causality.dots import EMPTY, Context, Dot, DotFunction
from sim.protocols.causality.siblings import DottedStore
from sim.protocols.rings import digest64

__all__ = [
    "Siblings",
    "Stamped",
    "StoredVersion",
    "WriteStamp",
    "covers",
    "digest_of_version",
    "merged",
    "write_siblings",
]

WriteStamp = tuple[float, int, int]
"""``(seconds, session, sequence)``: ordered by time, unique for each write."""


@message
class Stamped:
    """One value, or a tombstone, with a timestamp."""

    stamp: WriteStamp
    value: Any
    deleted: bool = False
    size: int = 0

    def merge(self, other: Stamped) -> Stamped:
        """The one with the greater timestamp."""
        return other if other.stamp > self.stamp else self

    def covers(self, other: Stamped) -> bool:
        """Whether merging the other would change nothing."""
        return self.stamp >= other.stamp

    @property
    def is_tombstone(self) -> bool:
        """Whether a reader sees no value."""
        return self.deleted

    @property
    def shown(self) -> Any:
        """The value that a reader sees; None: deleted."""
        return None if self.deleted else self.value

    @property
    def writes(self) -> tuple[WriteStamp, ...]:
        """The names of the writes whose values a reader sees."""
        return () if self.deleted else (self.stamp,)

    def knows(self, write: WriteStamp) -> bool:
        """Whether this version is the given write, or one with a greater timestamp."""
        return self.stamp >= write

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return 25 + size_of(self.value) + self.size


@message
class Siblings:
    """Dot -> (value, further bytes) of all values that are not replaced, and the context of all known writes."""

    values: DotFunction
    context: Context

    def merge(self, other: Siblings) -> Siblings:
        """The values that both hold, and those that one holds and the other's context does not contain."""
        if self == other:
            return self
        joined = DottedStore(self.values, self.context).merge(DottedStore(other.values, other.context))
        return Siblings(*joined)

    def covers(self, other: Siblings) -> bool:
        """Whether merging the other would change nothing."""
        return self == other or self.merge(other) == self

    @property
    def is_tombstone(self) -> bool:
        """Whether a reader sees no value."""
        return not self.values

    @property
    def shown(self) -> Any:
        """The values that a reader sees, in the order of their dots."""
        return tuple(value for _, (value, _) in self.values)

    @property
    def writes(self) -> tuple[Dot, ...]:
        """The names of the writes whose values a reader sees."""
        return tuple(dot for dot, _ in self.values)

    def knows(self, write: Dot) -> bool:
        """Whether the context contains this write."""
        return self.context.has(write)

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return size_of(self.context) + sum(
            size_of(dot) + size_of(value) + int(more) for dot, (value, more) in self.values
        )


StoredVersion = Stamped | Siblings


def write_siblings(session: int, seen: Context | None, value: Any, size: int, *, deletes: bool) -> Siblings:
    """The version of a session's write, which replaces what the session has seen: one value, or a tombstone."""
    context = EMPTY if seen is None else seen
    dot = context.next_dot(f"s{session}")
    values = () if deletes else ((dot, (value, size)),)
    return Siblings(values, context.union(Context.of([dot])))


def merged(*versions: Any) -> Any:
    """The merge of versions; None entries (no version) are ignored."""
    found = None
    for version in versions:
        found = version if found is None else found if version is None else found.merge(version)
    return found


def covers(a: Any, b: Any) -> bool:
    """Whether version ``a`` includes ``b``; None (no version) includes nothing and is included in everything."""
    return b is None or (a is not None and bool(a.covers(b)))


def digest_of_version(version: Any) -> int:
    """A 64-bit digest of a version, the same in every process."""
    digest: int = digest64(repr(version))
    return digest
