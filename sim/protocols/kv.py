"""The state machine that every replicated system serves: a key-value store with client sessions.

A command carries its session and its number in it. The store remembers, per session, the last number and its
result, so a retried command takes effect once (Ongaro, thesis, section 6.3; Liskov & Cowling 2012, section 4.1).
A session has one command outstanding, so one remembered result per session is enough.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from sim.message import message, size_of

__all__ = ["NOOP", "READS", "Command", "KeyValueStore", "Result"]

READS = frozenset({"get", "scan"})
"""Kinds of command that change nothing."""


@message
class Command:
    """A client's command: ``kind`` of ``key`` with ``value``, number ``sequence`` of ``session``.

    ``value`` is the argument: what to put or append, the amount to increment by, ``(expected, new)`` for cas,
    how many keys to scan.
    ``size`` adds to the bytes of the value, for workloads with value sizes.
    """

    session: int
    sequence: int
    kind: str
    key: str
    value: Any = None
    size: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire: session, sequence, one byte of kind, key, value."""
        return 17 + len(self.key) + size_of(self.value) + self.size


STATUSES = frozenset({"ok", "fail", "info"})
"""What may have become of a command: it happened, it certainly did not, or it is unknown."""


def check_status(where: str, status: Any) -> None:
    """Raise ValueError for a status that no client and no check knows."""
    if not isinstance(status, str) or status not in STATUSES:
        raise ValueError(
            f"{where}: the status must be 'ok' (it happened), 'fail' (it certainly did not) or 'info' (unknown), not "
            f"{status!r}"
        )


NOOP = Command(-1, 0, "noop", "")
"""Does nothing; leaders fill gaps and open terms with it."""


@message
class Result:
    """What became of a command: ``status`` ok or fail, ``value`` read, and any other ``result``."""

    status: str
    value: Any = None
    result: Any = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            check_status("Result", self.status)


class KeyValueStore:
    """Applies commands in the order in which they are given; equal orders give equal states.

    Attributes: ``data`` (key -> value), ``sessions`` (session -> (last sequence, its result)), ``skipped``
    (session -> ranges of numbers that were never applied although a later one was; reads that bypass the
    log leave such gaps too).
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.sessions: dict[int, tuple[int, Result]] = {}
        self.skipped: dict[int, list[tuple[int, int]]] = {}

    def apply(self, command: Command) -> Result | None:
        """Apply a command unless its session has already had it, and remember the result.

        A duplicate of the session's last command gets the remembered result. None: there is nothing to answer, as the
        command is no client's (a no-op), or an outdated duplicate, whose client has had its answer and gone on.
        """
        if command.session < 0:
            return None
        last, result = self.sessions.get(command.session, (0, None))
        if command.sequence == last:
            return result
        if command.sequence < last:
            return None
        if command.sequence > last + 1:
            self.skipped.setdefault(command.session, []).append((last + 1, command.sequence - 1))
        result = self.execute(command)
        self.sessions[command.session] = (command.sequence, result)
        return result

    def known(self, command: Command) -> Result | None:
        """The remembered result if this very command has been applied; None otherwise."""
        last, result = self.sessions.get(command.session, (0, None))
        return result if last == command.sequence else None

    def execute(self, command: Command) -> Result:
        """Carry out a command, without regard to sessions. Raises ValueError for an unknown kind.

        Appending to what is no string, and incrementing what is no number, fails and changes nothing.
        """
        kind, key, value, data = command.kind, command.key, command.value, self.data
        if kind == "get":
            return Result("ok", data.get(key))
        if kind == "put":
            data[key] = value
            return Result("ok", value)
        if kind == "cas":
            if data.get(key) != value[0]:
                return Result("fail", value, data.get(key))
            data[key] = value[1]
            return Result("ok", value)
        if kind == "append":
            old = data.get(key)
            if old is not None and not isinstance(old, str):
                return Result("fail", value, f"{key} holds no string")
            data[key] = (old or "") + value
            return Result("ok", value)
        if kind == "increment":
            old = data.get(key)
            if old is not None and not isinstance(old, int | float):
                return Result("fail", value, f"{key} holds no number")
            data[key] = (old or 0) + value
            return Result("ok", value, data[key])
        if kind == "scan":
            return Result("ok", tuple((k, data[k]) for k in sorted(k for k in data if k >= key)[:value]))
        if kind == "delete":
            data.pop(key, None)
            return Result("ok")
        raise ValueError(f"unknown kind of command: {kind!r}")

    def has_applied(self, session: int, sequence: int) -> bool:
        """Whether this very command has taken effect in this state."""
        if sequence > self.sessions.get(session, (0, None))[0]:
            return False
        gaps = self.skipped.get(session, [])
        before = bisect_right(gaps, (sequence, sequence)) - 1  # the last gap that begins no later than it
        if before + 1 < len(gaps) and gaps[before + 1][0] == sequence:
            return False
        return before < 0 or gaps[before][1] < sequence

    def missing(self, commands: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of the commands (session, sequence) that have not taken effect in this state."""
        return [c for c in commands if not self.has_applied(*c)]

    def snapshot(self) -> tuple[tuple[Any, ...], ...]:
        """The whole state, sessions included, as an immutable value."""
        skipped = tuple((session, tuple(gaps)) for session, gaps in self.skipped.items())
        return tuple(self.data.items()), tuple(self.sessions.items()), skipped

    def restore(self, snapshot: tuple[tuple[Any, ...], ...]) -> None:
        """Become what a snapshot says."""
        data, sessions, skipped = snapshot
        self.data = dict(data)
        self.sessions = dict(sessions)
        self.skipped = {session: list(gaps) for session, gaps in skipped}
