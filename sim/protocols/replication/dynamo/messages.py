"""The messages of the Dynamo protocol, by what they are for.

``ticket`` names an operation that a coordinator has under way: (its incarnation, a number). ``home`` is the node of the
preference list that an answer counts for: the sender itself, or the one it stands in for.
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

# A client and its coordinator. Reads come as `sim.protocols.client.Request`.


@message
class Update:
    """A write whose client has made its version: the same each time it is tried."""

    session: int
    sequence: int
    key: str
    version: Any


@message
class Answer(Reply):
    """What became of an operation; after a read, the version that was read, which is the context of later writes."""

    version: Any = None


@message
class Unavailable:
    """Too few answer; what was asked is still under way here, and may be asked of others."""

    session: int
    sequence: int


# put() and get(): a coordinator and the nodes of the preference list


@message
class Put:
    """Keep this version; as a hint, if ``home`` is another node."""

    ticket: tuple[int, int]
    key: str
    version: Any
    home: str


@message
class PutAck:
    """The version, or one that covers it, is on this node's disk."""

    ticket: tuple[int, int]
    home: str


@message
class Get:
    """What do you have of this key?"""

    ticket: tuple[int, int]
    key: str
    home: str


@message
class GetReply:
    """What the node has; None: nothing."""

    ticket: tuple[int, int]
    version: Any
    home: str


@message
class Repair:
    """A read found that you lack this; keep it, as a hint if ``home`` is another node."""

    ticket: tuple[int, int]
    key: str
    version: Any
    home: str


@message
class RepairAck:
    """It is on disk."""

    ticket: tuple[int, int]
    home: str


@message
class Ping:
    """Are you there again?"""


@message
class Pong:
    """I am."""


# Hinted handoff


@message
class Handoff:
    """Versions that the sender kept for you while you were not to be had: (key, version, since)."""

    number: tuple[int, int]
    hints: tuple[tuple[str, Any, float], ...]


@message
class HandoffAck:
    """They are on disk."""

    number: tuple[int, int]


# Anti-entropy


@message
class Tree:
    """Hashes of nodes of the Merkle tree over the keys that both share: (level, index, hash)."""

    hashes: tuple[tuple[int, int, int], ...]


@message
class Leaves:
    """All that the sender has in some leaves (``ask``: tell me what you have that is not here), or the answer to it."""

    leaves: tuple[int, ...]
    versions: tuple[tuple[str, Any], ...]
    ask: bool


# Tombstones


@message
class Confirm:
    """Do you have this tombstone? If not, keep it."""

    key: str
    version: Any


@message
class Confirmed:
    """It is on disk."""

    key: str
    version: Any


@message
class Purge:
    """Every home has had this tombstone for long enough: drop it."""

    key: str
    version: Any
