"""Raft as a system: whole stories on a simulated network, and the golden trace of an election."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from sim.lab import Scenario
from sim.network.topology import constant
from sim.protocols import BasicRaft, Raft
from sim.system import Invariant
from sim.workload import ClosedLoop


@dataclass
class Scribe(Invariant):
    """Writes down what is sent."""

    title: ClassVar[str] = "none"
    sent: list[tuple[float, str, str, Any]] = field(default_factory=list)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.sent.append((self.now(), src, dst, message))


def story(events: list[Any], sent: list[Any], traced: list[Any]) -> str:
    """Events and messages in order of time (milliseconds), one line each."""
    fates = {(kind, src, dst, time): fate for kind, src, dst, time, _, fate, _ in traced}
    lines = []
    for time, node, event, detail in events:
        if event == "role":
            event, detail = f"is {detail['role']}", {"term": detail["term"]}
        words = " ".join(f"{key}={value}" for key, value in detail.items())
        lines.append((time, f"{node}        {event}, {words}".rstrip(", ")))
    for time, src, dst, message in sent:
        if src == dst:
            continue  # its own next step: nothing travels
        fate = fates[type(message).__name__, src, dst, time]
        lines.append((time, f"{src} -> {dst}  {message!r}" + (f", {fate}" if fate != "delivered" else "")))
    return "\n".join(f"{1000 * time:7.1f}  {line}" for time, line in sorted(lines, key=lambda row: row[0]))


def test_golden_trace_of_an_election(stage: Any, golden: Callable[[str, str], None]) -> None:
    """n0 leads and crashes; n1 and n2 stand for election at almost the same time; n1 wins; n0 returns."""
    s = stage(3)
    scribe = Scribe()
    s.cluster.watch([scribe])
    s.campaign("n0", 0.0100)
    s.crash("n0")
    s.step("n1", "on_election_timeout")
    s.run(0.0005)
    s.step("n2", "on_election_timeout")
    s.run(0.0095)
    s.campaign("n1", 0.0100)
    s.restart("n0")
    s.heartbeat("n1", 0.0100)
    s.cluster.network.trace_in_flight()
    recorder = s.cluster.recorder
    golden("raft_election.txt", story(recorder.events, scribe.sent, recorder.messages))


def test_figure_8_d_the_entry_on_a_majority_is_overwritten_after_all(stage: Any) -> None:
    s = stage(5)
    s.figure_8()
    assert s.node("n0").commit_index == 0  # it has just restarted
    s.crash("n0")
    s.heal()
    s.restart("n4")
    s.campaign("n4")
    s.campaign("n4")
    assert s.node("n4").role == "leader"
    assert s.logs() == {key: [1, 2, 4] for key in ("n1", "n2", "n3", "n4")}


def test_figure_8_e_once_an_entry_of_the_own_term_is_committed_no_server_without_it_can_win(
    stage: Any,
) -> None:
    s = stage(5)
    s.figure_8()
    s.heal()
    s.heartbeat("n0")
    assert s.node("n0").commit_index == 3
    s.crash("n0")
    s.restart("n4")
    s.campaign("n4")
    s.campaign("n4")
    assert s.node("n4").role == "candidate"


def test_a_rejoining_old_leaders_entries_are_dropped(stage: Any) -> None:
    s = stage(3)
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2"])
    for session in (1, 2, 3):
        s.ask("n0", session=session, sequence=1)
    s.settle()
    s.campaign("n1")
    s.ask("n1", session=4, sequence=1)
    s.settle()
    s.heal()
    s.heartbeat("n1")
    assert s.logs() == {key: [1, 2, 2] for key in ("n0", "n1", "n2")}
    assert [reply.session for reply in s.client.replies] == [4]
    assert {redirect.session for redirect in s.client.redirects} == {1, 2, 3}


def test_lost_messages_are_made_up_for_by_the_next_heartbeat(stage: Any) -> None:
    s = stage(3)
    s.campaign("n0")
    s.cut(["n0"], ["n1", "n2"])
    s.ask("n0")
    s.settle()
    assert s.client.replies == []
    s.heal()
    s.heartbeat("n0")
    assert len(s.client.replies) == 1


def test_the_named_leader_leads_at_once_and_without_a_rival() -> None:
    scenario = Scenario(system=Raft(nodes=3, leader="n2"), network=constant(0.001), duration=0.3, check=True)
    run = scenario.run(seed=5)
    elected = run.events[run.events.event == "elected"]
    assert elected[["node", "time"]].to_numpy().tolist() == [["n2", 0.002]]


def test_a_leader_may_be_put_at_a_place() -> None:
    places = {"n0": "tokyo", "n1": "ireland", "n2": "ireland"}
    assert Raft(nodes=3).with_leader("ireland", places).leader == "n1"
    with pytest.raises(ValueError, match="no replica stands in 'oregon'"):
        Raft(nodes=3).with_leader("oregon", places)


def test_acknowledged_writes_that_no_server_has_are_counted(stage: Any) -> None:
    s = stage(3)
    s.campaign("n0")
    s.ask("n0")
    s.settle()
    acknowledged = {(1, 1): None, (1, 2): None}
    assert s.system.acknowledged_lost(acknowledged, s.cluster.nodes) == 1
    s.crash("n0")  # the others have the write in their logs and have not applied it
    assert s.system.acknowledged_lost(acknowledged, s.cluster.nodes) == 1
    s.crash("n1", "n2")
    assert s.system.acknowledged_lost(acknowledged, s.cluster.nodes) is None


def test_an_outage_ends_with_a_new_leader() -> None:
    from sim.faults import Crash

    scenario = Scenario(
        system=BasicRaft(nodes=3),
        network=constant(0.001),
        workload=ClosedLoop(clients=2, think=0.05),
        faults=[Crash("leader", at=2.0, down=1.0)],
        duration=6.0,
        check=True,
    )
    run = scenario.run(seed=3)
    assert run.violation is None
    assert run.events[run.events.event == "elected"].node.nunique() == 2
    late = run.operations[run.operations.called > 5.0]
    assert len(late) > 20
    assert (late.status[late["returned"].notna()] != "info").all()
