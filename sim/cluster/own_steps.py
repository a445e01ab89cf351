"""What a node does next, at the same instant, because it said so itself: handling a message to itself.

Such a step comes before all else that happens to the node at that instant, in the order in which the node asked for
it. It passes no core and no link. A pause keeps it; a crash destroys it, so that it never reaches the next incarnation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappush
from typing import Any, Protocol

from simpy.events import URGENT

from sim.kernel import Environment, StandstillError

__all__ = ["MOST_AT_ONCE", "OwnStep", "OwnSteps"]

MOST_AT_ONCE = 1_000_000
"""How many messages to itself and parts of stories a node may handle at one instant; more would never end."""

OwnStep = tuple[Any, Callable[..., None], tuple[Any, ...]]
"""The node that asked for it (its object: the next incarnation is another), and what is to be called."""


class _Host(Protocol):
    """What this needs of the host of the node."""

    name: str

    @property
    def env(self) -> Environment: ...
    @property
    def node(self) -> Any: ...
    @property
    def halt(self) -> Any: ...


class OwnSteps:
    """The next steps of the node on one host."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._env = host.env
        self._instant = -1.0
        self._taken = 0  # at that instant

    def add(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Call ``function(*arguments)`` as the node's next step, after those that it has asked for already."""
        self._push((self._host.node, function, arguments))

    def count(self) -> None:
        """Another step that the node itself has caused; StandstillError when there are too many at one instant."""
        now = self._env._now
        if now != self._instant:
            self._instant, self._taken = now, 0
        self._taken += 1
        if self._taken > MOST_AT_ONCE:
            raise StandstillError(
                f"{self._host.name} has taken more than {MOST_AT_ONCE:,} steps of its own (messages to itself, "
                f"parts of stories) at {now!r} s: time does not go on"
            )

    def go_on(self, kept: Iterable[OwnStep]) -> None:
        """A pause is over: what it kept comes now."""
        for step in kept:
            self._push(step)

    def _push(self, step: OwnStep) -> None:
        env = self._env
        heappush(env._heap, (env._now, URGENT, next(env._eid), self._take, step))

    def _take(self, step: OwnStep) -> None:
        node, function, arguments = step
        host = self._host
        if host.node is not node:
            return  # it crashed
        if host.halt is not None:
            host.halt.own_steps.append(step)
        else:
            function(*arguments)
