"""The default storm asks a system for every kind of operation that it has."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab import draw_storm, run_storm
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
    run = run_storm(draw_storm(system, 1, length=2.0), 1)
    assert run.check().ok
    assert set(run.operations["kind"]) == asked
