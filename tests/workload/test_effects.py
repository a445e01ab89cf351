"""Nothing that is said of a workload is ignored: each field, changed, changes the run, or is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.network import matrix
from sim.protocols import Raft
from sim.workload import (
    YCSB,
    Arrival,
    ClosedLoop,
    Latest,
    Mix,
    NoLoad,
    OpenLoop,
    ReadAfterWrite,
    Trace,
    UniformKeys,
    Workload,
    Zipf,
)

ROWS = (Arrival(1.0, "get", "a"), Arrival(1.5, "put", "b", size=1000), Arrival(1.6, "put", "b"))

BASES: dict[str, Workload] = {
    "closed": ClosedLoop(clients=2, think=0.1),
    "closed, a mix": ClosedLoop(clients=2, think=0.1, mix="A"),
    "open": OpenLoop(clients=2, rate=20.0),
    "open, a mix": OpenLoop(clients=2, rate=20.0, mix=Mix({"put": 1, "cas": 1})),
    "trace": Trace(arrivals=ROWS, clients=2),
    "probe": ReadAfterWrite(writer="x", reader="y", every=0.1),
    "idle": NoLoad(),
}

# Field -> values of which each must change a run.
OTHERS: dict[str, list[Any]] = {
    "clients": [3, {"y": 2}],
    "keys": [UniformKeys(3), Zipf(5), Latest(7)],
    "reads": [0.0, 0.9],
    "value_bytes": [5000],
    "mix": ["B", "C", "D", "F", Mix({"increment": 1}), Mix({"append": 1, "delete": 1})],
    "start": [0.75, "first"],
    "columns": [{"time": "when"}],
    "unit": ["ms"],
    "scale": [1.5],
    "think": [0.3],
    "operations": [3],
    "rate": [35.0],
    "arrivals": ["constant", ROWS[:2]],
    "path": [],
    "digest": ["0" * 64],
    "until": [1.55],
    "writer": ["y"],
    "reader": ["x"],
    "waits": [(0.05,)],
    "trials": [4],
    "every": [0.2],
}


def told(workload: Workload) -> Any:
    """What a run tells of a workload: its operations, and the bytes that were sent."""
    network = matrix(["x", "y"], [[0.001, 0.004], [0.004, 0.001]], bandwidth=1e6)
    run = Scenario(system=Raft(nodes=3), network=network, workload=workload, duration=3.0).run(seed=1)
    return run.operations.drop(columns=["latency"]).to_csv(), run.operations["latency"].sum()


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return {name: told(workload) for name, workload in BASES.items()}


@pytest.mark.parametrize(
    ("base", "field"),
    [(name, f.name) for name, base in BASES.items() for f in dataclasses.fields(base) if f.init],
)
def test_a_field_that_is_changed_changes_the_run_or_is_refused(
    base: str, field: str, before: dict[str, Any]
) -> None:
    for value in OTHERS[field]:
        try:
            changed = dataclasses.replace(BASES[base], **{field: value})
        except ValueError as error:
            assert field in str(error)  # noqa: PT017 - most values are taken
            continue
        assert told(changed) != before[base], f"{field}={value!r} had no effect"


@pytest.mark.parametrize("make", [ClosedLoop, OpenLoop])
@pytest.mark.parametrize("letter", YCSB)
def test_every_ycsb_letter_issues_what_it_is_made_of(make: Any, letter: str) -> None:
    load = {"think": 0.02} if make is ClosedLoop else {"rate": 150.0}
    network = matrix(["x"], [[0.0001]])
    rows = (
        Scenario(
            system=Raft(nodes=3), network=network, workload=make(clients=3, mix=letter, **load), duration=4.0
        )
        .run(seed=1)
        .operations
    )
    kinds = rows["kind"].value_counts(normalize=True)
    assert set(kinds.index) == set(YCSB[letter].kinds)
    expected = {"A": 0.5, "B": 0.95, "C": 1.0, "D": 0.95, "E": 0.95, "F": 2 / 3}[letter]
    assert kinds.get("get", 0.0) + kinds.get("scan", 0.0) == pytest.approx(expected, abs=0.1)


def test_a_share_of_reads_beside_a_mix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reads=0.9 would have no effect: mix='A' says what is read"):
        ClosedLoop(mix="A", reads=0.9)
    assert ClosedLoop(mix=Mix({"put": 1}), keys=UniformKeys(3)).resolved_mix().keys == UniformKeys(3)


@pytest.mark.parametrize(
    "workload",
    [ClosedLoop(start=3.0), OpenLoop(start=5.0), ReadAfterWrite(writer="x", reader="y", start=3.0)],
    ids=lambda w: type(w).__name__,
)
def test_clients_that_would_begin_after_the_end_are_refused(workload: Workload) -> None:
    with pytest.raises(ValueError, match=r"start=.* is not before the end of the run, at 3.0 s"):
        told(workload)


def test_more_clients_and_operations_than_fit_in_memory_are_refused_with_the_number() -> None:
    with pytest.raises(ValueError, match=r"clients must be at most 100,000 .* not 1000000000"):
        ClosedLoop(clients=10**9)
    with pytest.raises(ValueError, match="120,000 clients are too many: at most 100,000 fit"):
        ClosedLoop(clients={"x": 60_000, "y": 60_000})
    with pytest.raises(ValueError, match=r"clients names no place: {}"):
        ClosedLoop(clients={})
    with pytest.raises(ValueError, match=r"keys must be a Keys or None, not 3"):
        ClosedLoop(keys=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rate=1000000000000.0 for 3 s are 3e.12 operations"):
        told(OpenLoop(rate=1e12))
