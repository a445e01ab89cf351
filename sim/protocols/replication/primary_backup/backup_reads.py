"""Reads that replicas other than the primary may answer: stale, of bounded staleness, or by a session's token.

Session guarantees: Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994. The token is
a position in the one log that all replicas apply; a replica that has applied as much serves read-your-writes and
monotonic reads, and, as all sessions see prefixes of one order, sequential consistency (ZooKeeper, ATC 2010, does
the same with its zxid).
"""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.protocols.client import Client, Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.replication.shipped_log import ShippedLog

__all__ = ["BackupReader", "ReadsAtBackups", "SessionReader", "SessionReply", "SessionRequest"]


@message
class SessionRequest(Request):
    """A command of a session that has seen the log up to ``position``, in ``view``."""

    view: int = 0
    position: int = 0


@message
class SessionReply(Reply):
    """A reply from a replica that had applied the log up to ``position``, of ``view``."""

    view: int = 0
    position: int = 0


class ReadsAtBackups(ShippedLog):
    """The part of a replica that answers reads from its applied log."""

    role: str
    lease_until: float

    def start_reading(self) -> None:
        """Reset the freshness of the store to unknown."""
        self.fresh = float("-inf")  # the store is at least as new as this, on the primary's wall clock
        self.view_start: float = float("inf")  # where the log of `log_view` began
        self.parked: list[tuple[str, SessionRequest]] = []
        self.astray = False  # this replica's snapshot contradicts the primary's log

    def fresh_as_of(self, sent: float, commit: int) -> None:
        """Note the primary's statement at time ``sent`` (s) that the log is committed up to ``commit``."""
        if self.applied >= commit:
            self.fresh = max(self.fresh, sent)

    def may_read_here(self) -> bool:
        """Whether a plain read may be answered from the store as it is."""
        if self.settings.reads != "backup":
            return False
        bound = self.settings.staleness
        if bound is None:
            return True
        if self.role == "primary":
            return (
                self.monotonic < self.lease_until
            )  # no other replica can have written; else the backups are asked
        return bool(self.now - self.fresh <= bound)  # the clocks of two nodes: wall clocks

    def on_session_request(self, src: str, msg: SessionRequest) -> None:
        if msg.command.kind not in self.store.reads:
            self.on_request(src, Request(msg.command))
        elif self._has_reached(msg):
            self.answer(src, msg.command, self.store.execute(msg.command))
        else:
            self.parked.append((src, msg))

    def _has_reached(self, token: SessionRequest) -> bool:
        """Whether the store contains everything that the session has seen.

        Positions of an older view count up to the start of this view: a failover keeps acknowledged writes, or
        (async) has lost them.
        """
        if token.view < self.log_view and self.applied >= self.view_start:
            return True
        return token.view <= self.log_view and self.applied >= token.position

    def answer_parked(self) -> None:
        """Answer the reads whose sessions the store has caught up with."""
        if self.parked:
            parked, self.parked = self.parked, []
            for src, msg in parked:
                self.on_session_request(src, msg)

    def reply_for(self, command: Command, status: str, value: Any, result: Any) -> Reply:
        """The reply to a command, with the token where sessions carry one."""
        if self.settings.reads != "session":
            return Reply(command.session, command.sequence, status, value, result)
        return SessionReply(
            command.session, command.sequence, status, value, result, self.log_view, self.applied
        )

    def on_request(self, src: str, msg: Request) -> None:
        raise NotImplementedError


class BackupReader(Client):
    """A client that reads at the nearest replica, and at the primary if the nearest is too far behind."""

    def on_start(self) -> None:
        self.reads: frozenset[str] = self.settings.system.application.reads
        self.referred: dict[int, bool] = {}  # sessions whose read is to go to the primary
        super().on_start()

    def target(self, command: Command, attempt: int) -> str:
        if command.kind in self.reads and not self.referred.pop(command.session, False):
            return self.contact()
        return super().target(command, attempt)

    def on_redirect(self, src: str, msg: Redirect) -> None:
        pending = self.pending.get(msg.session)
        if pending is not None and pending.command.kind in self.reads and msg.leader is not None:
            self.referred[msg.session] = True
        super().on_redirect(src, msg)

    def learn(self, src: str, msg: Reply) -> None:
        if self.pending[msg.session].command.kind not in self.reads:
            super().learn(src, msg)


class SessionReader(BackupReader):
    """A client with a token per session of what it has seen: read your writes at the nearest replica."""

    def on_start(self) -> None:
        self.tokens: dict[int, tuple[int, int]] = {}  # session -> (view, position)
        super().on_start()

    def request(self, command: Command) -> SessionRequest:
        return SessionRequest(command, *self.tokens.get(command.session, (0, 0)))

    def on_session_reply(self, src: str, msg: SessionReply) -> None:
        if msg.session in self.pending:
            self.tokens[msg.session] = max(self.tokens.get(msg.session, (0, 0)), (msg.view, msg.position))
        self.on_reply(src, msg)
