"""Fates: the n-th message of a class on a link is lost, late or copied; all others take the median latency."""

from __future__ import annotations

import pytest

from sim import Scenario
from sim.distributions import Exponential
from sim.faults import Flaky
from sim.network import Fate, Quiet, constant, lan
from sim.network.topology import Topology
from sim.node import Node
from sim.node import message as declared
from sim.protocols.client import Request
from sim.system import System
from sim.workload import NoLoad


@declared
class Ball:
    number: int


class Thrower(Node):
    """n0 throws a ball to n1 each 10 ms; n1 notes when it arrives."""

    def on_start(self) -> None:
        self.thrown = 0
        if self.name == "n0":
            self.set_timer("throw", 0.0)

    def on_throw_timeout(self) -> None:
        self.thrown += 1
        self.send("n1", Ball(self.thrown))
        if self.thrown < 5:
            self.set_timer("throw", 0.01)

    def on_request(self, src: str, msg: Request) -> None:
        """There are no clients."""

    def on_ball(self, src: str, msg: Ball) -> None:
        self.record("caught", number=msg.number)


def caught(network: Topology, *faults: Flaky) -> list[tuple[float, int]]:
    scenario = Scenario(
        system=System.of(Thrower, nodes=2), network=network, workload=NoLoad(), faults=faults, duration=1.0
    )
    events = scenario.run(seed=1).events
    rows = events[events["event"] == "caught"]
    return [(round(t, 6), d["number"]) for t, d in zip(rows["time"], rows["detail"], strict=True)]


def test_what_is_not_listed_takes_the_median_latency_and_is_never_lost_or_copied() -> None:
    noisy = lan(Exponential(0.004), loss=0.5, duplicate=0.5)
    median = round(Exponential(0.004).median(), 6)
    assert caught(Quiet(noisy)) == [(round(0.01 * k + median, 6), k + 1) for k in range(5)]


def test_the_nth_message_of_a_class_is_lost_late_or_copied() -> None:
    fates = (
        Fate("n0", "n1", "Ball", 1, lost=True),
        Fate("n0", "n1", "Ball", 2, after=0.015),
        Fate("n0", "n1", "Ball", 4, again=0.5),
        Fate("n0", "n1", "Ball", 9, lost=True),  # never sent
        Fate("n1", "n0", "Ball", 3, lost=True),  # another link
        Fate("n0", "n1", "Other", 3, lost=True),  # another class
    )
    assert caught(Quiet(constant(0.001), fates=fates)) == [
        (0.021, 3),
        (0.025, 2),
        (0.031, 4),
        (0.041, 5),
        (0.53, 4),
    ]


def test_a_lost_message_may_leave_a_copy() -> None:
    fates = (Fate("n0", "n1", "Ball", 5, lost=True, again=0.002),)
    assert caught(Quiet(constant(0.001), fates=fates))[-1] == (0.042, 5)


def test_a_fault_that_loses_a_part_has_no_effect_because_losses_are_listed_and_a_dead_link_has() -> None:
    quiet = Quiet(constant(0.001))
    assert caught(quiet, Flaky("n1", at=0.0, loss=0.9)) == caught(quiet)
    assert caught(quiet, Flaky("n1", at=0.015, loss=1.0)) == caught(quiet)[:2]
    slow = caught(quiet, Flaky("n1", at=0.0, slowdown=3.0, delay=0.002))
    assert slow[1:] == [(round(0.01 * k + 0.005, 6), k + 1) for k in range(1, 5)]


def test_order_and_bandwidth_of_the_network_stay() -> None:
    late = (Fate("n0", "n1", "Ball", 1, after=0.025),)
    in_order = caught(Quiet(constant(0.001, transport="fifo"), fates=late))
    assert in_order[:3] == [(0.025, 1), (0.025, 2), (0.025, 3)]
    narrow = caught(Quiet(constant(0.001, bandwidth=6000.0)))
    assert narrow[0][0] > 0.001 + 0.005


def test_times_derived_from_the_network_are_those_of_the_random_one() -> None:
    noisy = lan(Exponential(0.3))
    scenarios = [Scenario(system=System.of(Thrower), network=n) for n in (noisy, Quiet(noisy))]
    assert scenarios[0].derived == scenarios[1].derived


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Fate("n0", "n0", "Ball", lost=True), "no link carries a message from 'n0' to itself"),
        (lambda: Fate("n0", "n1", "Ball"), "lost, after or again is needed"),
        (lambda: Fate("n0", "n1", "Ball", lost=True, after=0.1), "give one of them"),
        (lambda: Quiet(Quiet(lan())), "the network is quiet already"),
        (
            lambda: Quiet(
                lan(), fates=(Fate("n0", "n1", "Ball", lost=True), Fate("n0", "n1", "Ball", after=1))
            ),
            "two fates for Ball 1 from n0 to n1",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(made: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made()  # type: ignore[operator]
