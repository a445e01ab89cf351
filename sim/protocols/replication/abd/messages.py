"""Messages of ABD, and the timestamps by which values are ordered."""

from __future__ import annotations

from typing import Any

from sim.node import message

__all__ = ["ZERO", "Query", "QueryReply", "Store", "StoreAck", "Timestamp"]

Timestamp = tuple[float, int]
"""``(number, session)``: ordered by number, then by the writing session."""

ZERO: Timestamp = (0, -1)


@message
class Query:
    """Requests a server's newest value of a key."""

    session: int
    sequence: int
    key: str


@message
class QueryReply:
    """The newest value that the server holds, and its timestamp."""

    session: int
    sequence: int
    timestamp: Timestamp
    value: Any


@message
class Store:
    """Requests a server to store this value, unless it holds a newer one. ``size``: bytes beyond those of the value."""

    session: int
    sequence: int
    key: str
    timestamp: Timestamp
    value: Any
    size: int = 0


@message
class StoreAck:
    """The requested value, or a newer one, is on disk."""

    session: int
    sequence: int
    timestamp: Timestamp
