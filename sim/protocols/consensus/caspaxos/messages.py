"""The messages of CASPaxos, and the state of a register."""

from __future__ import annotations

from typing import Any, NamedTuple

from sim.message import message
from sim.protocols.command import Command, Result
from sim.protocols.kv import on_value

__all__ = [
    "EMPTY",
    "FIRST",
    "Accept",
    "Accepted",
    "Conflict",
    "Prepare",
    "Promise",
    "Register",
    "RegisterBallot",
    "State",
]


class RegisterBallot(NamedTuple):
    """A ballot: a counter, the proposer, and the proposer's incarnation, so that no two proposals share one."""

    counter: int
    proposer: str
    incarnation: int

    @property
    def wire_bytes(self) -> int:
        """Three words."""
        return 24

    def __str__(self) -> str:
        return f"{self.counter}.{self.proposer}" if self.proposer else str(self.counter)


FIRST = RegisterBallot(0, "", 0)
"""Below every ballot."""


@message
class State:
    """What a register holds: a value, and the last command of each session that changed or read it, with its result."""

    value: Any
    done: tuple[tuple[int, int, Result], ...]  # session, sequence, result

    def last(self, session: int) -> tuple[int, Result | None]:
        """The last sequence number of a session here, and its result; (0, None): there is none."""
        for known, sequence, result in self.done:
            if known == session:
                return sequence, result
        return 0, None

    def after(self, command: Command) -> State:
        """The state after a command; the same state if the command, or a later one of its session, was applied."""
        if self.last(command.session)[0] >= command.sequence:
            return self
        result, value = on_value(self.value, command)
        others = tuple(entry for entry in self.done if entry[0] != command.session)
        return State(value, (*others, (command.session, command.sequence, result)))


EMPTY = State(None, ())


@message
class Register:
    """What an acceptor stores for a key: the promised ballot, and the last accepted ballot with its state."""

    promised: RegisterBallot
    accepted: RegisterBallot
    state: State


@message
class Prepare:
    """1a: asks for a promise to accept nothing for ``key`` below ``ballot``, and for the last accepted state."""

    key: str
    ballot: RegisterBallot


@message
class Promise:
    """1b: the promise, and the last accepted ballot with its state."""

    key: str
    ballot: RegisterBallot
    accepted: RegisterBallot
    state: State


@message
class Accept:
    """2a: asks to accept a state, and to promise the ballot ``then`` by which the sender will propose next."""

    key: str
    ballot: RegisterBallot
    state: State
    then: RegisterBallot


@message
class Accepted:
    """2b: the state of ``ballot`` is accepted, and the ballot that the Accept asked for is promised."""

    key: str
    ballot: RegisterBallot


@message
class Conflict:
    """The acceptor has promised ``promised``, and so refuses ``ballot``."""

    key: str
    ballot: RegisterBallot
    promised: RegisterBallot
