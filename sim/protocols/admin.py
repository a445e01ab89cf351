"""What an administrator may ask of a system while it runs: who belongs to it, who leads it.

An admin client sends these like any other request, to a member of the system; whoever cannot serve one
answers with the name of who can. They are idempotent: asking again for what is already so succeeds at once.
"""

from __future__ import annotations

from sim.message import message

__all__ = ["AdminReply", "Drain", "Join", "Leave", "Reconfigure", "Transfer"]


@message
class Join:
    """Let a running server become a member; without ``voter`` it only learns."""

    member: str
    voter: bool = True


@message
class Leave:
    """Let a member go."""

    member: str


@message
class Reconfigure:
    """Make these the voting members, whoever they were."""

    members: tuple[str, ...]


@message
class Transfer:
    """Let ``to`` lead; None: whoever is best prepared."""

    to: str | None = None


@message
class Drain:
    """Take the load off a member: where it leads, let another lead."""

    member: str


@message
class AdminReply:
    """What became of a request.

    ``done``: it is so now. Otherwise ``leader`` names whom to ask instead, or, when that is None or whoever
    answers, ``reason`` says why not.
    """

    done: bool
    leader: str | None = None
    reason: str = ""
