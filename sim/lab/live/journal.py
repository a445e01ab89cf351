"""The journal of a live session: how far it ran, and what was done to it by hand in between."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import wraps
from types import FunctionType
from typing import Any, Literal, TypeVar

from sim.lab.live.source import snapshot
from sim.system import Violation

__all__ = ["LOOKS", "Journal", "JournalEntry", "keeps_journal"]

C = TypeVar("C", bound=type)
R = TypeVar("R")

LOOKS = frozenset(
    {
        *("is_up", "is_well", "find", "everyone", "reached", "disk_failure"),
        *("run", "step", "back", "script", "text", "blocks"),
    }
)
"""The public methods of a simulation that are no interventions: they look, or have their own entries."""

Ending = Literal["", "raised", "interrupted"]


@dataclass(frozen=True)
class JournalEntry:
    """A line of the journal.

    Attributes
    ----------
    verb: ``"run"``, ``"step"``, or the name of a method that acts.
    arguments, options: what it was called with; of ``step``: how many steps.
    time: simulated seconds, when it began (an intervention) or ended (``run``, ``step``).
    ending: ``"raised"``: it ended with an exception. ``"interrupted"``: the user stopped it within an event.
    error: the class of that exception.
    """

    verb: str
    arguments: tuple[Any, ...]
    time: float
    options: dict[str, Any] = field(default_factory=dict)
    ending: Ending = ""
    error: type[BaseException] | None = None

    @property
    def moves(self) -> bool:
        """Whether it only lets time pass."""
        return self.verb in ("run", "step")


class Journal:
    """The entries of a session. While the session itself acts (a fault, a nested call), nothing is noted."""

    def __init__(self) -> None:
        self._entries: list[JournalEntry] = []
        self._steps, self._stepped_to = 0, 0.0  # steps that have no entry yet
        self.under_way = ""
        """The verb of the entry that is being made; empty: the user is at the wheel."""

    @contextmanager
    def quiet(self, verb: str) -> Iterator[None]:
        """Note nothing within: it is part of this verb."""
        self.under_way = verb
        try:
            yield
        finally:
            self.under_way = ""

    @property
    def entries(self) -> list[JournalEntry]:
        """All entries so far."""
        if self._steps:
            last = self._entries[-1] if self._entries else None
            before = 0
            if last is not None and last.verb == "step" and not last.ending:
                before = self._entries.pop().arguments[0]
            self._entries.append(JournalEntry("step", (before + self._steps,), self._stepped_to))
            self._steps = 0
        return self._entries

    def move(self, verb: str, amount: float, call: Callable[[], R], now: Callable[[], float]) -> R:
        """Let time pass by a call, and note it. Moves that follow each other are one, unless one of them failed."""
        if self.under_way:
            return call()
        self.under_way = verb
        try:
            result = call()
        except BaseException as error:
            self.entries.append(
                JournalEntry(verb, (amount,), now(), ending=_ending(error), error=type(error))
            )
            raise
        finally:
            self.under_way = ""
        if verb == "step":  # counted only, until an entry is needed: there may be millions
            self._steps += 1
            self._stepped_to = now()
            return result
        entries = self.entries
        while entries and entries[-1].moves and not entries[-1].ending:
            entries.pop()  # where a run ends does not depend on the moves on the way
        entries.append(JournalEntry(verb, (amount,), now()))
        return result

    def act(self, owner: Any, method: Callable[..., Any], given: tuple[Any, ...], options: Any) -> Any:
        """Call a method of the session, and note it. A call that is refused is not noted."""
        if self.under_way:
            return method(owner, *given, **options)
        given = tuple(map(_kept, given))
        options = {name: _kept(value) for name, value in options.items()}
        noted = tuple(map(_noted, given)), {name: _noted(value) for name, value in options.items()}
        entry = JournalEntry(method.__name__, noted[0], owner.now, noted[1])
        try:
            with self.quiet(entry.verb):
                result = method(owner, *given, **options)
        except (Violation, KeyboardInterrupt) as error:
            self.entries.append(replace(entry, ending=_ending(error), error=type(error)))
            raise
        self.entries.append(entry)
        return result


def _ending(error: BaseException) -> Ending:
    return "raised" if isinstance(error, Exception) else "interrupted"


def _kept(value: Any) -> Any:
    """An argument as the session uses it: what a function reads from outside is read now, once."""
    return snapshot(value) if isinstance(value, FunctionType) else value


def _noted(value: Any) -> Any:
    """An argument as the journal keeps it: a list may change later."""
    return copy(value) if isinstance(value, list | dict) else value


def keeps_journal(cls: C) -> C:
    """A class of simulations whose public methods, inherited ones too, are noted in its ``_journal``; but for `LOOKS`.

    Stands above `sim.arguments.checked_methods`, so that a refused argument is not noted.
    """
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_") and name not in LOOKS and not hasattr(member, "is_noted"):
            setattr(cls, name, _noting(member))
    return cls


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def act(self: Any, *given: Any, **options: Any) -> Any:
        journal: Journal | None = getattr(self, "_journal", None)
        if journal is None:  # it is still being made
            return method(self, *given, **options)
        return journal.act(self, method, given, options)

    act.is_noted = True  # type: ignore[attr-defined]
    return act
