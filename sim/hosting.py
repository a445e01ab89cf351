"""The contract of a host. The simulator, the bench of a test and the host of a crashed node all fulfil it.

Each verb of `sim.node.Verbs` calls one of these methods; their behaviour is described there.
``tests/cluster/test_hosts_agree.py`` runs the same nodes under every host. This module also has the checks that all
hosts make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Protocol

from sim.stories import Called

__all__ = ["DiskContract", "HostContract", "NothingWaits", "callback", "require_delay", "require_work"]


class DiskContract(Protocol):
    """The disk on which durable fields are journalled; invariants read it, too."""

    @property
    def instant(self) -> bool:
        """Whether a write is durable at once."""

    @property
    def unsynced(self) -> int:
        """Greater than 0 while some written data is not durable yet."""

    @property
    def synced(self) -> int:
        """The number of the last record that is durable."""

    def last_change(self, field: str) -> int:
        """The number of the last record that changes a field and is not durable yet; 0 if there is none."""

    def durable(self, field: str, default: Any = None) -> Any:
        """The value of a field that would certainly survive a crash at this moment; ``default`` if none would."""

    def write(self, field: str, operation: str, argument: Any) -> None:
        """Journal one change of a durable field."""


class NothingWaits:
    """Base of disks on which each write is durable at once."""

    instant = True
    unsynced = 0
    synced = 0

    def last_change(self, field: str) -> int:
        """See `DiskContract.last_change`: there is no such record."""
        return 0


class HostContract(Protocol):
    """The interface that a node, or a part of a node, has as ``self.host``."""

    @property
    def disk(self) -> DiskContract:
        """Its disk."""

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members of its group."""

    @property
    def backlog(self) -> int:
        """See `Verbs.backlog`."""

    @property
    def is_paused(self) -> bool:
        """Whether the node is paused: alive, but none of its code runs."""

    def clock(self) -> float:
        """See `Verbs.now`."""

    def monotonic(self) -> float:
        """See `Verbs.monotonic`."""

    def send(self, dst: str, message: Any, hold: bool) -> None:
        """See `Verbs.send`."""

    def reply(self, src: str, message: Any, hold: bool) -> None:
        """See `Verbs.reply`."""

    def dispatch(self, src: str, message: Any) -> None:
        """See `Verbs.dispatch`."""

    def set_timer(self, owner: Any, name: str, delay: float, key: Any) -> None:
        """See `Verbs.set_timer`; ``owner``: the node, or the part of it whose timer it is."""

    def cancel_timer(self, owner: Any, name: str, key: Any) -> None:
        """See `Verbs.cancel_timer`."""

    def work(self, owner: Any, name: str, seconds: float, key: Any, priority: int) -> None:
        """See `Verbs.work`."""

    def cancel_work(self, owner: Any, name: str, key: Any) -> bool:
        """See `Verbs.cancel_work`."""

    def record(self, event: str, detail: dict[str, Any]) -> None:
        """See `Verbs.record`."""

    def barrier(self) -> None:
        """See `Verbs.barrier`."""

    def spawn(self, story: Any) -> Any:
        """See `Verbs.spawn`."""

    def expect(self, called: Called) -> None:
        """Called when a handler that yields is called: if no code has begun to run it by the end of the step, the
        host raises an error (`sim.stories.refuse_unbegun`).
        """

    def sleep(self, seconds: float) -> Any:
        """See `Verbs.sleep`."""

    def event(self) -> Any:
        """See `Verbs.event`."""

    def call(self, dst: str, request: Any, timeout: float | None) -> Any:
        """See `Verbs.call`."""

    def first_of(self, events: Iterable[Any]) -> Any:
        """See `Verbs.first_of`."""


def callback(owner: Any, name: str) -> Callable[..., Any]:
    """The handler of a timer or of work. Raises TypeError when ``owner`` has no such handler."""
    handler: Callable[..., Any] | None = getattr(owner, name, None)
    if handler is None:
        raise TypeError(f"{type(owner).__name__} has no handler {name}")
    return handler


def require_delay(node: str, timer: str, delay: float) -> None:
    """Raise ValueError for a timer delay (seconds) that is negative or not finite."""
    if not 0 <= delay < inf:
        raise ValueError(f"{node}: timer {timer!r} cannot be set {delay!r} s ahead")


def require_work(node: str, name: str, seconds: float) -> None:
    """Raise ValueError for work whose duration (seconds) is negative or not finite."""
    if not 0 <= seconds < inf:
        raise ValueError(f"{node}: work {name!r} cannot take {seconds!r} s")
