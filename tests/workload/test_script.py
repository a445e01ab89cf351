"""Scripts: a fixed list of operations for each client; the run of another workload, operation by operation."""

from __future__ import annotations

import pytest

from sim import Scenario
from sim.network import constant
from sim.protocols import Abd
from sim.workload import ClosedLoop, Script, ScriptedCall

LOOP = ClosedLoop(clients=2)


def run(
    *calls: ScriptedCall, delta: float = 0.01, clients: tuple[str, ...] | None = None
) -> list[tuple[object, ...]]:
    scenario = Scenario(
        system=Abd(nodes=3),
        network=constant(delta),
        workload=Script(of=LOOP, calls=calls, clients=clients),
        duration=1.0,
    )
    rows = scenario.run(seed=1).operations
    columns = (rows["client"], rows["called"].round(6), rows["kind"], rows["key"], rows["value"])
    return list(zip(*columns, strict=True))


def test_each_client_issues_its_operations_when_they_are_due() -> None:
    calls = (
        ScriptedCall("c1", 0.3, "put", "y", 7),
        ScriptedCall("c0", 0.0, "put", "x", 1),
        ScriptedCall("c0", 0.5, "get", "x"),
    )
    assert run(*calls) == [
        ("c0", 0.0, "put", "x", 1),
        ("c1", 0.3, "put", "y", 7),
        ("c0", 0.5, "get", "x", 1),
    ]


def test_an_operation_waits_for_the_answer_to_the_one_before() -> None:
    calls = (ScriptedCall("c0", 0.0, "put", "x", 1), ScriptedCall("c0", 0.01, "get", "x"))
    assert [row[1] for row in run(*calls)] == [0.0, 0.04]


def test_clients_that_take_no_part_do_not_exist() -> None:
    scenario = Scenario(system=Abd(nodes=3), workload=Script(of=LOOP, clients=("c1",)))
    assert [name for name in scenario.start(1).nodes if name.startswith("c")] == ["c1"]


@pytest.mark.parametrize(
    ("calls", "clients", "said"),
    [
        ((ScriptedCall("c0", 0.0, "get", "x"),), ("c1",), "is of none of the clients c1"),
        ((ScriptedCall("c7", 0.0, "get", "x"),), None, "there is no client 'c7'; there are c0, c1"),
        ((ScriptedCall("c0", 2.0, "get", "x"),), None, "is not before the end of the run, at 1.0 s"),
    ],
)
def test_operations_that_nobody_would_issue_are_refused(
    calls: tuple[ScriptedCall, ...], clients: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run(*calls, clients=clients)


def test_a_kind_that_nobody_serves_and_a_script_of_a_script_are_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        ScriptedCall("c0", 0.0, "wink", "x")
    with pytest.raises(ValueError, match="not another script"):
        Script(of=Script(of=LOOP))
