"""Invariants of LeaseGuard (Davis, Demirbas, Deng, SIGMOD 2026): who may answer reads, and what they must see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.protocols.client import Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.invariants.leases import LeaseExcludes

__all__ = ["LeasedReadsAreFresh", "LeasesExclude"]


@dataclass
class LeasesExclude(LeaseExcludes):
    """While a leader may answer reads, no leader of a later term commits an entry of its own term."""

    title: ClassVar[str] = "a committed entry is a lease"

    def may_read(self, other: Any, node: Any) -> bool:
        return bool(other.current_term < node.current_term and other.is_leased())

    def lease_of(self, other: Any) -> str:
        created = f"{other.leased_from:g} s"
        return f"; its newest committed entry was created at {created}, and its clock shows {other.now:g} s"


@dataclass
class LeasedReadsAreFresh(RaftInvariant):
    """A read sees every entry about its keys that was committed when the client requested it.

    A leader with an inherited lease need not have applied the other ones.
    """

    title: ClassVar[str] = "leased reads are fresh"
    hears = (Request, Reply)
    asked: dict[tuple[int, int], tuple[int, Command]] = field(
        default_factory=dict
    )  # read -> entries committed, read

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Request and message.command.kind in self.history.application.reads:
            command = message.command
            now = (len(self.history.committed), command)
            self.asked.setdefault((command.session, command.sequence), now)
        elif message.__class__ is Reply and src in self.history.servers:
            self.answered(src, message)

    def answered(self, src: str, reply: Reply) -> None:
        """Check that a server that answers has applied the entries that the read must see."""
        needed, read = self.asked.get((reply.session, reply.sequence), (0, None))
        applied = self.history.servers[src].node.last_applied
        for index in range(applied, needed):
            missed = self.history.committed[index].command
            if read is not None and missed.session >= 0 and self.meet(read, missed):
                self.violated(
                    (src,),
                    f"{read!r} was asked with {needed} entries committed, entry {index + 1} of them {missed!r}",
                    f"{src} answers after applying {applied}",
                )

    def meet(self, read: Command, write: Command) -> bool:
        """Whether two commands have a key in common."""
        keys, others = (self.history.application.touches(command) for command in (read, write))
        return keys is None or others is None or not keys.isdisjoint(others)
