"""EPaxos*: the messages, and a replica's record of a command identifier (an instance)."""

from __future__ import annotations

from sim.node import message
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.epaxos import Instance

__all__ = [
    "NO_DEPS",
    "Accept",
    "AcceptOk",
    "Commit",
    "Deps",
    "PreAccept",
    "PreAcceptOk",
    "Record",
    "Recover",
    "RecoverOk",
    "Validate",
    "ValidateOk",
    "Waiting",
]


@message
class Deps:
    """A set of dependencies: of each row everything up to ``prefix``, and ``others`` (sorted) beyond.

    The prefix is what the first coordinator had executed when it got the command, and the same in all dependencies
    that are ever proposed for it. Dependencies that are not needed do no harm: all of them will be committed.
    """

    prefix: tuple[int, ...]
    others: tuple[Instance, ...]

    def __contains__(self, instance: Instance) -> bool:
        row, number = instance
        return (row < len(self.prefix) and number <= self.prefix[row]) or instance in self.others

    def joined(self, more: tuple[Instance, ...]) -> Deps:
        """These, and ``more``, all of which lie beyond the prefix."""
        return Deps(self.prefix, tuple(sorted({*self.others, *more})))


NO_DEPS = Deps((), ())
"""The dependencies of a no-op."""


@message
class Record:
    """A replica's record of an instance; in the paper: phase, cmd, dep, initCmd, initDep, bal and abal.

    ``init_command`` and ``init_deps`` are what the first coordinator proposed, once that is known; ``partner`` as in
    `PreAccept`.
    """

    status: int
    command: Command | None
    deps: Deps
    init_command: Command | None
    init_deps: Deps | None
    promised: Ballot
    accepted: Ballot
    partner: str = ""


@message
class PreAccept:
    """A command, with the dependencies as its first coordinator sees them (ballot 0).

    ``partner``, with three replicas: the replica that forms the fast quorum with the coordinator.
    """

    instance: Instance
    command: Command
    deps: Deps
    partner: str = ""


@message
class PreAcceptOk:
    """The dependencies as the sender sees them."""

    instance: Instance
    deps: Deps


@message
class Accept:
    """The slow path: requests to accept this command and these dependencies."""

    instance: Instance
    ballot: Ballot
    command: Command
    deps: Deps


@message
class AcceptOk:
    """Accepted in this ballot."""

    instance: Instance
    ballot: Ballot


@message
class Commit:
    """A command and its final dependencies."""

    instance: Instance
    command: Command
    deps: Deps


@message
class Recover:
    """A new coordinator requests the receiver's record of this instance."""

    instance: Instance
    ballot: Ballot


@message
class RecoverOk:
    """The sender's record when it joined the ballot."""

    instance: Instance
    ballot: Ballot
    record: Record


@message
class Validate:
    """Requests the instances that contradict a fast commit of this command with these dependencies."""

    instance: Instance
    ballot: Ballot
    command: Command
    deps: Deps


@message
class ValidateOk:
    """The contradicting instances, as (instance, whether it is committed): conflicting, without a dependency."""

    instance: Instance
    ballot: Ballot
    against: tuple[tuple[Instance, bool], ...]


@message
class Waiting:
    """A recovery of this instance waits for others; ``support`` replicas had pre-accepted what was first proposed."""

    instance: Instance
    support: int
