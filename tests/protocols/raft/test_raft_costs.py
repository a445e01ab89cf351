"""Exact costs of Raft without failures: constant delay, free disk and CPU, no batching.

The client is one delay away from every server, or stands at one. Heartbeats are excluded.
"""

from __future__ import annotations

from typing import Any

import pytest

DELTA = 0.001


def exactly(delays: int) -> Any:
    return pytest.approx(delays * DELTA, rel=1e-9)


@pytest.mark.parametrize("n", [1, 3, 5, 7])
def test_a_write_takes_four_delays_and_two_messages_per_follower(stage: Any, n: int) -> None:
    s = stage(n)
    s.campaign("n0")
    start = s.now
    assert s.took("n0") == exactly(4 if n > 1 else 2)
    assert len(s.messages("AppendEntries", since=start)) == n - 1
    assert len(s.messages("AppendEntriesReply", since=start)) == n - 1


def test_a_write_takes_two_delays_at_the_leader(stage: Any) -> None:
    s = stage(5, client_at="n0")
    s.campaign("n0")
    assert s.took("n0") == exactly(2)


def test_a_read_costs_what_a_write_costs(stage: Any) -> None:
    s = stage(5)
    s.campaign("n0")
    start = s.now
    assert s.took("n0", "get") == exactly(4)
    assert len(s.messages("AppendEntries", since=start)) == 4


@pytest.mark.parametrize("n", [3, 5])
def test_an_election_takes_two_delays_and_two_messages_per_other_server(stage: Any, n: int) -> None:
    s = stage(n)
    start = s.now
    s.campaign("n1")
    ((elected, node, _),) = s.events("elected")
    assert node == "n1"
    assert elected - start == exactly(2)
    assert len(s.messages("RequestVote")) == len(s.messages("RequestVoteReply")) == n - 1


def test_the_first_command_of_a_term_needs_no_extra_round(stage: Any) -> None:
    """The no-op and the command are on their way together."""
    s = stage(3)
    s.campaign("n0", 2.5 * DELTA)
    assert s.took("n0") == exactly(4)


def test_concurrent_writes_do_not_wait_for_each_other(stage: Any) -> None:
    s = stage(5)
    s.campaign("n0")
    start = s.now
    for session in range(1, 11):
        s.ask("n0", session=session, sequence=1)
        s.run(DELTA / 10)
    s.settle()
    first = start + 4 * DELTA
    assert s.client.answered == pytest.approx([first + k * DELTA / 10 for k in range(10)])
    assert len(s.messages("AppendEntries", since=start)) == 40
    assert len(s.messages("AppendEntriesReply", since=start)) == 40


def test_followers_learn_of_the_commit_with_the_next_message(stage: Any) -> None:
    s = stage(3)
    s.campaign("n0")
    s.ask("n0")
    s.settle()
    assert [s.node(name).commit_index for name in ("n0", "n1", "n2")] == [2, 1, 1]
    s.heartbeat("n0")
    assert [s.node(name).commit_index for name in ("n0", "n1", "n2")] == [2, 2, 2]


@pytest.mark.parametrize("fsync", [0.0005, 0.01])
def test_the_leaders_disk_works_while_the_followers_do(stage: Any, fsync: float) -> None:
    """Thesis, 10.2.1: one sync is in a write's path, not two."""
    s = stage(3, fsync=fsync)
    s.campaign("n0")
    assert s.took("n0") == pytest.approx(4 * DELTA + fsync)
