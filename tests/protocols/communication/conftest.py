"""Storms with a client at each replica: all of them at the same one would see nothing of the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sim.lab.run import Run
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm, run_storm
from sim.protocols.communication import BroadcastStore
from sim.system import Invariant
from sim.testing import survive


class Narrator(Invariant):
    """Writes a short run down for people, in the order of time.

    ``describe(message)`` gives the text of a message, "" to leave it out; ``tell(event, detail)`` that of an event."""

    def __init__(self, describe: Callable[[Any], str], tell: Callable[[str, Mapping[str, Any]], str]) -> None:
        super().__init__()
        self.describe = describe
        self.tell = tell
        self.lines: list[str] = []

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if text := self.tell(event, detail):
            self.lines.append(f"{self.now() * 1000:6.1f} ms  {node:7}*** {text}")

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if (text := self.describe(message)) and src != dst:
            self.lines.append(f"{self.now() * 1000:6.1f} ms  {src:6} -> {dst:6} {text}")


@pytest.fixture
def narrate() -> Callable[..., Narrator]:
    """``narrate(cluster, describe, tell)`` lets a `Narrator` listen to a cluster that is made with ``checking``."""

    def listen(cluster: Any, *how: Any) -> Narrator:
        narrator = Narrator(*how)
        cluster.watch([narrator])
        return narrator

    return listen


BOUND = 5.0  # seconds after the storm within which clients have their answers and replicas have the same


def beside(system: Any, seed: int, length: float) -> Scenario:
    """A storm with a client beside each replica."""
    clients: Any = dict.fromkeys(system.names, 1)
    drawn = draw_storm(system, seed, length=length, clients=len(clients))
    workload = dataclasses.replace(drawn.workload, clients=clients)  # type: ignore[arg-type]
    return dataclasses.replace(drawn, workload=workload)


def storm(system: Any, seed: int, length: float = 2.0) -> Run:
    """A storm with a client beside each replica; then calm, until nothing is under way any more."""
    return run_storm(beside(system, seed, length), seed, bound=BOUND)


@pytest.fixture
def weather_beside() -> Callable[..., Run]:
    """``weather_beside(system, seed, length)``: see `storm`."""
    return storm


@pytest.fixture
def survive_beside() -> Callable[..., Run]:
    """``survive_beside(system, seed, length)``: `sim.testing.survive` in such a storm; losses are counted elsewhere."""

    def run(system: BroadcastStore, seed: int, length: float = 2.0) -> Run:
        return survive(system, seed, scenario=beside(system, seed, length), bound=BOUND, may_lose=True)

    return run


@pytest.fixture
def find_violation() -> Callable[..., str]:
    """``find_violation(system, seeds)``: the invariant that the first failing storm breaks; "" when none fails."""

    def run(system: BroadcastStore, seeds: range = range(40)) -> str:
        for seed in seeds:
            violation = storm(system, seed).violation
            if violation is not None:
                return violation.invariant
        return ""

    return run
