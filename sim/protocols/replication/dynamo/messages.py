"""The messages of the Dynamo protocol, by purpose.

``ticket`` identifies an operation of a coordinator: (incarnation, number). ``home`` is the node of the preference list
for which an answer counts: the sender itself, or the home for which it is a stand-in.
"""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.protocols.client import Reply

__all__ = [
    "Answer",
    "Confirm",
    "Confirmed",
    "Get",
    "GetReply",
    "Handoff",
    "HandoffAck",
    "Leaves",
    "Ping",
    "Pong",
    "Purge",
    "Put",
    "PutAck",
    "Repair",
    "RepairAck",
    "Tree",
    "Unavailable",
    "Update",
]

# A client and its coordinator. Reads are sent as `sim.protocols.client.Request`.


@message
class Update:
    """A write with the version that the client made; retries have the same version."""

    session: int
    sequence: int
    key: str
    version: Any


@message
class Answer(Reply):
    """The result of an operation. For a read: also the version that was read, the context of later writes."""

    version: Any = None


@message
class Unavailable:
    """Too few nodes answer. The operation is still in progress, and the client may try another coordinator."""

    session: int
    sequence: int


# put() and get(): a coordinator and the nodes of the preference list


@message
class Put:
    """Requests the receiver to keep this version, as a hint if ``home`` is another node."""

    ticket: tuple[int, int]
    key: str
    version: Any
    home: str


@message
class PutAck:
    """The version, or one that covers it, is on the sender's disk."""

    ticket: tuple[int, int]
    home: str


@message
class Get:
    """Requests the receiver's version of a key."""

    ticket: tuple[int, int]
    key: str
    home: str


@message
class GetReply:
    """The sender's version; None: it has none."""

    ticket: tuple[int, int]
    version: Any
    home: str


@message
class Repair:
    """A version that the receiver lacked at a read; to be kept, as a hint if ``home`` is another node."""

    ticket: tuple[int, int]
    key: str
    version: Any
    home: str


@message
class RepairAck:
    """The repaired version is on the sender's disk."""

    ticket: tuple[int, int]
    home: str


@message
class Ping:
    """A probe of a suspected node."""


@message
class Pong:
    """The answer to a probe."""


# Hinted handoff


@message
class Handoff:
    """Hints that the sender kept while the receiver was unreachable: (key, version, time of arrival)."""

    number: tuple[int, int]
    hints: tuple[tuple[str, Any, float], ...]


@message
class HandoffAck:
    """The hints are on the sender's disk."""

    number: tuple[int, int]


# Anti-entropy


@message
class Tree:
    """Hashes of nodes of the Merkle tree over the keys that sender and receiver share: (level, index, hash)."""

    hashes: tuple[tuple[int, int, int], ...]


@message
class Leaves:
    """All versions that the sender has in some leaves; ``ask`` requests those that differ, without it: the answer."""

    leaves: tuple[int, ...]
    versions: tuple[tuple[str, Any], ...]
    ask: bool


# Tombstones


@message
class Confirm:
    """Requests the receiver to keep this tombstone, and to confirm it."""

    key: str
    version: Any


@message
class Confirmed:
    """The tombstone is on the sender's disk."""

    key: str
    version: Any


@message
class Purge:
    """Requests the receiver to drop a tombstone that every home has had for the grace period."""

    key: str
    version: Any
