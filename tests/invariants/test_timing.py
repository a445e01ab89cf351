"""`pause_between`: a member that sent one message sends no other for some time, on its own clock."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Clock, Disk, Machine, Node, Scenario, System
from sim.distributions import Constant
from sim.faults import Crash, Fault
from sim.invariants import pause_between
from sim.network import constant
from sim.node import durable, message
from sim.protocols.client import Request
from sim.workload import NoLoad


@message
class Yes:
    granted: bool


@message
class Ask:
    pass


class Voter(Node):
    """Says yes, or no, and asks ``wait`` seconds later; what it says waits for the disk."""

    said = durable(False)

    def on_start(self) -> None:
        self.set_timer("say", 0.1)

    def on_say_timeout(self) -> None:
        self.said = True
        self.broadcast(Yes(self.settings.granted))
        self.set_timer("ask", self.settings.wait)

    def on_ask_timeout(self) -> None:
        self.broadcast(Ask())

    def on_yes(self, src: str, msg: Yes) -> None:
        pass

    def on_ask(self, src: str, msg: Ask) -> None:
        pass

    def on_request(self, src: str, msg: Request) -> None:
        pass


class Forgetful(Voter):
    """Says yes in its first life only, and asks in its second only."""

    def on_say_timeout(self) -> None:
        if self.incarnation == 0:
            self.broadcast(Yes(True))
        else:
            self.set_timer("ask", self.settings.wait)


def run_of(
    wait: float,
    *,
    granted: bool = True,
    machine: Machine | None = None,
    faults: tuple[Fault, ...] = (),
    node_class: type[Node] = Voter,
    **given: Any,
) -> Any:
    rule = pause_between(Yes, Ask, when=lambda msg: msg.granted, **given)
    system = System.of(
        node_class, nodes=2, detection=0.5, heartbeat=0.05, wait=wait, granted=granted, invariants=rule
    )
    return Scenario(
        system=system,
        network=constant(0.01),
        workload=NoLoad(),
        machines=machine or Machine(),
        faults=faults,
        duration=2.0,
        check=True,
    ).run(1)


def test_a_message_that_comes_too_soon_after_another_is_seen() -> None:
    found = run_of(0.499).violation
    assert found is not None
    assert found.invariant == "a pause between Yes and Ask"
    assert found.time == pytest.approx(0.599)
    assert "must wait 0.5 s" in found.facts[1]


@pytest.mark.parametrize(
    "machine", [None, Machine(disk=Disk(fsync=Constant(0.2)))], ids=["no disk", "slow disk"]
)
def test_a_wait_of_just_so_long_is_allowed_also_where_the_first_message_leaves_late(machine: Any) -> None:
    assert run_of(0.5, machine=machine).violation is None


def test_the_wait_is_measured_on_the_clock_of_the_member() -> None:
    assert run_of(0.5, machine=Machine(clock=Clock(drift=0.2))).violation is None


def test_a_first_message_that_does_not_count_begins_no_wait() -> None:
    assert run_of(0.1, granted=False).violation is None


def test_the_wait_may_be_given_in_seconds() -> None:
    assert run_of(0.3, seconds=0.3).violation is None
    assert run_of(0.2, seconds=0.3).violation is not None


def test_a_grant_to_the_receiver_itself_may_be_allowed() -> None:
    assert run_of(0.1, to_others=True).violation is None


@pytest.mark.parametrize(("drift", "broken"), [(None, False), (0.0, True), (0.9, False)])
def test_the_wait_goes_on_after_a_restart_where_the_drift_of_clocks_is_given(
    drift: float | None, broken: bool
) -> None:
    crash = Crash("n0", at=0.15, down=0.05)  # it says yes at 0.1 s; now it asks at once, 0.3 s later
    found = run_of(0.1, faults=(crash,), granted=False, node_class=Forgetful, drift=drift).violation
    assert (found is not None) == broken
    if found is not None:
        assert "it has restarted since" in found.facts[0]


@pytest.mark.parametrize(
    ("arguments", "given", "complaint"),
    [
        ((Yes, int), {}, "<class 'int'> is no class of messages"),
        ((Yes, Ask), {"seconds": 0.0}, "seconds must be positive, not 0.0"),
        ((Yes, Ask), {"when": "granted"}, "when must be a function, not 'granted'"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: Any, given: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        pause_between(*arguments, **given)


def test_then_says_which_second_message_counts() -> None:
    """What is broken otherwise is not, where the second message is left out."""
    assert run_of(0.3).violation is not None
    assert run_of(0.3, then=lambda msg: False).violation is None
    with pytest.raises(ValueError, match="pause_between: then must be a function, not 3"):
        pause_between(Yes, Ask, then=3)  # type: ignore[arg-type]
