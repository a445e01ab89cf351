"""Applications: what is replicated. A deterministic state machine, which a protocol applies in its order.

Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach", ACM Computing Surveys 22(4), 1990.

Systems that replicate a log, or apply commands in order, take one: ``Raft(application=Bank())``. An application knows
nothing of replicas, sessions and retries: those belong to the protocol (`sim.protocols.sessions`).
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
    """A deterministic state machine. Subclasses name their operations and override what follows.

    What a system holds is a prototype, which never changes: each replica works on `fresh`. Two applications are equal
    when they are of one class and begin in equal states.
    """

    operations: ClassVar[frozenset[str]] = frozenset()
    """The kinds of command that it knows; a workload that asks for others is refused."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """The kinds that change nothing. A protocol may answer them by a lease, or at a backup. They take no argument but
    their key."""
    may_fail: ClassVar[frozenset[str]] = frozenset()
    """The kinds to which ``fail`` is an answer; for other kinds a failure is no progress."""

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
        """Carry out a command, and say what came of it. Equal commands in equal states have equal results.

        A client's mistake (a transfer from an empty account) is a `Result` with the status ``fail``, which changes
        nothing; an exception is a mistake of the application and ends the run. No randomness, time, order of sets.
        """
        raise NotImplementedError

    def touches(self, command: Command) -> frozenset[str] | None:
        """The keys that a command reads or writes; None: everything. Two commands with no common key commute."""
        return None

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any] | None:
        """Key and argument of an operation for a workload; None: the workload draws them as for a key-value store."""
        return None

    def snapshot(self) -> Any:
        """The whole state, as an immutable value; equal states have equal snapshots."""
        raise NotImplementedError

    def restore(self, snapshot: Any) -> None:
        """Become what a snapshot says."""
        raise NotImplementedError

    def fresh(self) -> Self:
        """One like this that shares nothing with it."""
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
    )  # it changes: what may be shared or written to disk is found by hashes of values
