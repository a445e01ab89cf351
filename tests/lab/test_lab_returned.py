"""A value that a client replaced, or deleted, does not come back once all replicas agree."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.returned import refuse_returned
from sim.protocols import Crdt, Dynamo, MultiPrimary, Raft
from sim.recorder import COLUMNS
from sim.system import SafetyViolation


def row(process: int, kind: str, value: Any, called: float, status: str = "ok") -> tuple[Any, ...]:
    known = {
        "process": process,
        "kind": kind,
        "key": "k",
        "value": value,
        "called": called,
        "returned": called + 0.5,
        "status": status,
        "client": f"c{process}",
    }
    return tuple(known.get(name) for name in COLUMNS["operations"])


PUT, DELETE = row(0, "put", 7, 1.0), row(0, "delete", None, 2.0)
READ, LATER = row(1, "get", 7, 2.0), row(1, "put", 8, 3.0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((PUT, DELETE), "c0 wrote 7 of k at 1.000000 s"),
        ((PUT, READ, LATER), "c1 read 7 of k at 2.000000 s"),
    ],
)
@pytest.mark.parametrize("held", [7, (7, 9)])
def test_a_value_that_its_client_replaced_is_refused(rows: tuple[Any, ...], said: str, held: Any) -> None:
    with pytest.raises(SafetyViolation, match="what was replaced stays replaced") as found:
        refuse_returned(rows, {"n0": {"k": held}}, 9.0)
    assert found.value.facts[0] == said


@pytest.mark.parametrize(
    ("rows", "held"),
    [
        ((PUT, DELETE), None),
        ((PUT, row(0, "delete", None, 2.0, "info")), 7),  # nobody knows whether it took effect
        ((PUT, row(1, "delete", None, 2.0)), 7),  # it did not know of the value
        ((PUT, row(0, "delete", None, 1.2)), 7),  # the write was under way
        ((PUT, DELETE, row(2, "put", 7, 3.0)), 7),  # one of two writes of this value
        ((PUT, DELETE, row(2, "increment", 1, 3.0)), 7),  # a value that nobody wrote
        ((row(1, "put", 8, 0.1), PUT), 7),
    ],
)
def test_a_value_that_may_stand_is_not_accused(rows: tuple[Any, ...], held: Any) -> None:
    refuse_returned(rows, {"n0": {"k": held}}, 9.0)


def test_only_systems_that_promise_it_are_asked() -> None:
    systems = (MultiPrimary(), Dynamo(), MultiPrimary(conflicts="siblings"))
    assert all(system.replaces for system in systems)
    others = (Raft(), Crdt(), MultiPrimary(clock="wall"), Dynamo(stamps="coordinator"))
    assert not any(system.replaces for system in others)
