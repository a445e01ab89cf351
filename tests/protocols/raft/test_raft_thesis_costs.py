"""Exact costs and savings of the thesis' extensions without failures: constant delay, free disk and CPU."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import Raft
from sim.protocols.admin import Join, Leave, Reconfigure, Transfer
from sim.protocols.consensus.raft.extensions.membership import Config
from sim.protocols.consensus.raft.node import RaftNode

DELTA = 0.001


def exactly(delays: int) -> Any:
    return pytest.approx(delays * DELTA, rel=1e-9)


def test_options_that_are_off_are_not_there() -> None:
    assert {member.node_class for member in Raft().members()} == {RaftNode}


@pytest.mark.parametrize("n", [3, 5])
def test_pre_vote_adds_two_delays_and_two_messages_per_other_server(stage: Any, n: int) -> None:
    s = stage(system=Raft(nodes=n, pre_vote=True))
    s.campaign("n1")
    ((elected, node, _),) = s.events("elected")
    assert node == "n1"
    assert elected == exactly(4)
    for kind in ("PreVote", "PreVoteReply", "RequestVote", "RequestVoteReply"):
        assert len(s.messages(kind)) == n - 1


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_read_by_read_index_takes_four_delays_and_writes_nothing(stage: Any, n: int) -> None:
    s = stage(system=Raft(nodes=n, reads="index"))
    s.campaign("n0")
    start, length = s.now, s.node("n0").last_index()
    assert s.took("n0", "get") == exactly(4 if n > 1 else 2)
    assert len(s.messages("ReadHeartbeat")) == len(s.messages("ReadHeartbeatReply")) == n - 1
    assert s.messages("AppendEntries", since=start) == []
    assert s.node("n0").last_index() == length


def test_a_read_under_a_lease_takes_two_delays_and_no_messages(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, reads="lease"))
    s.campaign("n0")
    start = s.now
    assert s.took("n0", "get") == exactly(2)
    assert s.messages("ReadHeartbeat", since=start) == []


def test_a_read_at_a_follower_takes_six_delays(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, reads="follower"))
    s.campaign("n0")
    s.heartbeat("n0")
    start = s.now
    assert s.took("n1", "get") == exactly(6)
    assert s.messages("ReadIndexRequest", since=start) == [("n1", "n0")]
    assert s.messages("ReadIndexReply", since=start) == [("n0", "n1")]
    assert len(s.messages("ReadHeartbeat", since=start)) == 4


def test_a_read_at_a_follower_that_holds_the_entries_waits_for_no_heartbeat(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, reads="follower"))
    s.campaign("n0")
    s.ask("n0", "put", "x", 7)
    s.settle()
    assert s.node("n1").commit_index == 1
    assert s.took("n1", "get") == exactly(6)
    assert s.client.replies[-1].value == 7


def test_a_stale_read_takes_two_delays_anywhere(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, reads="stale"))
    s.campaign("n0")
    assert s.took("n2", "get") == exactly(2)


def test_a_leadership_transfer_takes_three_delays(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, transfer=True, check_quorum=True), client_at="n0")
    s.campaign("n0")
    start = s.now
    s.admin("n0", Transfer("n3"))
    elected, node, _ = s.events("elected")[-1]
    assert node == "n3"
    assert elected - start == exactly(3)
    assert s.messages("TimeoutNow") == [("n0", "n3")]


def test_a_single_server_change_is_one_commit_round(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, membership="single"), client_at="n0")
    s.campaign("n0")
    start = s.now
    assert s.admin("n0", Leave("n4")) == exactly(2)
    assert s.client.admin[-1].done
    for kind in ("AppendEntries", "AppendEntriesReply"):
        assert len(s.messages(kind, since=start)) == 3  # n' - 1, n4 is out already


def test_a_joint_change_is_two_commit_rounds(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, membership="joint"), client_at="n0")
    s.campaign("n0")
    start = s.now
    assert s.admin("n0", Reconfigure(("n0", "n1", "n2"))) == exactly(4)
    assert s.client.admin[-1].done
    assert len(s.messages("AppendEntries", since=start)) == 4 + 2  # to all of both, then to those of the new
    assert s.node("n0").config == Config(("n0", "n1", "n2"))


@pytest.mark.parametrize("how", ["single", "joint"])
def test_a_newcomer_adds_the_round_in_which_it_catches_up(stage: Any, how: str) -> None:
    """An empty server: the first probe is refused, then everything comes at once (4.2.1)."""
    s = stage(system=Raft(nodes=3, spares=1, membership=how, fast_backtracking=True), client_at="n0")
    s.campaign("n0")
    s.cluster.hosts["n3"].boot()
    rounds = 2 if how == "joint" else 1
    assert s.admin("n0", Join("n3")) == exactly(4 + 2 * rounds)
    assert s.node("n0").config.voters == ("n0", "n1", "n2", "n3")


@pytest.mark.parametrize(("options", "most"), [({}, 60), ({"fast_backtracking": True}, 3)])
def test_fifty_divergent_entries_are_repaired_in_few_round_trips(
    stage: Any, options: dict[str, Any], most: int
) -> None:
    """MIT 6.5840, TestBackup3B. Figure 2's step by step takes a round trip for each."""
    s = stage(system=Raft(nodes=3, **options))
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2"])
    for session in range(50):
        s.ask("n0", session=session, sequence=1)
    s.settle()
    s.campaign("n1")
    for session in range(50, 100):
        s.ask("n1", session=session, sequence=1)
    s.settle()
    s.campaign("n2")
    s.heal()
    start = s.now
    s.heartbeat("n2", 0.5)
    assert s.logs()["n0"] == [1] + [2] * 51 + [3]
    trips = len([1 for src, dst in s.messages("AppendEntries", since=start) if dst == "n0"])
    assert trips <= most
    assert options or trips > 50


