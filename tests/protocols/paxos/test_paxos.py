"""Single-decree Paxos: what it costs, who learns, how duels go, what clients see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import Paxos
from sim.protocols.client import Reply
from sim.protocols.quorums import Columns, Rows

DELTA = 0.01


@pytest.mark.parametrize("n", [1, 3, 5, 7])
def test_an_uncontended_proposer_decides_after_four_delays_and_tells_the_learners_in_one_more(
    stage: Callable[..., Any], n: int
) -> None:
    s = stage(Paxos(nodes=n), beside="n0")
    s.ask("n0", value="v")
    s.run(1.0)
    assert s.client.answered[0] == (pytest.approx(4 * DELTA) if n > 1 else 0.0)
    assert all(s.node(f"n{i}").chosen.value == "v" for i in range(n))
    assert max([m[4] for m in s.messages()], default=0.0) == (pytest.approx(5 * DELTA) if n > 1 else 0.0)
    assert len(s.messages()) == 4 * (n - 1) + (n - 1)


def test_learning_by_broadcast_takes_four_delays_everywhere_and_n_squared_messages(
    stage: Callable[..., Any],
) -> None:
    s = stage(Paxos(nodes=5, learning="broadcast"), beside="n0")
    s.ask("n0", value="v")
    s.run(1.0)
    assert s.client.answered[0] == pytest.approx(4 * DELTA)
    assert [e[0] for e in s.events("chosen")] == [pytest.approx(4 * DELTA)] * 5
    assert Counter(m[0] for m in s.messages()) == {"Prepare": 4, "Promise": 4, "Accept": 4, "Accepted": 5 * 4}


def test_a_distinguished_learner_learns_first_and_tells_the_others(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=5, learning="distinguished"), beside="n3")
    s.ask("n3", value="v")
    s.run(1.0)
    assert s.events("chosen")[0][:2] == (pytest.approx(4 * DELTA), "n0")
    assert s.client.answered[0] == pytest.approx(5 * DELTA)
    assert Counter(m[0] for m in s.messages())["Accepted"] == 4


def test_roles_may_stand_on_different_nodes(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(proposers=2, acceptors=3, learners=2))
    s.ask("p0", value="v")
    s.run(1.0)
    assert [s.node(n).chosen.value for n in ("p0", "p1", "l0", "l1")] == ["v"] * 4
    assert s.client.answered[0] == pytest.approx(6 * DELTA)  # the client is remote: one delay each way
    assert not hasattr(s.node("p0"), "promised")
    assert not hasattr(s.node("a0"), "chosen")


def test_the_losing_put_fails_and_learns_what_was_chosen(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3))
    s.ask("n0", value="first", session=1)
    s.run(0.5)
    s.ask("n1", value="second", session=2)
    s.run(0.5)
    s.ask("n2", "get", session=3)
    s.run(0.5)
    assert [(r.status, r.value, r.result) for r in s.replies] == [
        ("ok", "first", "first"),
        ("fail", "second", "first"),
        ("ok", "first", None),
    ]


def test_a_get_before_anything_is_chosen_says_so_without_choosing(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3))
    s.ask("n0", "get")
    s.run(0.5)
    assert s.replies[0].value is None
    assert Counter(m[0] for m in s.messages()) == {"Prepare": 2, "Promise": 2}


def test_a_get_that_came_after_its_ballot_began_is_not_answered_by_that_ballot(
    stage: Callable[..., Any],
) -> None:
    s = stage(Paxos(nodes=3))
    s.ask("n0", "get", session=1)
    s.run(1.5 * DELTA)  # the ballot has begun
    s.ask("n0", "get", session=2)
    s.run(0.5)
    first, second = s.client.heard_of(Reply)
    assert (first[2].session, first[0]) == (1, pytest.approx(4 * DELTA))
    assert (second[2].session, second[0]) == (2, pytest.approx(6 * DELTA))  # by a ballot of its own


def test_duels_without_backoff_may_never_end_and_with_it_they_do(stage: Callable[..., Any]) -> None:
    """Section 2.4: proposers who each keep issuing a higher-numbered proposal, "none of which are ever chosen".

    A refused ballot takes four delays; three proposers a third of that apart always find another's promise.
    """

    def duel(backoff: float | None) -> Any:
        s = stage(Paxos(nodes=3, backoff=backoff, timeout=60.0))
        for i in range(3):
            s.ask(f"n{i}", value=f"v{i}", session=i)
            s.run(4 / 3 * DELTA)
        s.run(20.0)
        return s

    s = duel(0.0)
    assert not s.replies
    assert s.node("n0").round > 500
    s = duel(None)
    assert sorted(r.status for r in s.replies) == ["fail", "fail", "ok"]


def test_golden_trace_of_a_duel(stage: Callable[..., Any], golden: Callable[[str, str], None]) -> None:
    s = stage(Paxos(nodes=3, backoff=0.03))
    s.ask("n0", value="apple", session=1)
    s.run(1.5 * DELTA)
    s.ask("n1", value="pear", session=2)
    s.run(1.0)
    golden("paxos_duel.txt", s.trace())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proposers": 2}, "both or not at all"),
        ({"learners": 2}, "learners=2"),
        ({"nodes": 3, "phase2": 4}, "4 members cannot be had from 3"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Paxos(**settings)


def test_flexible_quorums_decide_with_a_row_and_a_column(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=6, phase1=Columns(2, 3), phase2=Rows(2, 3)))
    for name in ("n1", "n4"):
        s.crash(name)  # row n0 n1 n2 and column n1 n4 are gone; the others are not, but row n3 n4 n5
    s.ask("n0", value="v")
    s.run(1.0)
    assert not s.replies
    s.restart("n1")
    s.run(3.0)
    assert s.replies[0].status == "ok"


def test_a_restarted_acceptor_keeps_its_promise_and_its_vote(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), fsync=0.002)
    s.ask("n0", value="v")
    s.run(0.5)
    for name in ("n0", "n1", "n2"):
        s.crash(name)
        s.restart(name)
    assert [s.node(n).vote.command.value for n in ("n0", "n1", "n2")] == ["v"] * 3
    s.ask("n2", "get", session=2)
    s.run(0.5)
    assert s.replies[-1].value == "v"
