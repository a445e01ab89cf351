"""What hosts a node: the one contract of the simulator, of a bench in a test, and of a dead node's host.

Each verb of `sim.node.Verbs` asks one of these methods. What they promise is said there, and
``tests/cluster/test_hosts_agree.py`` runs the same nodes under every host. Checks that all hosts make stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Protocol

from sim.stories import Called

__all__ = ["DiskContract", "HostContract", "callback", "require_delay", "require_work"]


class DiskContract(Protocol):
    """Where durable fields are journalled; invariants look at it, too."""

    @property
    def instant(self) -> bool:
        """Whether a write is durable at once."""

    @property
    def unsynced(self) -> int:
        """Above 0 while something that was written is not durable yet."""

    def durable(self, field: str, default: Any = None) -> Any:
        """What a crash right now would certainly leave of a field."""

    def write(self, field: str, operation: str, argument: Any) -> None:
        """One change of a durable field."""


class HostContract(Protocol):
    """What a node, or a part of one, finds as ``self.host``."""

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
        """Whether the node stands still: alive, but nothing of it runs."""

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
        """A handler that yields was called: an error, if nobody has begun to run it when the step is over."""

    def sleep(self, seconds: float) -> Any:
        """See `Verbs.sleep`."""

    def event(self) -> Any:
        """See `Verbs.event`."""

    def call(self, dst: str, request: Any, timeout: float | None) -> Any:
        """See `Verbs.call`."""

    def first_of(self, events: Iterable[Any]) -> Any:
        """See `Verbs.first_of`."""


def callback(owner: Any, name: str) -> Callable[..., Any]:
    """The handler of a timer or of work; TypeError when there is none."""
    handler: Callable[..., Any] | None = getattr(owner, name, None)
    if handler is None:
        raise TypeError(f"{type(owner).__name__} has no handler {name}")
    return handler


def require_delay(node: str, timer: str, delay: float) -> None:
    """Raise ValueError for a timer that is set to the past, or to no time at all."""
    if not 0 <= delay < inf:
        raise ValueError(f"{node}: timer {timer!r} cannot be set {delay!r} s ahead")


def require_work(node: str, name: str, seconds: float) -> None:
    """Raise ValueError for work that takes no finite time."""
    if not 0 <= seconds < inf:
        raise ValueError(f"{node}: work {name!r} cannot take {seconds!r} s")
