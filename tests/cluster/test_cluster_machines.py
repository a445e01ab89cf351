"""Members that run on one machine: they share its cores, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Clock, Cluster, Machine
from sim.faults import Crash, Partition, Slow
from sim.network import constant
from sim.node import Node, message
from sim.protocols import Raft, ShardedRaft
from sim.system import Member


@message
class Task:
    number: int


class Worker(Node):
    """Each message costs it a second; notes when it was done."""

    def on_start(self) -> None:
        self.done: list[tuple[int, float]] = []

    def on_task(self, src: str, msg: Task) -> None:
        self.done.append((msg.number, self.now))


def pair(*, machine: str | None = "m0", delay: float = 0.0, **profile: Any) -> Any:
    """Workers a and b, on one machine."""
    cluster = Cluster(constant(delay), seed=1)
    for name in ("a", "b"):
        member = Member(name, Worker, group=name, machine=machine)
        cluster.add(member, place="lan", profile=Machine(per_message=1.0, **profile))
    cluster.boot()
    return cluster


def give(cluster: Any, *tasks: tuple[str, int]) -> None:
    for name, number in tasks:
        cluster.hosts[name].receive("outside", Task(number))


@pytest.mark.parametrize(
    ("discipline", "expected"),
    [
        ("fifo", ([1.0, 3.0], [2.0])),
        ("processor-sharing", ([3.0, 3.0], [3.0])),
        ("priority", ([1.0, 3.0], [2.0])),
    ],
)
def test_they_wait_for_each_other(discipline: Any, expected: Any) -> None:
    cluster = pair(discipline=discipline)
    give(cluster, ("a", 1), ("b", 2), ("a", 3))
    assert cluster.hosts["a"].backlog == cluster.hosts["b"].backlog == 3
    cluster.env.run()
    assert tuple([time for _, time in cluster.nodes[name].done] for name in ("a", "b")) == expected


def test_on_machines_of_their_own_they_do_not() -> None:
    cluster = pair(machine=None)
    give(cluster, ("a", 1), ("b", 2))
    cluster.env.run()
    assert cluster.nodes["a"].done == [(1, 1.0)]
    assert cluster.nodes["b"].done == [(2, 1.0)]


@pytest.mark.parametrize(
    ("discipline", "left"),
    [("fifo", [1.5, 2.5]), ("processor-sharing", [2.25, 2.25]), ("priority", [1.5, 2.5])],
)
def test_a_crash_forgets_the_work_of_one_and_not_that_of_the_other(
    discipline: Any, left: list[float]
) -> None:
    """Under sharing, half a second gives each of four jobs an eighth of a second; then two are left."""
    cluster = pair(discipline=discipline)
    give(cluster, ("a", 1), ("b", 2), ("a", 3), ("b", 4))
    cluster.env.run(until=0.5)
    cluster.crash("a")
    assert cluster.hosts["b"].backlog == 2
    cluster.restart("a")
    cluster.env.run()
    assert [time for _, time in cluster.nodes["b"].done] == pytest.approx(left)
    assert cluster.nodes["a"].done == []


def test_what_they_send_each_other_is_there_at_once() -> None:
    cluster = pair(delay=0.25)
    cluster.nodes["a"].send("b", Task(1))
    cluster.env.run()
    assert cluster.nodes["b"].done == [(1, 1.0)]


def test_a_slow_machine_is_slow_for_both() -> None:
    cluster = pair()
    cluster.hosts["a"].cpu.set_speed(0.5)
    give(cluster, ("b", 1))
    cluster.env.run()
    assert cluster.nodes["b"].done == [(1, 2.0)]


@pytest.mark.parametrize(("place", "cores"), [("elsewhere", 1), ("lan", 2)])
def test_one_machine_is_at_one_place_and_has_one_number_of_cores(place: str, cores: int) -> None:
    cluster = Cluster(constant(0.0), seed=1)
    cluster.add(Member("a", Worker, machine="m0"), place="lan")
    with pytest.raises(ValueError, match=rf"b and a run on m0: .* \('{place}', {cores}, 'fifo', None\)"):
        cluster.add(Member("b", Worker, machine="m0"), place=place, profile=Machine(cores=cores))


# In scenarios


def scenario(**fields: Any) -> Scenario:
    return Scenario(system=ShardedRaft(group=Raft(nodes=3), groups=2), **fields)


def test_members_of_a_machine_stand_at_one_place() -> None:
    made = scenario()
    assert made.resolved.residents == {f"m{i}": (f"g0.n{i}", f"g1.n{i}") for i in range(3)}
    places = made.resolved.places
    assert all(places[f"g0.n{i}"] == places[f"g1.n{i}"] for i in range(3))


def test_hosts_may_be_given_by_machine_and_one_by_name() -> None:
    made = scenario(
        machines={"m1": Machine(cores=4), "g1.n0": Machine(clock=Clock(drift=0.1)), "*": Machine(cores=2)}
    )
    assert [machine.cores for machine in made.resolved.machines.values()] == [2, 4, 2, 1, 4, 2]
    with pytest.raises(ValueError, match="machines names 'm7'"):
        scenario(machines={"m7": Machine()})


def test_faults_may_strike_a_machine() -> None:
    grey = [Slow("m0", at=0.1, duration=0.1), Partition(("m2",), at=1.0, duration=0.1)]
    run = scenario(faults=[Crash("m1", at=0.5, down=0.2), *grey], duration=1.2).run(seed=1)
    crashed = run.events[run.events.event == "crash"].node.tolist()
    assert crashed == ["g0.n1", "g1.n1"]
    with pytest.raises(ValueError, match="there is no 'm9'"):
        scenario(faults=[Crash("m9", at=1.0)])
