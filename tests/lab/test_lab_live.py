"""Live simulations: step by step, look, crash, hold and release; comparisons and their differences."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from sim import Scenario, Simulation, compare, sweep
from sim.network import Exponential, constant, lan
from sim.protocols import MultiPaxos, PrimaryBackup, Raft
from sim.workload import ClosedLoop, UniformKeys


def scenario(**changes: object) -> Scenario:
    base: dict[str, object] = {
        "system": Raft(nodes=3),
        "network": constant(0.01),
        "workload": ClosedLoop(clients=2, keys=UniformKeys(3)),
        "duration": 3.0,
    }
    return Scenario(**{**base, **changes})  # type: ignore[arg-type]


def test_running_in_pieces_or_by_single_steps_is_running_at_once() -> None:
    whole = scenario(trace=True).start(seed=2)
    whole.run()
    pieces = scenario(trace=True).start(seed=2)
    for until in (0.1, 0.5, 1.7):
        pieces.run(until=until)
        assert pieces.now == until
    while pieces.env.peek() < 3.0:
        assert pieces.step()
    for simulation in (whole, pieces):
        simulation.finish()
    answered = [[r for r in s.recorder.operations if r[7] != "info"] for s in (whole, pieces)]
    assert len(answered[0]) > 100
    assert answered[0] == answered[1]
    assert [r for r in whole.recorder.messages if r[4] < 3.0] == [
        r for r in pieces.recorder.messages if r[4] < 3.0
    ]


def test_a_crash_by_hand_is_seen_and_survived() -> None:
    simulation = scenario(check=True).start(seed=1)
    simulation.run(until=1.0)
    leader = simulation.leader
    assert leader is not None
    simulation.crash(leader)
    assert simulation.leader is None
    assert leader not in simulation.members
    simulation.run(until=2.9)
    assert simulation.leader not in (None, leader)
    simulation.restart(leader)
    simulation.run()
    assert simulation.nodes[leader].incarnation == 1


def test_holding_back_the_leaders_messages_starves_its_followers_until_release() -> None:
    simulation = scenario(duration=10.0).start(seed=1)
    simulation.run(until=1.0)
    leader = simulation.leader
    simulation.hold(lambda src, dst, message: src == leader and dst.startswith("n"))
    simulation.run(until=3.0)
    assert simulation.leader != leader or len(simulation.held) > 0
    held = len(simulation.held)
    assert held > 10
    assert simulation.release() == held
    simulation.run(until=5.0)
    assert simulation.held == ()
    assert simulation.leader is not None


def test_an_error_in_a_handler_says_seed_time_and_node() -> None:
    simulation = scenario().start(seed=7)
    simulation.run(until=0.5)
    simulation.nodes["n1"].on_append_entries = None  # type: ignore[attr-defined]
    simulation.cluster.hosts["n1"].handlers.clear()
    simulation.cluster.hosts["n1"].handlers[str] = print  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"n1 .* has no handler for AppendEntries") as caught:
        simulation.run()
    notes = " ".join(caught.value.__notes__)
    assert "seed 7" in notes


def test_a_comparison_pairs_seeds_and_reports_differences() -> None:
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3, mode="async")]
    base = scenario(network=lan(Exponential(0.01)))
    comparison = compare(systems, base, seeds=range(4), workers=1, progress=None)
    assert list(comparison.summaries["run"].unique()) == ["Raft", "Primary-Backup, mode async"]
    assert len(comparison.summaries) == 8
    difference = comparison.difference(systems[0])
    p50 = difference[difference["measure"] == "p50"].iloc[0]
    medians = comparison.summaries.pivot(index="seed", columns="run", values="p50")
    expected = medians["Primary-Backup, mode async"] - medians["Raft"]
    assert p50["value"] == pytest.approx(expected.mean())
    assert p50["low"] < p50["value"] < p50["high"] < 0
    text = comparison.text()
    assert "linearizable" in text
    assert "4/4 valid" in text


def test_the_same_comparison_in_processes_and_in_this_one_is_equal() -> None:
    systems = [Raft(nodes=3), MultiPaxos(nodes=3)]
    here = compare(systems, scenario(), seeds=range(2), workers=1, progress=None)
    there = compare(systems, scenario(), seeds=range(2), workers=2, progress=None)
    assert [r.digest() for r in here.runs] == [r.digest() for r in there.runs]


def test_wrong_comparisons_and_sweeps_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([], scenario())
    with pytest.raises(ValueError, match="the same system is given twice: Raft, 3 nodes"):
        compare([Raft(nodes=3), Raft(nodes=3)], scenario())
    with pytest.raises(ValueError, match="at least one seed is needed"):
        compare([Raft(nodes=3)], scenario(), seeds=[])
    with pytest.raises(ValueError, match="nothing to sweep: duration has no values"):
        sweep(scenario(), {"duration": []})
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        compare([Raft(nodes=3)], scenario(), workers=0)


def test_a_sweep_has_a_row_for_each_point_and_seed() -> None:
    done = scenario().sweep(system__nodes=[3, 5], workload__clients=[1, 2], seeds=range(2), workers=1)
    frame = done.summaries
    assert len(frame) == 8
    assert frame[["system__nodes", "workload__clients"]].drop_duplicates().values.tolist() == [
        [3, 1],
        [3, 2],
        [5, 1],
        [5, 2],
    ]
    table = done.table(["p50"])
    assert len(table) == 4
    assert np.isfinite(table["p50"]).all()
    assert table["checked"].tolist() == ["2/2 valid"] * 4


def test_what_is_held_or_released_is_said_by_a_function() -> None:
    live = Scenario(system=Raft(nodes=3), network=constant(0.01)).start(1)
    with pytest.raises(ValueError, match=r"hold: a function of .src, dst, message. is needed .* not 3"):
        live.hold(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"release: a function of .held message. is needed .* not 'x'"):
        live.release("x")  # type: ignore[arg-type]


def test_what_one_looks_at_is_an_attribute_and_what_acts_is_a_method() -> None:
    """One way: a public method of a simulation takes an argument, or changes something."""
    act = {"step", "settle"}  # they answer, too
    tell = {"script", "text", "blocks"}  # work that makes a text, as on every other result
    for name, method in inspect.getmembers(Simulation, inspect.isfunction):
        if not name.startswith("_") and len(inspect.signature(method).parameters) == 1:
            returned = inspect.signature(method).return_annotation
            assert returned == "None" or name in act | tell, f"{name} only looks: make it a property"
