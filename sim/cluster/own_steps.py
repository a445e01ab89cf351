"""The own steps of a node: steps at the same instant that the node itself has caused, such as a message to itself.

Own steps come before everything else that happens to the node at that instant, in the order in which the node caused
them. They use no core and no link. A pause keeps them for later. A crash destroys them, so that they never reach the
next incarnation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from simpy.events import URGENT

from sim.kernel import Environment, StandstillError

__all__ = ["MOST_AT_ONCE", "OwnStep", "OwnSteps"]

MOST_AT_ONCE = 1_000_000
"""How many messages to itself and parts of stories a node may handle at one instant; more means an endless loop."""

OwnStep = tuple[Any, Callable[..., None], tuple[Any, ...]]
"""(the node object that caused the step, function, arguments); each incarnation is another node object."""


class _Host(Protocol):
    """The interface of a host that own steps use."""

    name: str

    @property
    def env(self) -> Environment: ...
    @property
    def node(self) -> Any: ...
    @property
    def halt(self) -> Any: ...


class OwnSteps:
    """The own steps of the node on one host."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._env = host.env
        self._instant = -1.0
        self._taken = 0  # at that instant

    def add(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Call ``function(*arguments)`` as the node's next step, after the own steps that wait already."""
        env = self._env
        env.push((env._now, URGENT, env.serial(), self._take, (self._host.node, function, arguments)))

    def count(self) -> None:
        """Count an own step. Raises StandstillError for more than `MOST_AT_ONCE` at one instant."""
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
        """A pause is over: schedule the steps that it kept for now."""
        env = self._env
        for step in kept:
            env.push((env._now, URGENT, env.serial(), self._take, step))

    def _take(self, step: OwnStep) -> None:
        node, function, arguments = step
        host = self._host
        if host.node is not node:
            return  # the node has crashed since
        if host.halt is not None:
            host.halt.own_steps.append(step)
        else:
            function(*arguments)
