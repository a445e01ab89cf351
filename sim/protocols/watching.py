"""How a run with checking on sees what its replicas do with their applications; other runs pay nothing for it.

While a run is `watching`, each application that is made gets a subclass of its own class, which tells the listener
what is applied, and which states are saved and taken over. So a node of any shape is watched, as long as it applies
commands by `Application.apply`, and copies state by `Application.snapshot` and `Application.restore`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sim.protocols.application import Application
    from sim.protocols.command import Command, Result

__all__ = ["Listener", "made", "watching"]


class Listener(Protocol):
    """What hears of the applications of a run."""

    def made(self, application: Application) -> None:
        """An application was made, by a node or by anything else in the run."""

    def applied(self, application: Application, command: Command, result: Result) -> None:
        """A command that is no read has taken effect."""

    def saved(self, application: Application, snapshot: Any) -> None:
        """A snapshot was taken."""

    def restored(self, application: Application, snapshot: Any) -> None:
        """The state of a snapshot was taken over."""

    def copied(self, application: Application, original: Application) -> None:
        """An application was made that has the state of another one."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def watching(listener: Listener | None) -> Iterator[None]:
    """Tell this listener of all applications that are made meanwhile; None: nobody."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def made(application: Application) -> None:
    """Called with each new application."""
    listener = _listener.get()
    if listener is not None:
        application.__class__ = _watched(type(application))
        listener.made(application)


def _watched(kind: type[Application]) -> type[Application]:
    if "_watches" in vars(kind):
        return kind
    known: type[Application] | None = vars(kind).get("_watched")
    if known is None:
        known = _make(kind)
        kind._watched = known  # type: ignore[attr-defined]
    return known


def _make(kind: type[Application]) -> type[Application]:
    """The subclass of a class of applications that tells what is done. It knows no run: the context does."""
    reads = kind.reads

    def apply(self: Application, command: Command) -> Result:
        watched = self.__class__
        self.__class__ = kind  # it may apply the parts of a command itself: these are not told
        result = kind.apply(self, command)
        listener = _listener.get()
        if listener is None:  # outside the run: from now on nobody knows what it has applied
            return result
        self.__class__ = watched
        if command.kind not in reads and result.status == "ok":  # what fails changes nothing
            listener.applied(self, command, result)
        return result

    def snapshot(self: Application) -> Any:
        taken = kind.snapshot(self)
        listener = _listener.get()
        if listener is not None:
            listener.saved(self, taken)
        return taken

    def restore(self: Application, snapshot: Any) -> None:
        kind.restore(self, snapshot)
        listener = _listener.get()
        if listener is None:
            self.__class__ = kind
        else:
            listener.restored(self, snapshot)

    def copied(self: Application, memo: dict[int, Any]) -> Application:
        other = kind.__new__(kind)
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(vars(self), memo))
        listener = _listener.get()
        if listener is not None:
            listener.copied(other, self)
        return other

    methods: dict[str, Any] = {"apply": apply, "snapshot": snapshot, "restore": restore}
    if not hasattr(kind, "__deepcopy__"):
        methods["__deepcopy__"] = copied
    told = {name: vars(kind)[name] for name in ("__doc__", "__module__", "judged_as") if name in vars(kind)}
    return type(
        kind.__name__, (kind,), {**told, **methods, "__qualname__": kind.__qualname__, "_watches": kind}
    )
