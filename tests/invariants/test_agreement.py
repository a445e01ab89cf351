"""What comes free for any system with an application: agreement of replicas, seen through the application."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from sim import protocols
from sim.invariants import Agreement
from sim.invariants.sequences import CommonSequence, Disagreement, Position
from sim.lab import draw_storm, run_storm
from sim.lab.progress import demand_progress
from sim.node import Node
from sim.protocols import Raft, ShardedRaft
from sim.protocols.command import Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.watching import watching
from sim.system import Invariant, SafetyViolation, System
from sim.testing import survive
from sim.workload import ClosedLoop, Mix, UniformKeys
from sim.zoo import RF1
from tests.invariants import scribes


def broken_by(node_class: type[Node], seeds: int = 12, storm: float = 3.0) -> dict[str, int]:
    """The invariants that the storms of the first seeds break, with how many break each; only free ones are asked."""
    system, found = System.of(node_class, consistency="linearizable"), dict[str, int]()
    for seed in range(seeds):
        scenario = dataclasses.replace(draw_storm(system, seed, length=storm), check="free")
        violation = run_storm(scenario, seed).violation
        if violation is not None:
            found[violation.invariant] = found.get(violation.invariant, 0) + 1
    return found


ORDER = "replicas apply the same commands in the same order"


@pytest.mark.parametrize(
    ("mistake", "invariant"),
    [
        ("Hasty", ORDER),
        ("Forgetful", ORDER),
        ("Ahead", ORDER),
        ("Meddler", ORDER),
        ("Twice", "each command takes effect once"),
        ("Liar", "clients are told what came of their commands"),
        ("Deaf", "every replica applies what one has applied"),
        ("Shortcut", "acknowledged writes survive"),
    ],
)
def test_each_mistake_of_a_foreign_node_class_breaks_an_invariant_that_nobody_declared(
    mistake: str, invariant: str
) -> None:
    assert invariant in broken_by(getattr(scribes, mistake), seeds=5)


def test_the_free_invariants_are_silent_on_the_correct_node_class() -> None:
    for seed in range(5):
        survive(System.of(scribes.Scribe, consistency="linearizable"), seed)


class Bending(scribes.Scribe):
    """A replica turns what it holds into something else, where no command notices it."""

    def apply(self, line: scribes.Numbered) -> None:
        super().apply(line)
        if self.name == "n1":
            self.shop.application.data["nobody asks for this key"] = self.done


def test_replicas_at_one_position_hold_one_state() -> None:
    assert set(broken_by(Bending, seeds=2)) == {"replicas that applied the same hold the same"}


def test_a_state_that_was_tried_out_on_a_copy_is_not_judged() -> None:
    class Trying(scribes.Scribe):
        """Applies each command to a copy before it is in the book."""

        def write(self, client: str, command: Command) -> None:
            self.trial = self.shop.application.fresh()
            self.trial.apply(command)
            super().write(client, command)

    assert not broken_by(Trying, storm=1.0)


class Double(KeyValueStore):
    """Has a command that is made of others."""

    operations: ClassVar[frozenset[str]] = KeyValueStore.operations | {"double"}
    several_keys: ClassVar[frozenset[str]] = KeyValueStore.several_keys

    def apply(self, command: Command) -> Result:
        if command.kind != "double":
            return super().apply(command)
        once = Command(command.session, command.sequence, "increment", command.key, 1)
        self.apply(once)
        return self.apply(once)


def test_an_application_may_apply_the_parts_of_a_command_itself() -> None:
    for seed in range(2):
        load = ClosedLoop(clients=3, mix=Mix({"double": 1.0, "put": 1.0}, UniformKeys(2)))
        scenario = draw_storm(Raft(application=Double()), seed, length=1.0)
        assert run_storm(scenario.vary("workload", load), seed).violation is None


def test_what_a_test_applies_outside_the_run_raises_no_alarm() -> None:
    simulation = draw_storm(System.of(scribes.Scribe), 1, length=1.0).start(1)
    simulation.run(until=0.5)
    node: Any = simulation.members["n1"]
    node.shop.application.apply(put(1, "z"))
    simulation.calm()
    demand_progress(simulation, 10.0)
    simulation.finish()


@dataclass
class Never(Invariant):
    """Written by hand: nothing may happen."""

    title: ClassVar[str] = "nothing happens"

    def on_step(self, node: Node) -> None:
        self.violated(node.name, "nothing may happen", "it has")


def test_what_is_written_by_hand_is_not_asked_for_free() -> None:
    system = System.of(scribes.Hasty, consistency="linearizable", invariants=[Never()])
    broken: dict[Any, Any] = {}
    correct = dataclasses.replace(draw_storm(System.of(scribes.Scribe), 1, length=0.5), check="free")
    assert "those that come free held" in str(correct.run(1).check())
    for check in (False, "free", True):
        scenario = dataclasses.replace(draw_storm(system, 1, length=1.0), check=check)
        violation = scenario.run(1).violation
        broken[check] = None if violation is None else violation.invariant
    assert broken == {False: None, "free": ORDER, True: "nothing happens"}
    with pytest.raises(ValueError, match="check must be True or False or 'free', not 'fre'"):
        dataclasses.replace(draw_storm(system, 1), check="fre")


def test_the_free_invariants_of_groups_are_asked_for_each_group() -> None:
    system = ShardedRaft(group=RF1(nodes=3), groups=2)  # each group forgets its votes in a crash
    scenario = dataclasses.replace(draw_storm(system, 0, length=2.0), check="free")
    violation = scenario.run(0).violation
    assert violation is not None
    assert violation.invariant == "durable before send"


def test_a_run_without_checking_and_one_that_ended_leave_applications_alone() -> None:
    scenario = draw_storm(System.of(scribes.Scribe), 1, length=0.5)
    for check in (True, False):
        simulation = dataclasses.replace(scenario, check=check).start(1)
        simulation.run()
        node: Any = simulation.members["n1"]
        assert (type(node.shop.application) is KeyValueStore) is not check
        assert node.shop.application == node.shop.application.fresh()  # whether watched or not
    assert type(KeyValueStore()) is KeyValueStore


@pytest.mark.parametrize("again", [False, True])
def test_a_state_that_was_there_twice_has_no_known_place(again: bool) -> None:
    agreement = Agreement(groups={"n0": "replicas", "n1": "replicas"})
    held: list[Any] = []
    with watching(agreement):
        for name in ("n0", "n1"):
            held.append(Holder(name, KeyValueStore()))
            agreement.on_step(held[-1])
        one, other = (holder.application for holder in held)
        one.snapshot()  # of an empty store: each time the same object
        if again:
            one.apply(put(1))
            one.apply(Command(0, 2, "delete", "x"))
            one.snapshot()
        other.restore(())
        other.apply(put(1))
        other.apply(put(3))
        if again:
            agreement.on_step(held[1])  # it may have been at either place
        else:
            one.apply(put(1))
            one.apply(put(4))
            with pytest.raises(SafetyViolation, match="n1 has applied"):
                agreement.on_step(held[0])


class Holder:
    """A node that holds an application."""

    def __init__(self, name: str, application: KeyValueStore) -> None:
        self.name = name
        self.application = application


def put(sequence: int, key: str = "x") -> Command:
    return Command(0, sequence, "put", key, sequence)


def test_commands_on_different_keys_commute_and_those_on_one_key_do_not() -> None:
    order, done = CommonSequence(), Result("ok")
    one, other = order.start(), order.start()
    for command in (put(1, "x"), put(2, "y"), put(3, "x")):
        order.apply(one, command, done, [command.key], "n0")
    order.apply(other, put(2, "y"), done, ["y"], "n1")
    order.apply(other, put(1, "x"), done, ["x"], "n1")
    assert (one.total, other.total, order.total) == (3, 2, 3)
    with pytest.raises(Disagreement, match="n0 has applied"):
        order.apply(other, put(4, "x"), done, ["x"], "n1")


@pytest.mark.parametrize("late", [("x",), ("x", "y")])
def test_a_command_that_touches_everything_comes_after_all_before_it(late: tuple[str, ...]) -> None:
    order, done = CommonSequence(), Result("ok")
    one, other = order.start(), order.start()
    order.apply(one, put(1, "x"), done, ["x"], "n0")
    order.apply(one, put(2), done, None, "n0")
    with pytest.raises(Disagreement):  # it lacks the write before
        order.apply(other, put(2), done, None, "n1")
    other = order.start()
    order.apply(other, put(1, "x"), done, ["x"], "n1")
    with pytest.raises(Disagreement):  # no other write came before
        order.apply(other, put(3), done, late, "n1")


def test_a_command_on_two_keys_has_its_place_among_the_writes_of_both() -> None:
    order, done = CommonSequence(), Result("ok")
    one, other = order.start(), order.start()
    order.apply(one, put(1, "x"), done, ["x"], "n0")
    order.apply(one, put(2), done, ["x", "y"], "n0")
    with pytest.raises(Disagreement):
        order.apply(other, put(2), done, ["x", "y"], "n1")


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(protocols.__all__))
def test_the_free_invariants_are_silent_on_every_system(name: str) -> None:
    kind = getattr(protocols, name)
    if not issubclass(kind, System):
        pytest.skip("no system")
    for seed in range(20):
        run = run_storm(dataclasses.replace(draw_storm(kind(), seed), check="free"), seed)
        assert run.violation is None, f"seed {seed}: {run.violation}"


def test_what_only_a_crashed_replica_had_applied_before_its_disk_had_it_may_take_another_place() -> None:
    order, done = CommonSequence(), Result("ok")
    one, other = order.start(), order.start()
    for command in (put(1), put(2)):
        order.apply(one, command, done, ["x"], "n0")
    order.apply(other, put(1), done, ["x"], "n1")
    order.take_back("n0")
    assert order.total == 1
    order.apply(other, put(3), done, ["x"], "n1")  # instead of the second
    order.apply(other, put(2), done, ["x"], "n1")
    order.take_back("n0")  # it has nothing alone
    again = order.start()
    order.apply(again, put(1), done, ["x"], "n0")
    with pytest.raises(Disagreement):
        order.apply(again, put(2), done, ["x"], "n0")


def test_what_another_replica_has_taken_over_lasts_although_the_first_one_crashes() -> None:
    order, done = CommonSequence(), Result("ok")
    one = order.start()
    order.apply(one, put(1), done, ["x"], "n0")
    other = one.copy()  # the position of a snapshot, which another replica has installed
    assert order.take_over(other)
    order.take_back("n0")
    order.apply(other, put(2), done, ["x"], "n1")
    assert order.total == 2
    assert not order.take_over(Position(0, {"x": 3}, 3))  # of a snapshot of what was taken back
