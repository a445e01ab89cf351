"""Sessions: a wrapper around an application that makes each command take effect once.

A command has a session and a sequence number. The wrapper remembers the last number and its result for each session, so
a retried command takes effect once (Ongaro, thesis, section 6.3; Liskov & Cowling 2012, section 4.1). A session has at
most one outstanding command, so one result per session is enough. The application never sees a retry.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

__all__ = ["Sessions"]


class Sessions:
    """Applies commands in the order in which they are given; equal orders give equal states.

    Attributes: ``application``, initially in its first state; ``sessions`` (session -> (last sequence, its result));
    ``skipped`` (session -> ranges of sequence numbers that were not applied before a later number; reads that bypass
    the log leave such gaps, too).
    """

    def __init__(self, application: Application) -> None:
        self.application = application.fresh()
        self.sessions: dict[int, tuple[int, Result]] = {}
        self.skipped: dict[int, list[tuple[int, int]]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """The kinds of command that change nothing."""
        return self.application.reads

    @property
    def state(self) -> Any:
        """The state of the application, as an immutable value."""
        return self.application.snapshot()

    def apply(self, command: Command) -> Result | None:
        """Apply a command, unless its session has already applied it, and remember the result.

        A duplicate of the session's last command gives the remembered result. None: there is nothing to answer, because
        the command is a no-op, or an outdated duplicate whose client already has the answer.
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
        result = self.application.apply(command)
        self.sessions[command.session] = (command.sequence, result)
        return result

    def known(self, command: Command) -> Result | None:
        """The remembered result if this command is the last applied one of its session; None otherwise."""
        last, result = self.sessions.get(command.session, (0, None))
        return result if last == command.sequence else None

    def execute(self, command: Command) -> Result:
        """Execute a command without its session: for reads that bypass the order of commands."""
        return self.application.apply(command)

    def has_applied(self, session: int, sequence: int) -> bool:
        """Whether this command has taken effect in this state."""
        if sequence > self.sessions.get(session, (0, None))[0]:
            return False
        gaps = self.skipped.get(session, [])
        before = bisect_right(gaps, (sequence, sequence)) - 1  # the last gap that begins no later than it
        if before + 1 < len(gaps) and gaps[before + 1][0] == sequence:
            return False
        return before < 0 or gaps[before][1] < sequence

    def missing(self, commands: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The commands (session, sequence) that have not taken effect in this state."""
        return [c for c in commands if not self.has_applied(*c)]

    def snapshot(self) -> tuple[Any, ...]:
        """The whole state, sessions included, as an immutable value."""
        skipped = tuple((session, tuple(gaps)) for session, gaps in self.skipped.items())
        return self.state, tuple(self.sessions.items()), skipped

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Replace the state by that of a snapshot."""
        state, sessions, skipped = snapshot
        self.application.restore(state)
        self.sessions = dict(sessions)
        self.skipped = {session: list(gaps) for session, gaps in skipped}
