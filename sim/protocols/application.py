"""Applications: the deterministic state machines that protocols replicate.

Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach", ACM Computing Surveys 22(4), 1990.

Systems that replicate a log, or apply commands in one order, take an application: ``Raft(application=Bank())``. An
application does not know replicas, sessions and retries: these belong to the protocol (`sim.protocols.sessions`).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sim.made import Made
from sim.protocols.command import Command, Result
from sim.protocols.watching import made
from sim.refusals import refuse_shared_state

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["Application"]


class Application(Made):
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

    several_keys: ClassVar[frozenset[str]] = frozenset()
    """The kinds that may touch other keys than their own; all kinds, unless a subclass sets it.

    An application whose keys are independent objects says ``several_keys = frozenset()``: then its history is judged
    key by key, keys may be spread over groups, and commands on different keys commute.
    """

    judged_as: ClassVar[str | None] = None
    """The data model of `sim.analysis.checks.MODELS` that has the same meaning, and is judged faster.

    ``"auto"``: the narrowest that knows the operations. A subclass does not inherit it: its meaning may differ.
    """
    not_judged: ClassVar[frozenset[str]] = frozenset()
    """Reads that cannot be judged from a history: verdicts leave them out, and count them."""

    def __new__(cls, *arguments: Any, **given: Any) -> Self:
        application = super().__new__(cls, *arguments, **given)
        made(application)
        return application

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "replicas")
        if not any("several_keys" in vars(base) for base in cls.__mro__ if base is not Application):
            cls.several_keys = cls.operations
        for name in ("operations", "reads", "may_fail", "several_keys"):
            value = getattr(cls, name)
            if not isinstance(value, frozenset):
                raise TypeError(f"{cls.__name__}.{name} must be a frozenset of kinds, not {value!r}")
        unknown = sorted((cls.reads | cls.may_fail | cls.several_keys) - cls.operations)
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
        """The keys that a command reads or writes; None: everything. Two commands with no common key commute.

        Its own key, or, for the kinds in ``several_keys``, everything; an override may name fewer keys.
        """
        return None if command.kind in self.several_keys else frozenset({command.key})

    def touched(self, command: Command) -> tuple[str, ...] | None:
        """Like `touches`, in an order that is the same in every process."""
        keys = self.touches(command)
        return None if keys is None else tuple(sorted(keys))

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
        """Its name in labels of systems: what the command line takes."""
        return repr(self)
