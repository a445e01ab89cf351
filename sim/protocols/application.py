"""Applications: the deterministic state machines that protocols replicate.

Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach", ACM Computing Surveys 22(4), 1990.

Systems that replicate a log, or apply commands in one order, take an application: ``Raft(application=Bank())``. An
application does not know replicas, sessions and retries: these belong to the protocol (`sim.protocols.sessions`).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sim.protocols.command import Command, Result
from sim.refusals import refuse_shared_state

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["Application"]


class Application:
    """A deterministic state machine. Subclasses name their operations and override the methods below.

    The application in a system's field is a prototype that never changes: each replica works on a `fresh` copy. Two
    applications are equal if they have the same class and equal states.
    """

    operations: ClassVar[frozenset[str]] = frozenset()
    """The kinds of command that it has; a scenario refuses a workload with other kinds."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """The kinds that change nothing. A protocol may answer them under a lease, or at a backup. Their only argument is
    the key."""
    may_fail: ClassVar[frozenset[str]] = frozenset()
    """The kinds for which ``fail`` is an answer; for other kinds a failure does not count as progress."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "replicas")
        for name in ("operations", "reads", "may_fail"):
            value = getattr(cls, name)
            if not isinstance(value, frozenset):
                raise TypeError(f"{cls.__name__}.{name} must be a frozenset of kinds, not {value!r}")
        unknown = sorted((cls.reads | cls.may_fail) - cls.operations)
        if unknown:
            raise TypeError(f"{cls.__name__}: {', '.join(unknown)} are no operations of it")

    def apply(self, command: Command) -> Result:
        """Execute a command and return its result. Equal commands in equal states have equal results.

        An invalid command of a client (a transfer from an empty account) gives a `Result` with status ``fail`` and
        changes nothing. An exception is an error of the application and ends the run. The result must not depend on
        randomness, time, or the order of sets.
        """
        raise NotImplementedError

    def touches(self, command: Command) -> frozenset[str] | None:
        """The keys that a command reads or writes; None: everything. Two commands with no common key commute."""
        return None

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any] | None:
        """Draw key and argument of an operation for a workload; None: the workload draws them for a key-value store."""
        return None

    def snapshot(self) -> Any:
        """The whole state, as an immutable value; equal states have equal snapshots."""
        raise NotImplementedError

    def restore(self, snapshot: Any) -> None:
        """Replace the state by that of a snapshot."""
        raise NotImplementedError

    def fresh(self) -> Self:
        """A copy that shares no mutable state with this application."""
        return copy.deepcopy(self)

    @property
    def label(self) -> str:
        """Its name in tables and charts."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.label}()"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = (
        object.__hash__
    )  # an application is mutable: a hash by value would make `sim.values` take it for immutable
