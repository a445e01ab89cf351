"""What storms have found, as schedules: a seed tests its bug only until a draw moves (see test_client.py, too)."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import Raft
from sim.protocols.admin import Leave


def test_an_old_leader_that_is_cut_off_commits_what_others_have_in_their_snapshots(stage: Any) -> None:
    """The commit rule must see an entry that two servers have compacted (storm 972 on snapshots)."""
    s = stage(system=Raft(nodes=3, snapshot_every=3), quiet=False)
    s.run(1.5)
    assert s.leaders() == ["n0"]
    s.hold(kind="AppendEntriesReply", dst="n0")
    s.ask("n0")
    s.run(0.01)
    asked = s.node("n0").last_index()
    assert s.node("n0").commit_index < asked, "nobody has told it"
    late = s.held
    s.isolate("n0")
    s.run(5.0)
    (leader,) = s.leaders(["n1", "n2"])
    for _ in range(8):
        s.ask(leader)
        s.run(0.1)
    assert min(s.node(name).floor() for name in ("n1", "n2")) >= asked
    s.release(late)
    s.run(0.001)
    assert s.node("n0").commit_index >= asked
    s.finish()


@pytest.mark.parametrize("options", [{}, {"check_quorum": True}, {"reads": "lease"}], ids=str)
@pytest.mark.parametrize("offset", [-1000.0, 1000.0])
def test_a_server_whose_clock_is_set_votes_again_when_its_leader_is_gone(
    stage: Any, options: dict[str, Any], offset: float
) -> None:
    """Its last contact was to come, once, and it answered no request for its vote until then (storm 1020)."""
    s = stage(system=Raft(nodes=3, pre_vote=True, **options), quiet=False)
    s.run(1.5)
    assert s.leaders() == ["n0"]
    s.cluster.hosts["n1"].set_clock(offset=offset)
    s.hold(kind="RequestVote", src="n1")  # so that its vote decides
    s.hold(kind="PreVote", src="n1")
    s.crash("n0")
    s.run(5.0)
    assert s.leaders() == ["n2"]
    s.ask("n2")
    s.run(0.1)
    assert len(s.client.replies) == 1


def test_a_client_that_asks_a_former_member_finds_the_last_member(stage: Any) -> None:
    """A client asked members that had left, for ever (storms 624 and 800): each names the one that leads."""
    s = stage(system=Raft(nodes=3, membership="single"), quiet=False)
    s.run(1.5)
    for name in ("n1", "n2"):
        s.admin("n0", Leave(name), 2.0)
    assert s.node("n0").config.voters == ("n0",)
    for session, name in enumerate(("n1", "n2"), 2):
        s.ask(name, session=session)
    s.run(0.1)
    assert s.client.replies == []
    assert {redirect.leader for redirect in s.client.redirects} <= {"n0", None}
    s.ask("n0", session=4)
    s.run(0.1)
    assert [reply.session for reply in s.client.replies] == [4]
