"""The host of a crashed node: it replaces the host of a node object after the crash, so that verbs have no effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sim.hosting import HostContract, NothingWaits
from sim.node import Handlers
from sim.stories import Called, generator_of

__all__ = ["DeadHost", "bury"]


def bury(owners: Iterable[Handlers], host: HostContract) -> None:
    """Give the objects of a crashed node (the node and its parts) a `DeadHost`: their verbs then have no effect."""
    dead = DeadHost(host)
    for owner in owners:
        owner.host = dead
        for field in type(owner)._durables:
            if hasattr(owner.__dict__[field], "_journal"):
                owner.__dict__[field]._journal = _write_nothing


class DeadHost:
    """The host of a crashed node object: its verbs have no effect."""

    def __init__(self, host: HostContract) -> None:
        self._host = host
        self.peers = host.peers
        self.backlog = 0
        self.is_paused = False
        self.disk = _NoDisk()
        self._died = host.monotonic()

    def clock(self) -> float:
        """The time of the node's wall clock, for code that inspects the object of a crashed node."""
        return self._host.clock()

    def monotonic(self) -> float:
        """The reading of the monotonic clock at the crash; the clock of that incarnation ended then."""
        return self._died

    def event(self) -> Any:
        """An event that will never happen, unless code of the old object triggers it."""
        return self._host.event()

    def cancel_work(self, owner: Handlers, name: str, key: Any) -> bool:
        """False: a crashed node has no work."""
        return False

    def spawn(self, story: Any) -> Any:
        """Close the story without starting it; the event that is returned never happens."""
        generator = generator_of(story)
        if generator is not None:
            generator.close()
        return self.event()

    def expect(self, called: Called) -> None:
        """No check: the handlers of a crashed node do not run."""

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Sends, timers, work and records of a crashed node have no effect."""

    send = reply = dispatch = set_timer = cancel_timer = work = record = _nothing

    def barrier(self) -> None:
        """No effect: nothing is written."""

    def sleep(self, seconds: float) -> Any:
        """An event that never happens: the sleep does not end."""
        return self._host.event()

    def call(self, dst: str, request: Any, timeout: float | None) -> Any:
        """An event that never happens: nothing is sent, and no reply comes."""
        return self._host.event()

    def first_of(self, events: Iterable[Any]) -> Any:
        """An event that never happens."""
        return self._host.event()


class _NoDisk(NothingWaits):
    """The disk of a crashed node object: writes have no effect."""

    def durable(self, field: str, default: Any = None) -> Any:
        """The default: this object has nothing on disk."""
        return default

    def write(self, field: str, operation: str, argument: Any) -> None:
        """No effect: nothing is written."""


def _write_nothing(operation: str, argument: Any) -> None:
    """The journal of the logs and maps of a crashed node: no effect."""


if TYPE_CHECKING:
    _HOST: type[HostContract] = DeadHost  # mypy compares it with the contract
