"""Requests that fan out wait for as many answers as they say, and cost as many messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sim import Scenario
from sim.distributions import Constant
from sim.faults import Crash
from sim.network import constant
from sim.protocols.balancing import FanOut
from sim.protocols.balancing.fanout import Fan, FanOutClient
from sim.protocols.balancing.messages import Answer
from sim.protocols.client import Retry
from sim.system import SafetyViolation
from sim.workload import ClosedLoop


def run(system: Any, operations: int = 10, **changes: Any) -> Any:
    scenario = Scenario(
        system=system,
        network=constant(0.001),
        workload=ClosedLoop(clients=1, reads=1.0, operations=operations),
        duration=3.0,
        check=True,
        **changes,
    )
    return scenario.run(seed=1)


def test_a_correct_client_is_not_accused() -> None:
    for wait in (1, 2, 3):
        faults = [Crash("s1", at=0.05, down=0.2)]
        done = run(FanOut(servers=5, copies=3, wait=wait), 50, faults=faults, retry=Retry(timeout=0.3))
        assert done.violation is None


@pytest.mark.parametrize(("copies", "cancel"), [(1, False), (3, False), (3, True)])
def test_a_request_costs_a_message_a_copy_an_answer_each_and_a_cancellation_of_those_left(
    copies: int, cancel: bool
) -> None:
    """With a constant service time all copies end at one moment, so there is nothing left to call off in time."""
    system = FanOut(servers=5, copies=copies, wait=1, cancel=cancel, service=Constant(0.02))
    done = run(system)
    assert (done.operations["status"] == "ok").all()
    assert done.operations["latency"].tolist() == pytest.approx([0.022] * 10)
    servers = done.nodes[done.nodes["node"].str.startswith("s")]
    assert servers["messages_in"].sum() == 10 * (copies + (copies - 1 if cancel else 0))
    assert servers["messages_out"].sum() == 10 * copies


def test_the_copies_that_are_called_off_are_not_worked_on() -> None:
    """A copy works until it is done, 10 ms, or until the quickest of three is, 3.3 ms, and the news has come, 2 ms."""
    busy = {}
    for cancel in (False, True):
        done = run(FanOut(servers=3, wait=1, cancel=cancel), operations=200)
        busy[cancel] = done.nodes[done.nodes["node"].str.startswith("s")]["busy"].sum()
    assert 5.0 < busy[False] < 7.0
    assert 2.0 < busy[True] < 3.4


def test_a_request_for_all_outlasts_one_for_some() -> None:
    means = [run(FanOut(servers=4, wait=k), 100).operations["latency"].mean() for k in (1, 2, 4)]
    assert means[0] < means[1] < means[2]


def test_a_copy_that_a_crash_took_is_asked_for_again() -> None:
    done = run(
        FanOut(servers=3, service=Constant(0.02)),
        operations=2,
        faults=[Crash("s1", at=0.005, down=0.2)],
        retry=Retry(timeout=0.3),
    )
    assert (done.operations["status"] == "ok").all()
    assert done.operations["attempts"].tolist() == [2, 1]


class Hasty(FanOutClient):
    """The mutant: the first answer ends a request."""

    def on_answer(self, src: str, msg: Answer) -> None:
        fan = self.fans.get(msg.ticket[0])
        if fan is not None and fan.sequence == msg.ticket[1]:
            fan.answered[src] = None
            self.join(src, msg.ticket[0], fan, msg)


class Patient(FanOutClient):
    """The mutant: a request does not end with enough answers, but with one more."""

    def on_answer(self, src: str, msg: Answer) -> None:
        fan: Fan | None = self.fans.get(msg.ticket[0])
        if fan is not None and len(fan.answered) < self.system.awaited:
            fan.answered[src] = None
        elif fan is not None:
            super().on_answer(src, msg)


@dataclass(frozen=True, kw_only=True)
class HastyFanOut(FanOut):
    client_class = Hasty


@dataclass(frozen=True, kw_only=True)
class PatientFanOut(FanOut):
    client_class = Patient


@pytest.mark.parametrize("mutant", [HastyFanOut, PatientFanOut])
def test_a_client_that_ends_too_early_or_too_late_is_found(mutant: type[FanOut]) -> None:
    done = run(mutant(servers=4, copies=3, wait=2))
    assert isinstance(done.violation, SafetyViolation)
    assert done.violation.invariant == "enough answers"


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: FanOut(servers=3, copies=4), "copies=4"),
        (lambda: FanOut(servers=3, copies=2, wait=3), "wait=3"),
        (lambda: FanOut(servers=3, cancel=True), "cancel=True"),
    ],
)
def test_what_cannot_work_is_refused_with_its_value(make: Callable[[], Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()
