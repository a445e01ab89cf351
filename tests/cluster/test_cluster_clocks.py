"""A node has two clocks: the wall clock may be set; the monotonic one only goes on, and means nothing to others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from sim.cluster import Clock, Cluster, Machine
from sim.network import constant
from sim.node import Node, message
from sim.system import Member
from sim.testing import Bench


@message
class Question:
    """Never answered."""


class Watcher(Node):
    """Notes both clocks whenever something of it runs."""

    def on_start(self) -> None:
        self.born = self.monotonic
        self.seen: dict[str, float] = {}  # what happened -> monotonic seconds since boot

    def note(self, what: str) -> None:
        self.seen[what] = self.monotonic - self.born

    def on_alarm_timeout(self, key: Any = None) -> None:
        self.note(f"timer {key}" if key else "timer")

    def on_question(self, src: str, msg: Question) -> None:
        self.note("question")

    def sleeper(self, seconds: float) -> Any:
        yield self.sleep(seconds)
        self.note("sleep")

    def caller(self, seconds: float) -> Any:
        yield self.call("n1", Question(), timeout=seconds)
        self.note("call")


def make(*clocks: Clock, machine: str | None = None, seed: int = 1) -> Cluster:
    cluster = Cluster(constant(0.001), seed, checking=True)
    for i, clock in enumerate(clocks):
        member = Member(f"n{i}", Watcher, machine=machine)
        cluster.add(member, place=cluster.network.topology.regions[0], profile=Machine(clock=clock))
    cluster.boot()
    return cluster


def node(cluster: Cluster, name: str = "n0") -> Watcher:
    found = cluster.nodes[name]
    assert isinstance(found, Watcher)
    return found


def test_a_jump_moves_the_wall_clock_only_and_drift_both() -> None:
    cluster = make(Clock(offset=7.0, drift=0.1))
    watcher, host = node(cluster), cluster.hosts["n0"]
    cluster.env.run(until=1.0)
    assert (watcher.now, watcher.monotonic - watcher.born) == (pytest.approx(8.1), pytest.approx(1.1))
    host.set_clock(offset=-50.0)
    assert (watcher.now, watcher.monotonic - watcher.born) == (pytest.approx(-49.0), pytest.approx(1.1))
    host.set_clock(drift=-0.5)
    assert (watcher.now, watcher.monotonic - watcher.born) == (pytest.approx(-49.0), pytest.approx(1.1))
    cluster.env.run(until=3.0)
    assert (watcher.now, watcher.monotonic - watcher.born) == (pytest.approx(-48.0), pytest.approx(2.1))


@pytest.mark.parametrize("wiped", [False, True])
def test_the_monotonic_clock_begins_somewhere_else_in_each_incarnation(wiped: bool) -> None:
    cluster = make(Clock())
    beginnings = [node(cluster).born]
    for i in range(30):
        cluster.env.run(until=i + 0.5)
        dead = node(cluster)
        cluster.crash("n0")
        died = dead.monotonic
        cluster.env.run(until=i + 1.0)
        cluster.restart("n0", wiped=wiped)
        beginnings.append(node(cluster).born)
        assert dead.monotonic == died, "the clock of a dead incarnation ended with it"
        assert node(cluster).now == i + 1.0
    assert len(set(beginnings)) == 31
    assert min(beginnings) < -100 < 100 < max(beginnings), "0 is the past of some and the future of others"
    later = [b > a for a, b in pairwise(beginnings)]
    assert {True, False} == set(later), "that a reading is higher says nothing of which came first"


def test_nodes_on_one_machine_can_not_compare_their_monotonic_clocks() -> None:
    cluster = make(Clock(), Clock(), machine="m")
    assert abs(node(cluster).monotonic - node(cluster, "n1").monotonic) > 1e-3
    assert node(cluster).now == node(cluster, "n1").now == 0.0


def test_the_monotonic_clock_goes_on_during_a_pause() -> None:
    cluster = make(Clock(drift=0.25))
    cluster.env.run(until=1.0)
    cluster.pause("n0")
    cluster.hosts["n0"].set_clock(offset=-9.0)
    cluster.env.run(until=3.0)
    cluster.resume("n0")
    assert node(cluster).monotonic - node(cluster).born == pytest.approx(3.75)


def test_beginnings_are_drawn_at_an_address_of_their_own() -> None:
    """The stream of the node, of which protocols draw, is where it would be without clocks."""
    drawn = [make(*(Clock() for _ in range(n)), seed=3).streams["node/n0"].random() for n in (1, 2)]
    restarted = make(Clock(), seed=3)
    restarted.crash("n0")
    restarted.restart("n0")
    assert [*drawn, restarted.streams["node/n0"].random()] == 3 * [drawn[0]]
    assert make(Clock()).nodes["n0"].monotonic == make(Clock(), Clock()).nodes["n0"].monotonic


WAITS: dict[str, Callable[[Watcher], object]] = {
    "timer": lambda n: n.set_timer("alarm", 2.0),
    "timer k": lambda n: n.set_timer("alarm", 2.0, "k"),
    "sleep": lambda n: n.spawn(n.sleeper(2.0)),
    "call": lambda n: n.spawn(n.caller(2.0)),
}


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("drift", [-0.5, 1.0])
def test_waits_end_when_the_monotonic_clock_says_so_although_its_rate_changes_and_the_wall_clock_jumps(
    what: str, drift: float
) -> None:
    cluster = make(Clock(drift=0.25), Clock())
    WAITS[what](node(cluster))
    cluster.env.run(until=0.4)  # half a second of two on its clock
    cluster.hosts["n0"].set_clock(offset=-20.0, drift=drift)
    cluster.env.run(until=4.0)
    assert node(cluster).seen[what] == pytest.approx(2.0)


@pytest.mark.parametrize("paused_at", [0.3, 0.5])
def test_a_timer_of_a_paused_node_comes_due_by_its_changed_rate(paused_at: float) -> None:
    cluster = make(Clock())
    node(cluster).set_timer("alarm", 2.0)
    cluster.env.run(until=paused_at)
    cluster.pause("n0")
    cluster.env.run(until=1.0)
    cluster.hosts["n0"].set_clock(drift=1.0)
    cluster.env.run(until=1.25)
    cluster.resume("n0")
    cluster.env.run(until=4.0)
    assert node(cluster).seen["timer"] == pytest.approx(2.0)


def test_no_wait_of_a_dead_incarnation_is_left() -> None:
    cluster = make(Clock(), Clock())
    for wait in WAITS.values():
        wait(node(cluster))
    cluster.env.run(until=1.0)
    cluster.crash("n0")
    cluster.restart("n0")
    cluster.hosts["n0"].set_clock(drift=1.0)
    cluster.env.run(until=5.0)
    assert node(cluster).seen == {}


def test_the_bench_keeps_the_two_clocks_apart_too() -> None:
    bench = Bench(Watcher)
    beginnings = {bench.node.born}
    bench.node.set_timer("alarm", 2.0)
    bench.advance(1.0)
    bench.set_clock(offset=-10.0, drift=1.0)
    assert (bench.node.now, bench.node.monotonic - bench.node.born) == (-9.0, pytest.approx(1.0))
    bench.advance(0.5)
    assert bench.node.seen == {"timer": pytest.approx(2.0)}
    for _ in range(20):
        beginnings.add(bench.restart().born)
    assert len(beginnings) == 21
    assert min(beginnings) < -50 < 50 < max(beginnings)