def test_a_batch_is_one_message_to_each_follower(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, batch=10, batch_wait=2 * DELTA))
    s.campaign("n0")
    start = s.now
    for session in range(7):
        s.ask("n0", session=session, sequence=1)
    s.settle()
    assert len(s.client.replies) == 7
    assert len(s.messages("AppendEntries", since=start)) == 2
    assert s.client.answered == pytest.approx([start + 6 * DELTA] * 7)


def test_a_full_batch_does_not_wait(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, batch=3, batch_wait=50 * DELTA))
    s.campaign("n0")
    start = s.now
    for session in range(3):
        s.ask("n0", session=session, sequence=1)
    s.settle()
    assert s.client.answered == pytest.approx([start + 4 * DELTA] * 3)


@pytest.mark.parametrize(("pipeline", "sent_entries"), [(None, 4), (64, 1)])
def test_a_pipeline_sends_each_entry_once(stage: Any, pipeline: int | None, sent_entries: int) -> None:
    s = stage(system=Raft(nodes=3, pipeline=pipeline))
    s.campaign("n0")
    start = s.now
    sizes = []
    s.node("n1").on_append_entries, handle = None, s.node("n1").on_append_entries
    s.cluster.hosts["n1"].handlers[type(s.node("n0").append_entries(0))] = lambda src, msg: (
        sizes.append(len(msg.entries)),
        handle(src, msg),
    )
    for session in range(4):
        s.ask("n0", session=session, sequence=1)
        s.run(DELTA / 10)
    s.settle()
    assert max(sizes) == sent_entries
    assert s.client.answered == pytest.approx([start + 4 * DELTA + k * DELTA / 10 for k in range(4)])


def test_a_full_pipeline_collects_what_comes_meanwhile(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, pipeline=1))
    s.campaign("n0")
    start = s.now
    for session in range(4):
        s.ask("n0", session=session, sequence=1)
        s.run(DELTA / 10)
    s.settle()
    assert len(s.client.replies) == 4
    assert len(s.messages("AppendEntries", since=start)) == 2 * 2
