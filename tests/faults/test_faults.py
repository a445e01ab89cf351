"""Each fault has its stated effect on its stated targets at its stated time; random faults keep their rates."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sim import Scenario
from sim.cluster import Machine
from sim.faults import (
    Administer,
    ClockJump,
    Crash,
    Cut,
    Fault,
    Flaky,
    Partition,
    Pause,
    RandomCrashes,
    RandomDisturbances,
    RandomPartitions,
    RandomPauses,
    Restart,
    Slow,
)
from sim.network import constant, matrix
from sim.protocols import BasicRaft, PrimaryBackup, Raft
from sim.protocols.admin import Join, Leave, Transfer
from sim.workload import ClosedLoop, UniformKeys

THREE = matrix(["x", "y", "z"], [[0.001] * 3] * 3)


def scenario(*faults: Fault, **changes: Any) -> Scenario:
    base = Scenario(
        system=BasicRaft(nodes=3),
        network=THREE,
        workload=ClosedLoop(clients=3, keys=UniformKeys(5), think=0.05),
        faults=faults,
        duration=6.0,
    )
    return dataclasses.replace(base, **changes)


def events(one: Scenario, *names: str, seed: int = 1) -> list[tuple[float, str, str]]:
    frame = one.run(seed).events
    chosen = frame[frame["event"].isin(names)]
    return [(round(t, 6), n, e) for t, n, e in chosen[["time", "node", "event"]].itertuples(index=False)]


def test_a_crash_takes_a_named_member_down_for_its_time() -> None:
    assert events(scenario(Crash("n1", at=1.0, down=0.5)), "crash", "restart") == [
        (1.0, "n1", "crash"),
        (1.5, "n1", "restart"),
    ]


def test_a_crash_without_an_end_is_for_good_until_a_restart() -> None:
    assert events(scenario(Crash("n1", at=1.0), Restart("n1", at=3.0)), "crash", "restart") == [
        (1.0, "n1", "crash"),
        (3.0, "n1", "restart"),
    ]


@pytest.mark.parametrize("role", ["leader", "primary", "head"])
@pytest.mark.parametrize("system", [BasicRaft(nodes=3, leader="n2"), PrimaryBackup(nodes=3, leader="n2")])
def test_leader_primary_and_head_are_one_role_resolved_when_the_time_comes(role: str, system: Any) -> None:
    assert events(scenario(Crash(role, at=1.0, down=0.5), system=system), "crash")[0] == (1.0, "n2", "crash")


def test_a_fault_waits_while_its_role_is_vacant() -> None:
    found = events(
        scenario(Crash("leader", at=1.0, down=4.0), Crash("leader", at=1.1, down=4.0)), "crash", "elected"
    )
    first, second = [t for t, _, e in found if e == "crash"]
    elected = [t for t, _, e in found if e == "elected" and t > 1.0]
    assert first == 1.0
    assert second == pytest.approx(elected[0], abs=0.0011)


def test_a_region_crashes_as_a_whole() -> None:
    two = scenario(Crash("x", at=1.0, down=1.0), system=Raft(nodes=5))
    assert [n for _, n, e in events(two, "crash")] == ["n0", "n3"]


def test_random_crashes_keep_their_mean_times_and_never_exceed_max_down() -> None:
    fault = RandomCrashes(mttf=2.0, mttr=0.5, members=("n1", "n2"), end=400.0)
    long = scenario(fault, duration=401.0, workload=ClosedLoop(clients=1, think=10.0))
    found = events(long, "crash", "restart")
    for node in ("n1", "n2"):
        mine = [(t, e) for t, n, e in found if n == node]
        up = [b[0] - a[0] for a, b in pairwise(mine) if a[1] == "restart"]
        down = [b[0] - a[0] for a, b in pairwise(mine) if a[1] == "crash"]
        for times, mean in ((up, 2.0), (down, 0.5)):
            assert len(times) > 100
            assert abs(np.mean(times) - mean) < 3 * mean / np.sqrt(len(times))
    one_at_a_time = scenario(
        RandomCrashes(mttf=0.5, mttr=0.5, max_down=1, end=50.0),
        duration=51.0,
        workload=ClosedLoop(clients=1, think=10.0),
    )
    level = most = 0
    for _, _, event in events(one_at_a_time, "crash", "restart"):
        level += 1 if event == "crash" else -1
        most = max(most, level)
    assert (level, most) == (0, 1)


def test_a_random_crash_of_one_member_does_not_depend_on_the_other_members() -> None:
    def crashes_of_n1(*members: str) -> list[float]:
        one = scenario(RandomCrashes(mttf=1.0, mttr=0.3, members=members, name="a"), duration=20.0)
        return [t for t, n, _ in events(one, "crash", "restart") if n == "n1"]

    assert crashes_of_n1("n1") == crashes_of_n1("n1", "n2")
    assert len(crashes_of_n1("n1")) > 5


def _received(one: Scenario, window: tuple[float, float]) -> set[tuple[str, str]]:
    """The pairs of replicas between which messages sent in the window arrived."""
    frame = dataclasses.replace(one, trace=True).run(1).messages
    sent = frame[(frame["sent"] > window[0]) & (frame["sent"] < window[1]) & (frame["fate"] == "delivered")]
    replicas = {"n0", "n1", "n2"}
    return {(s, d) for s, d in sent[["src", "dst"]].itertuples(index=False) if {s, d} <= replicas and s != d}


def test_a_partition_cuts_between_groups_both_ways_and_heals() -> None:
    one = scenario(Partition((("n0",), ("n1", "n2")), at=1.0, duration=2.0))
    during = _received(one, (1.01, 2.99))
    assert during
    assert not {pair for pair in during if "n0" in pair}
    assert {pair for pair in _received(one, (3.5, 6.0)) if "n0" in pair}


def test_one_group_is_cut_from_everyone_clients_included() -> None:
    run = dataclasses.replace(scenario(Partition((("n0",),), at=1.0, duration=2.0)), trace=True).run(1)
    frame = run.messages[(run.messages["sent"] > 1.0) & (run.messages["sent"] < 3.0)]
    touching = frame[((frame["src"] == "n0") | (frame["dst"] == "n0")) & (frame["src"] != frame["dst"])]
    assert len(touching) > 10
    assert set(touching["fate"]) == {"cut"}


def test_a_one_way_cut_loses_only_one_direction() -> None:
    one = scenario(Cut("n0", "n1", at=1.0, duration=2.0, one_way=True))
    during = _received(one, (1.0, 3.0))
    assert ("n0", "n1") not in during
    assert ("n0", "n2") in during


def test_random_partitions_end_when_they_should() -> None:
    one = scenario(RandomPartitions(mttf=0.5, mttr=0.5, end=5.0), duration=8.0)
    simulation = one.start(seed=1)
    simulation.run()
    names = [e[2] for e in simulation.recorder.events if e[2] in ("cut", "heal")]
    assert names[:2] == ["cut", "heal"]
    assert names.count("cut") == names.count("heal") > 3
    assert not any(
        simulation.cluster.network.is_cut(a, b) for a in simulation.replicas for b in simulation.replicas
    )


def test_a_flaky_member_is_slow_and_lossy_for_its_time() -> None:
    one = dataclasses.replace(
        scenario(Flaky("n1", at=1.0, duration=2.0, slowdown=10.0, loss=0.5)), trace=True
    )
    frame = one.run(1).messages
    to_n1 = frame[(frame["dst"] == "n1") & (frame["src"] != "n1")]
    during = to_n1[(to_n1["sent"] > 1.0) & (to_n1["sent"] < 3.0)]
    after = to_n1[to_n1["sent"] > 3.0]
    taken = (during["delivered"] - during["sent"]).dropna()
    assert taken.to_numpy() == pytest.approx(0.010)
    assert 0.3 < (during["fate"] == "lost").mean() < 0.7
    assert (after["delivered"] - after["sent"]).dropna().to_numpy() == pytest.approx(0.001)


def test_a_slow_member_serves_at_its_speed() -> None:
    simulation = scenario(
        Slow("n1", at=1.0, duration=1.0, speed=0.25), machines=Machine(per_message=1e-5)
    ).start(1)
    simulation.run(until=1.5)
    assert simulation.cluster.hosts["n1"].cpu.speed == 0.25
    simulation.run(until=2.5)
    assert simulation.cluster.hosts["n1"].cpu.speed == 1.0


@pytest.mark.parametrize("checked", [False, True])
def test_a_paused_member_does_nothing_and_then_catches_up(checked: bool) -> None:
    simulation = Scenario(
        system=BasicRaft(nodes=3, leader="n0"),
        network=constant(0.010),
        workload=ClosedLoop(clients=1, keys=UniformKeys(5), think=0.05),
        faults=[Pause("n1", at=1.0, duration=2.0)],
        duration=6.0,
        check=checked,
    ).start(1)
    simulation.run(until=1.0)
    host, node = simulation.cluster.hosts["n1"], simulation.nodes["n1"]
    simulation.run(until=2.9)
    assert (host.is_up, host.is_paused) == (True, True)
    held = len(node.log)  # type: ignore[attr-defined]
    before = len(simulation.nodes["n0"].log)  # type: ignore[attr-defined]
    assert held < before - 10
    simulation.run(until=3.0 + 1e-9)
    assert simulation.nodes["n1"] is node
    # Its election timer fires before it reads the heartbeats that wait, as in an event loop: it stands for election.
    assert node.current_term == 2  # type: ignore[attr-defined]
    simulation.run()
    assert len(node.log) >= before  # type: ignore[attr-defined]
    assert [e[2] for e in simulation.recorder.events if e[1] == "n1" and e[2] != "role"] == [
        "pause",
        "resume",
    ]


def test_a_member_that_crashes_in_its_pause_forgets_what_waited() -> None:
    simulation = scenario(Pause("n1", at=1.0, duration=2.0), Crash("n1", at=1.5, down=0.2)).start(1)
    simulation.run(until=2.0)
    host = simulation.cluster.hosts["n1"]
    assert (host.is_up, host.is_paused) == (True, False)
    simulation.run()
    seen = [e[2] for e in simulation.recorder.events if e[1] == "n1" and e[2] != "role"]
    assert seen[:3] == ["pause", "crash", "restart"]
    assert "resume" not in seen


def test_random_pauses_keep_their_mean_times() -> None:
    long = scenario(
        RandomPauses(every=1.0, length=0.3, members=("n1",), end=300.0),
        duration=301.0,
        workload=ClosedLoop(clients=1, think=10.0),
    )
    times = [t for t, _, _ in events(long, "pause", "resume")]
    assert len(times) % 2 == 0
    lengths = [b - a for a, b in zip(times[::2], times[1::2], strict=True)]
    assert len(lengths) > 150
    assert abs(np.mean(lengths) - 0.3) < 3 * 0.3 / np.sqrt(len(lengths))


def test_a_clock_jumps_and_drifts_and_never_turns_back_by_drifting() -> None:
    simulation = scenario(ClockJump("n1", at=1.0, offset=5.0, drift=0.5)).start(1)
    simulation.run(until=2.0)
    assert simulation.cluster.hosts["n1"].clock() == pytest.approx(2.0 + 5.0 + 0.5)
    assert simulation.cluster.hosts["n0"].clock() == 2.0


def test_random_disturbances_make_members_unwell_and_well_again() -> None:
    one = scenario(
        RandomDisturbances(mttf=0.2, mttr=0.2, max_clock_drift=None, wall_clocks_jump=True, end=20.0),
        duration=21.0,
        machines=Machine(per_message=1e-5),
    )
    simulation = one.start(seed=1)
    simulation.run()
    happened = [(e[1], e[2], e[3]) for e in simulation.recorder.events]
    flaky = [detail for _, event, detail in happened if event == "flaky"]
    assert {(d["slowdown"], d["loss"]) for d in flaky} == {(20.0, 0.0), (1.0, 0.5), (5.0, 0.2), (1.0, 1.0)}
    everyone = len(simulation.everyone())
    assert {d["links"] for d in flaky} == {everyone - 1, 2 * (everyone - 1)}  # one direction, or both
    assert {d["speed"] for _, event, d in happened if event == "slow"} == {0.1, 0.01, 0.001}
    jumps = [d for _, event, d in happened if event == "clock"]
    assert 0.3 < max(abs(d["drift"]) for d in jumps) <= 0.5
    assert 1.0 < max(abs(d["offset"]) for d in jumps) <= 2.0
    assert {name for name, event, _ in happened if event == "flaky"} == set(simulation.replicas)
    for name in simulation.replicas:
        host = simulation.cluster.hosts[name]
        assert (host.cpu.speed, host.clock()) == (1.0, 21.0)
    assert all(link.disturbances == () for link in simulation.cluster.network.links.values())


def test_clocks_that_may_only_drift_never_jump() -> None:
    simulation = scenario(RandomDisturbances(0.1, 0.2, max_clock_drift=0.05, end=10.0), duration=10.0).start(
        seed=1
    )
    before = dict.fromkeys(simulation.replicas, 0.0)
    drifted = 0
    for step in range(1, 1001):
        simulation.run(until=step / 100)
        for name in simulation.replicas:
            shown = simulation.cluster.hosts[name].clock()
            assert 0.0095 - 1e-9 <= shown - before[name] <= 0.0105 + 1e-9
            drifted += abs(shown - before[name] - 0.01) > 1e-4
            before[name] = shown
    assert drifted > 50


def test_clocks_are_left_alone_unless_said_otherwise() -> None:
    simulation = scenario(RandomDisturbances(0.05, 0.05, end=10.0), duration=10.0).start(seed=1)
    simulation.run()
    kinds = {e[2] for e in simulation.recorder.events}
    assert {"flaky", "slow"} <= kinds
    assert "clock" not in kinds


def test_random_crashes_lose_disks_with_their_probability() -> None:
    simulation = scenario(RandomCrashes(mttf=0.1, mttr=0.02, wiped=0.3, end=20.0), duration=20.0).start(
        seed=1
    )
    simulation.run()
    restarts = [e[3] for e in simulation.recorder.events if e[2] == "restart"]
    assert len(restarts) > 200
    assert 0.2 < sum(bool(detail.get("wiped")) for detail in restarts) / len(restarts) < 0.4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Partition((), at=1.0), r"at least one group of at least one target is needed, not \(\)"),
        (lambda: Crash("n0", at=1.0, wiped=True), "wiped=True is of the restart, but down=None"),
        (lambda: ClockJump("n0", at=1.0), "an offset or a drift is needed, not None and None"),
        (
            lambda: Flaky("n0", at=1.0),
            "a slowdown other than 1.0, or a loss, a delay, corrupted messages",
        ),
        (lambda: Partition((("n0", "n1"), ("n1",)), at=1.0), "Partition: 'n1' stands in more than one place"),
        (lambda: RandomPauses(1.0, 1.0, start=5.0, end=5.0), "end must be after start .5.0 s., not 5.0"),
        (lambda: Cut("n0", "n0", at=1.0), "two ends are needed, not 'n0' and 'n0'"),
        (
            lambda: scenario(Crash("n0", at=100.0)),
            "would never happen: it begins at 100.0 s, and the run ends at",
        ),
        (lambda: scenario(RandomPauses(1.0, 1.0, start=100.0)), "would never happen"),
        (lambda: scenario(Crash("n7", at=1.0)), "there is no 'n7'; there are"),
        (lambda: scenario("crash"), "each entry of faults must be a Fault, not 'crash'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_at_once_with_its_value(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_leaderless_system_names_the_replica_nearest_to_most_clients() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Leaderless(BasicRaft):
        def holder(self, role: str, nodes: Any) -> str | None:
            raise LookupError(role)

    network = matrix(["x", "y", "z"], [[0.001, 0.05, 0.05], [0.05, 0.001, 0.05], [0.05, 0.05, 0.001]])
    one = Scenario(
        system=Leaderless(nodes=3),
        network=network,
        workload=ClosedLoop(clients={"x": 1, "y": 3, "z": 2}),
        faults=[Crash("leader", at=1.0), Crash("leader", at=2.0)],
        duration=3.0,
    )
    # With n1 gone, the three clients of y turn to n0: it and n2 are equally far, and contacts keep their order.
    assert [n for _, n, _ in events(one, "crash")] == ["n1", "n0"]


def test_nothing_is_sent_to_a_network_of_no_delay_faster_than_it_can_be() -> None:
    run = scenario(network=constant(0.5), duration=5.0).run(1)
    assert run.operations["latency"].min() >= 0.5


def test_members_join_leave_and_hand_over_when_the_administrator_asks() -> None:
    one = Scenario(
        system=Raft(nodes=3, spares=1, membership="single", transfer=True),
        network=THREE,
        workload=ClosedLoop(clients=2, keys=UniformKeys(5), think=0.02),
        faults=[
            Administer(Join("n3"), at=1.0),
            Administer(Leave("n0"), at=3.0),
            Administer(Transfer("n3"), at=5.0),
        ],
        duration=8.0,
        check=True,
    )
    simulation = one.start(seed=1)
    simulation.run()
    requests = [e[3] for e in simulation.recorder.events if e[2] == "admin"]
    assert [r["done"] for r in requests] == [True] * 3
    assert simulation.nodes["n3"].config.voters == ("n1", "n2", "n3")  # type: ignore[attr-defined]
    assert simulation.leader == "n3"


def test_a_request_about_an_unknown_member_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no 'n9'"):
        scenario(Administer(Join("n9"), at=1.0))


def test_a_node_that_two_groups_mean_belongs_to_the_first() -> None:
    simulation = scenario(Partition((("leader",), ("x", "y", "z")), at=1.0)).start(1)
    simulation.run(until=1.5)
    label = next(e[3]["label"] for e in simulation.recorder.events if e[2] == "cut")
    first, second = label.removeprefix("cut ").split(" | ")
    assert first == simulation.leader
    assert first not in second.split(",")
