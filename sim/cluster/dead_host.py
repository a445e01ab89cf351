"""The host of a dead node: what the verbs of a node object reach after its crash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sim.hosting import HostContract
from sim.node import Handlers
from sim.stories import Called, generator_of

__all__ = ["DeadHost", "bury"]


def bury(owners: Iterable[Handlers], host: HostContract) -> None:
    """The node (and its parts) has crashed: whatever verb of the old objects is called, nothing happens any more."""
    dead = DeadHost(host)
    for owner in owners:
        owner.host = dead
        for field in type(owner)._durables:
            if hasattr(owner.__dict__[field], "_journal"):
                owner.__dict__[field]._journal = _write_nothing


class DeadHost:
    """What the verbs of a crashed node object reach: nothing happens any more."""

    def __init__(self, host: HostContract) -> None:
        self._host = host
        self.peers = host.peers
        self.backlog = 0
        self.is_paused = False
        self.disk = _NoDisk()
        self._died = host.monotonic()

    def clock(self) -> float:
        """Even a dead node may be asked the time, by code that inspects it."""
        return self._host.clock()

    def monotonic(self) -> float:
        """When it died: this clock ended with it."""
        return self._died

    def event(self) -> Any:
        """An event that nobody will trigger."""
        return self._host.event()

    def cancel_work(self, owner: Handlers, name: str, key: Any) -> bool:
        """There is no work."""
        return False

    def spawn(self, story: Any) -> Any:
        """A story of a dead node never begins."""
        generator = generator_of(story)
        if generator is not None:
            generator.close()
        return self.event()

    def expect(self, called: Called) -> None:
        """Nothing of a dead node's handler runs."""

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Sends, timers, work and records of a dead node are no more."""

    send = reply = dispatch = set_timer = cancel_timer = work = record = _nothing

    def barrier(self) -> None:
        """Nothing is written."""

    def sleep(self, seconds: float) -> Any:
        """A dead node sleeps for ever."""
        return self._host.event()

    def call(self, dst: str, request: Any, timeout: float | None) -> Any:
        """Nobody will answer."""
        return self._host.event()

    def first_of(self, events: Iterable[Any]) -> Any:
        """None of them comes."""
        return self._host.event()


class _NoDisk:
    """The disk under a dead node: writes go nowhere."""

    instant = True
    unsynced = 0

    def durable(self, field: str, default: Any = None) -> Any:
        """Nothing that this object could still write."""
        return default

    def write(self, field: str, operation: str, argument: Any) -> None:
        """Nothing is written."""


def _write_nothing(operation: str, argument: Any) -> None:
    """The journal of a dead node's logs and maps."""


if TYPE_CHECKING:
    _HOST: type[HostContract] = DeadHost  # mypy compares it with the contract
