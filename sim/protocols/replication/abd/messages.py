"""Messages of ABD, the timestamps by which values are ordered, and what servers keep."""

from __future__ import annotations

from typing import Any

from sim.node import message
from sim.sizes import size_of

__all__ = [
    "EMPTY",
    "ZERO",
    "Query",
    "QueryReply",
    "Store",
    "StoreAck",
    "StoredValue",
    "Timestamp",
    "VersionInquiry",
    "VersionReply",
]

Timestamp = tuple[float, int]
"""``(number, session)``: ordered by number, then by the writing session."""

ZERO: Timestamp = (0, -1)

NUMBERS = 16
"""Bytes of a timestamp; and of the session and the sequence of a message."""


@message
class StoredValue:
    """What a server keeps of a key. ``size``: bytes beyond those of the value, in all classes here."""

    timestamp: Timestamp
    value: Any
    size: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes on disk."""
        return NUMBERS + size_of(self.value) + self.size


EMPTY = StoredValue(ZERO, None)


@message
class Query:
    """Requests a server's newest value of a key."""

    session: int
    sequence: int
    key: str


@message
class VersionInquiry:
    """Requests the timestamp of a server's newest value of a key, and not the value."""

    session: int
    sequence: int
    key: str


@message
class VersionReply:
    """The timestamp of the newest value that the server holds."""

    session: int
    sequence: int
    timestamp: Timestamp


@message
class QueryReply(VersionReply):
    """The newest value that the server holds, and its timestamp."""

    value: Any
    size: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire."""
        return 2 * NUMBERS + size_of(self.value) + self.size


@message
class Store:
    """Requests a server to store this value, unless it holds a newer one."""

    session: int
    sequence: int
    key: str
    timestamp: Timestamp
    value: Any
    size: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire: among them eight that say how long the value is."""
        return 2 * NUMBERS + 8 + len(self.key) + size_of(self.value) + self.size


@message
class StoreAck:
    """The requested value, or a newer one, is on disk."""

    session: int
    sequence: int
    timestamp: Timestamp
