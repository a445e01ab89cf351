"""Systems with a word changed, and scripts of operations with the faults between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sim import Scenario
from sim.network import constant
from sim.node import part
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.protocols.replication.dynamo import DynamoClient, DynamoNode
from sim.system import Member
from sim.workload import Arrival, Trace

DELTA = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(Dynamo):
    """Dynamo with another node or client class."""

    node_class: type[DynamoNode] = DynamoNode
    asks: type[DynamoClient] = DynamoClient

    @property
    def client_class(self) -> type[Any]:
        return self.asks

    def members(self) -> tuple[Member, ...]:
        return tuple(dataclasses.replace(m, node_class=self.node_class) for m in super().members())


def with_part(**parts: type[Any]) -> type[DynamoNode]:
    """A node some of whose parts are of another class."""
    return type("Mutant", (DynamoNode,), {name: part(cls) for name, cls in parts.items()})


def script(
    system: Dynamo, steps: Sequence[tuple[float, str, str, str]], *, duration: float = 5.0, **more: Any
) -> Scenario:
    """Operations (time, kind, key, where the client stands) on a network of constant delay 10 ms, checked."""
    arrivals = tuple(Arrival(time, kind, key, where) for time, kind, key, where in steps)
    more.setdefault("network", constant(DELTA))
    more.setdefault("retry", Retry(timeout=1.0))
    return Scenario(
        system=dataclasses.replace(system, heartbeat=0.05, detection=0.5),
        workload=Trace(arrivals=arrivals),
        duration=duration,
        check=True,
        trace=True,
        **more,
    )


@pytest.fixture
def broken() -> type[Broken]:
    return Broken


@pytest.fixture
def mutant() -> Callable[..., type[DynamoNode]]:
    return with_part


@pytest.fixture
def play() -> Callable[..., Scenario]:
    return script
