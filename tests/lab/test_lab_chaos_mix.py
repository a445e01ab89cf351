"""The default storm asks a system for every kind of operation that it has."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab import chaos, chaos_scenario
from sim.protocols import Crdt


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("or-set", {"get", "add", "remove"}),
        ("or-map", {"get", "put", "delete"}),
        ("pn-counter", {"get", "increment"}),
    ],
)
def test_a_storm_asks_for_all_that_a_data_type_can_do(kind: Any, asked: set[str]) -> None:
    system = Crdt(kind=kind)
    run = chaos(system, 1, scenario=chaos_scenario(system, 1, storm=2.0))
    assert run.check().ok
    assert set(run.operations["kind"]) == asked
