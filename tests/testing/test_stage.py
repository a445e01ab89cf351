"""The stage: messages are held, dropped and reordered, nodes crash, time ticks, all by hand; and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Machine
from sim.node import Node, durable, message
from sim.protocols import Raft
from sim.protocols.consensus.raft.node import RaftNode
from sim.system import Member
from sim.testing import Stage


@message
class Note:
    number: int


class Listener(Node):
    """Counts on disk what it hears, and keeps the order in memory."""

    count = durable(0)

    def on_start(self) -> None:
        self.heard: list[int] = []

    def on_note(self, src: str, msg: Note) -> None:
        self.heard.append(msg.number)
        self.count += 1


def two(**options: Any) -> Stage:
    return Stage([Member("a", Listener), Member("b", Listener)], **options)


def notes(stage: Stage, *numbers: int) -> None:
    for number in numbers:
        stage.node("a").send("b", Note(number))
    stage.run(0.1)


def test_what_is_held_arrives_when_it_is_released_in_the_order_that_is_given() -> None:
    stage = two()
    stage.hold(kind="Note", dst="b")
    notes(stage, 1, 2, 3)
    assert stage.node("b").heard == []
    first, second, third = stage.held
    stage.release([third, first])
    stage.run(0.0001)
    assert stage.node("b").heard == [3, 1]
    assert stage.held == [second]
    notes(stage, 4)
    assert len(stage.held) == 2, "holding goes on"
    stage.release()
    notes(stage, 5)
    assert stage.node("b").heard == [3, 1, 2, 4, 5]


def test_only_what_matches_is_held() -> None:
    stage = two()
    stage.hold(kind=Note, src="b")
    notes(stage, 1)
    assert stage.node("b").heard == [1]
    stage.node("b").send("a", Note(2))
    stage.run(0.1)
    assert stage.node("a").heard == []
    assert [held.message.number for held in stage.held] == [2]


def test_what_is_dropped_never_arrives_and_counts_as_lost() -> None:
    stage = two()
    stage.hold(dst="b")
    notes(stage, 1, 2)
    assert stage.drop(src="a") == 2
    stage.release()
    notes(stage, 3)
    assert stage.node("b").heard == [3]
    assert stage.cluster.network.links["a", "b"].lost == 2


def test_two_copies_of_a_message_are_two() -> None:
    """They were one once: to release the first lost the second."""
    stage = two()
    stage.hold(dst="b")
    notes(stage, 7, 7)
    stage.release(stage.held[:1])
    stage.run(0.01)
    assert stage.node("b").heard == [7]
    assert len(stage.held) == 1
    assert stage.drop() == 1


def test_a_crash_loses_what_is_not_synced_and_memory_with_it() -> None:
    stage = two(fsync=1.0)
    notes(stage, 1)
    stage.crash("b")
    assert stage.node("b") is None
    stage.restart("b")
    assert (stage.node("b").count, stage.node("b").heard) == (0, [])
    notes(stage, 2)
    stage.run(2.0)
    stage.crash("b")
    stage.restart("b")
    assert stage.node("b").count == 1
    stage.crash("b")
    stage.restart("b", wiped=True)
    assert stage.node("b").count == 0


def test_a_tick_is_the_next_thing_that_happens() -> None:
    stage = two()
    stage.run(0.5)
    stage.node("a").send("b", Note(1))
    stage.node("b").send("a", Note(2))
    seen = []
    while not (stage.node("a").heard and stage.node("b").heard):
        seen.append((stage.tick(), len(stage.node("a").heard) + len(stage.node("b").heard)))
    assert seen[-1] == (pytest.approx(0.51), 2)
    assert [count for _, count in seen][-2:] == [1, 2]


def test_links_are_cut_one_way_or_both_until_they_heal() -> None:
    stage = two()
    stage.cut(["a"], ["b"])
    notes(stage, 1)
    stage.node("b").send("a", Note(2))
    stage.run(0.1)
    assert (stage.node("a").heard, stage.node("b").heard) == ([2], [])
    stage.isolate("a")
    stage.node("b").send("a", Note(3))
    stage.run(0.1)
    assert stage.node("a").heard == [2]
    stage.heal()
    notes(stage, 4)
    assert stage.node("b").heard == [4]


class LeadsAtOnce(RaftNode):
    """Leads a term without a vote of anybody."""

    def on_election_timeout(self) -> None:
        self.current_term += 1
        self.become_leader()


def test_an_invariant_that_breaks_is_named_and_one_that_holds_is_no_success() -> None:
    def mutant(member: Member) -> Member:
        return dataclasses.replace(member, node_class=LeadsAtOnce)

    stage = Stage(Raft(nodes=3), change=mutant)
    stage.run(0.3)
    stage.step("n1", "on_election_timeout")
    assert stage.invariant_broken(lambda: stage.step("n2", "on_election_timeout")) == "election safety"
    with pytest.raises(AssertionError, match="no invariant broke"):
        Stage(Raft(nodes=3)).invariant_broken()


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="machines names 'c', but the members are a, b"):
        two(machines={"c": Machine()})
    stage = two()
    stage.hold(dst="b")
    notes(stage, 1)
    (held,) = stage.held
    stage.drop()
    with pytest.raises(ValueError, match="is not held"):
        stage.release([held])


def test_missing_failure_detection_is_ten_heartbeats_and_what_is_given_stays() -> None:
    assert (Stage(Raft()).system.heartbeat, Stage(Raft()).system.detection) == (0.05, 0.5)
    given = Stage(Raft(heartbeat=0.2, detection=3.0)).system
    assert (given.heartbeat, given.detection) == (0.2, 3.0)


def test_the_tools_need_neither_hypothesis_nor_pytest(fresh_python: Callable[..., str]) -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None; import sim.testing; print(1)"
    )
    assert fresh_python(code) == "1\n"
