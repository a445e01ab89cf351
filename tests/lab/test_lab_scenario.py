"""Scenarios refuse at construction what cannot work, derive what is not given, and can be varied field by field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Member, Node, Retry, Scenario
from sim.cluster import CLOUD_MACHINE, Machine
from sim.faults import Crash, RandomCrashes
from sim.kernel import StandstillError, endings
from sim.network import Constant, Exponential, constant, lan, matrix, wan
from sim.protocols import MultiPaxos, Paxos, PrimaryBackup, Raft
from sim.workload import YCSB, Arrival, ClosedLoop, Mix, OpenLoop, Trace, UniformKeys


def scenario(**changes: Any) -> Scenario:
    base: dict[str, Any] = {"system": Raft(nodes=3), "network": constant(0.01), "duration": 2.0}
    return Scenario(**{**base, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faults": ["crash"]}, "each entry of faults must be a Fault, not 'crash'"),
        ({"warmup": 2.0}, "warmup must be below the duration, or 'auto', not 2.0"),
        (
            {"sample_every": 1e-9},
            "sample_every=1e-09 makes 2e.09 rows of each gauge in 2.0 s: at most 100,000,000",
        ),
        ({"system": Raft(nodes=3, heartbeat=1e-12)}, "heartbeat=1e-12 makes 2e.12 heartbeats in 2.0 s"),
        ({"faults": [RandomCrashes(1e-9, 1.0)]}, "mttf=1e-09 makes 2e.09 faults in 2.0 s"),
        ({"workload": Trace(arrivals=(Arrival(5.0, "get", "a"),))}, "1 of 1 rows lie outside a run of 2.0 s"),
        ({"machines": {"n9": Machine()}}, "machines names 'n9'; the members are n0, n1, n2"),
        ({"workload": ClosedLoop(clients={"mars": 1})}, "mars"),
        ({"leader": "mars"}, "mars"),
        (
            {"system": Paxos(nodes=3), "workload": ClosedLoop(mix=Mix({"append": 1.0}))},
            "does not support append",
        ),
    ],
)
def test_a_scenario_that_cannot_work_is_refused_with_the_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scenario(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClosedLoop(clients=0), "clients must be at least 1, not 0"),
        (lambda: ClosedLoop(reads=1.5), "reads must be between 0 and 1, not 1.5"),
        (lambda: ClosedLoop(mix="Z"), "there is no YCSB workload 'Z'"),
        (lambda: Trace(), "a path or arrivals are needed"),
        (lambda: UniformKeys(0), "number of keys must be an integer of at least 1, not 0"),
        (lambda: Mix({"get": 0.0}), "each entry of weights must be positive, not 0.0"),
        (lambda: Retry(backoff=2.0, backoff_max=1.0), "backoff <= backoff_max must hold, not 2.0, 1.0"),
        (lambda: Member("s", Node, place="x", colocated_with="n0"), "colocated_with.: give one of them"),
        (lambda: scenario().run(seed=-1), "a seed is an integer >= 0, not -1"),
    ],
)
def test_every_value_is_refused_where_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_failure_detection_follows_one_rule_for_all_systems() -> None:
    far = wan("virginia", "tokyo", "ireland")
    for system in (Raft(nodes=3), MultiPaxos(nodes=3), PrimaryBackup(nodes=3)):
        derived = scenario(system=system, network=far).derived
        rtt = max(far.median_rtt(a, b) for a in far.regions for b in far.regions)
        assert derived["heartbeat"] == pytest.approx(rtt)
        assert derived["detection"] == pytest.approx(10 * rtt)
        assert derived["client_timeout"] == pytest.approx(4 * rtt)
        near = scenario(system=system).derived
        assert (near["heartbeat"], near["detection"], near["client_timeout"]) == (0.05, 0.5, 1.0)


def test_given_times_are_kept() -> None:
    given = scenario(system=Raft(nodes=3, heartbeat=0.1, detection=0.7), retry=Retry(timeout=0.3)).derived
    assert (given["heartbeat"], given["detection"], given["client_timeout"]) == (0.1, 0.7, 0.3)


@pytest.mark.parametrize("system", [Raft(nodes=3), MultiPaxos(nodes=3), PrimaryBackup(nodes=3)])
def test_leaders_and_primaries_start_where_the_scenario_says(system: Any) -> None:
    network = matrix(["x", "y", "z"], [[0.001] * 3] * 3)
    simulation = scenario(system=system, network=network, leader="y").start(seed=1)
    simulation.run(until=0.5)
    assert simulation.leader == "n1"


def test_fields_are_varied_to_any_depth() -> None:
    base = scenario(workload=OpenLoop(rate=10.0), machines=CLOUD_MACHINE)
    assert base.vary("duration", 5.0).duration == 5.0
    assert base.vary("workload__rate", 20.0).workload == OpenLoop(rate=20.0)
    assert base.vary("machines__disk__fsync", 0.003).machines.disk.latency == Constant(0.003)  # type: ignore[union-attr]
    assert base.vary("machines.disk.fsync", 0.003) == base.vary("machines__disk__fsync", 0.003)
    assert base == scenario(workload=OpenLoop(rate=10.0), machines=CLOUD_MACHINE)
    for path, message in (
        ("speed", "a scenario has no field 'speed'"),
        ("workload__speed", r"workload \(OpenLoop\) has no field 'speed'"),
        ("duration__x", "duration is 2.0, whose fields cannot be varied"),
    ):
        with pytest.raises(ValueError, match=message):
            base.vary(path, 1)
    with pytest.raises(ValueError, match="rate must be positive"):
        base.vary("workload__rate", -1)


def test_a_field_is_swept_by_either_spelling_of_its_path() -> None:
    base = scenario(duration=0.3)
    dotted, underscored = (base.sweep({name: [3]}, workers=1) for name in ("system.nodes", "system__nodes"))
    assert dotted.fields == underscored.fields == ("system__nodes",)
    assert dotted.table().equals(underscored.table())
    for twice in ({"system.nodes": [3], "system__nodes": [5]}, {"system.nodes": [3], "system": [Raft()]}):
        with pytest.raises(ValueError, match=r"^system__nodes is given (twice|before system as a whole)"):
            base.sweep(twice)
    with pytest.raises(ValueError, match=r"system\.nodes is given twice"):
        base.sweep({"system.nodes": [3]}, system__nodes=[5])


def test_each_ycsb_workload_runs_by_name() -> None:
    for letter in YCSB:
        run = scenario(workload=ClosedLoop(clients=3, mix=letter)).run(1)
        kinds = run.operations["kind"].value_counts(normalize=True)
        assert len(run.operations) > 50
        expected = {"A": 0.5, "B": 0.95, "C": 1.0, "D": 0.95, "E": 0.95, "F": 2 / 3}[letter]
        reads = kinds.get("get", 0.0) + kinds.get("scan", 0.0)
        assert reads == pytest.approx(expected, abs=0.12)


def test_a_trace_is_played_when_and_where_it_says(tmp_path: Any) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time,op,key,region,bytes\n0.5,write,a,y,100\n0.25,read,b,x,\n1.0,increment,c,x,\n")
    network = matrix(["x", "y"], [[0.001] * 2] * 2)
    run = scenario(network=network, workload=Trace(path=path)).run(1)
    rows = run.operations[["called", "kind", "key", "region"]].values.tolist()
    assert rows == [[0.25, "get", "b", "x"], [0.5, "put", "a", "y"], [1.0, "increment", "c", "x"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a trace needs a header with time,op,key"),
        ("when,what\n1,get\n", "a trace needs a header with time,op,key"),
        ("time,op,key\n1,get,a\nsoon,get,a\n", "line 3, column .time.: a number >= 0 is needed, not .soon."),
        ("time,op,key\n1,fly,a\n", "line 2: op 'fly' is none of"),
        ("time,op,key\n1,get,\n", "line 2: the key is missing"),
    ],
)
def test_a_trace_that_cannot_be_read_is_refused_with_its_line(tmp_path: Any, text: str, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Trace(path=path)


def test_open_loop_latency_begins_when_the_operation_was_due() -> None:
    # One core serves a message in 20 ms, and 100 requests a second come: the backlog grows, and so must latency.
    slow = scenario(
        system=Raft(nodes=1),
        machines=Machine(per_message=0.02),
        workload=OpenLoop(rate=100.0, arrivals="constant", reads=1.0),
        duration=4.0,
    )
    operations = slow.run(1).operations
    assert operations["called"].diff().dropna().to_numpy() == pytest.approx(0.01)
    answered = operations[operations["status"] == "ok"]
    assert answered["latency"].iloc[-1] > 1.0
    assert answered["returned"].to_numpy() == pytest.approx(answered["called"] + answered["latency"])


def test_unanswered_operations_stay_in_the_frame_without_a_return() -> None:
    dead = scenario(
        network=dataclasses.replace(lan(Exponential(0.001)), loss=1.0), workload=ClosedLoop(clients=10)
    )
    operations = dead.run(1).operations
    assert len(operations) == 10
    assert set(operations["status"]) == {"info"}
    assert operations["returned"].isna().all()


def test_clients_that_ask_endlessly_at_one_instant_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endings, "CROWD", 10_000)
    endless = scenario(network=constant(0.0), workload=ClosedLoop(clients=2))
    with pytest.raises(StandstillError, match=r"time stands still at .* clients a think time") as caught:
        endless.run(1)
    assert any("seed 1" in note for note in caught.value.__notes__)
    assert (
        len(scenario(network=constant(0.0), workload=ClosedLoop(clients=2, think=0.1)).run(1).operations) > 30
    )


def test_fields_that_work_only_together_are_changed_together() -> None:
    base = Scenario(
        system=Raft(nodes=3, heartbeat=0.1, detection=1.0), faults=[Crash("leader", at=5.0)], duration=9.0
    )
    short = base.vary_all({"duration": 2.0, "faults": [], "system__heartbeat": 2.0, "system.detection": 20.0})
    assert (short.duration, short.faults) == (2.0, ())
    assert (short.system.heartbeat, short.system.detection) == (2.0, 20.0)
    with pytest.raises(ValueError, match="would never happen"):
        base.vary("duration", 2.0)
    inner = base.vary_all({"system": Raft(nodes=5), "system__pre_vote": True})
    assert inner.system == Raft(nodes=5, pre_vote=True)
