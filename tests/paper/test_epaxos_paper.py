"""Egalitarian Paxos, figures 2 (the protocol) and 3 (recovery) and section 4.3.2 (execution), rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import EPaxos
from sim.protocols.client import Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.epaxos.messages import (
    ACCEPTED,
    COMMITTED,
    PREACCEPTED,
    Accept,
    AcceptOk,
    Commit,
    Nack,
    PreAccept,
    PreAcceptOk,
    Prepare,
    PrepareOk,
    Record,
)
from sim.protocols.consensus.epaxos.node import EPaxosNode
from sim.testing import Bench

NAMES = ("n0", "n1", "n2", "n3", "n4")
OTHERS = NAMES[1:]
DEFAULT = Ballot(0, "n0")
A = Command(1, 1, "put", "x", 1)
B = Command(2, 1, "put", "x", 2)
OTHER_KEY = Command(3, 1, "put", "y", 3)
READ = Command(4, 1, "get", "x")
READ_2 = Command(5, 1, "get", "x")


def replica(name: str = "n0", **options: Any) -> Bench[EPaxosNode]:
    return Bench(EPaxosNode, name, members=NAMES, settings=EPaxos(nodes=5, **options))


@pytest.fixture
def leader() -> Bench[EPaxosNode]:
    return replica()


@pytest.fixture
def acceptor() -> Bench[EPaxosNode]:
    return replica("n1")


# Phase 1: establish ordering constraints


def test_the_leader_writes_the_command_down_as_pre_accepted_and_sends_pre_accept(leader: Any) -> None:
    assert leader.deliver("client", Request(A)) == [(n, PreAccept((0, 1), DEFAULT, A, 1, ())) for n in OTHERS]
    assert leader.node.instances[0, 1] == Record(PREACCEPTED, A, 1, (), DEFAULT, DEFAULT)


def test_seq_is_one_more_than_the_largest_of_those_that_interfere_and_deps_are_these(leader: Any) -> None:
    leader.deliver("n1", PreAccept((1, 1), Ballot(0, "n1"), B, 7, ()))
    leader.deliver("n2", PreAccept((2, 1), Ballot(0, "n2"), OTHER_KEY, 9, ()))
    assert leader.deliver("client", Request(A))[0] == ("n1", PreAccept((0, 1), DEFAULT, A, 8, ((1, 1),)))


def test_two_reads_do_not_interfere_and_a_read_and_a_write_do(leader: Any) -> None:
    leader.deliver("n1", PreAccept((1, 1), Ballot(0, "n1"), READ, 1, ()))
    assert leader.deliver("client", Request(READ_2))[0][1].deps == ()
    assert leader.deliver("client", Request(A))[0][1].deps == ((0, 1), (1, 1))


def test_a_replica_adds_what_it_knows_to_the_attributes_and_answers(acceptor: Any) -> None:
    acceptor.deliver("n2", PreAccept((2, 1), Ballot(0, "n2"), B, 3, ()))
    acceptor.take()
    sent = acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ((3, 1),)))
    assert sent == [("n0", PreAcceptOk((0, 1), DEFAULT, 4, ((2, 1), (3, 1))))]
    assert acceptor.node.instances[0, 1].deps == ((2, 1), (3, 1))


def test_asked_again_it_answers_the_same(acceptor: Any) -> None:
    ask = PreAccept((0, 1), DEFAULT, A, 1, ())
    first = acceptor.deliver("n0", ask)
    acceptor.deliver("n2", PreAccept((2, 1), Ballot(0, "n2"), B, 3, ()))
    assert acceptor.deliver("n0", ask) == first


def ok(seq: int = 1, deps: tuple[Any, ...] = ()) -> PreAcceptOk:
    return PreAcceptOk((0, 1), DEFAULT, seq, deps)


def test_with_the_same_attributes_from_a_fast_quorum_of_2f_it_commits_at_once(leader: Any) -> None:
    leader.deliver("client", Request(A))
    assert leader.deliver("n1", ok()) == []
    assert leader.deliver("n2", ok()) == []
    sent = leader.deliver("n3", ok())
    assert sent == [*[(n, Commit((0, 1), A, 1, ())) for n in OTHERS], ("client", Reply(1, 1, "ok", 1))]


def test_the_others_may_agree_on_more_than_the_leader_knew(leader: Any) -> None:
    leader.deliver("client", Request(A))
    leader.take()
    for n in ("n1", "n2", "n3"):
        leader.deliver(n, ok(2, ((2, 1),)))
    assert leader.take(kind=Commit)[0] == Commit((0, 1), A, 2, ((2, 1),))


def test_otherwise_the_union_of_deps_and_the_largest_seq_are_accepted_first(leader: Any) -> None:
    leader.deliver("client", Request(A))
    leader.take()
    leader.deliver("n1", ok(2, ((2, 1),)))
    sent = leader.deliver("n2", ok(3, ((3, 1),)))
    assert sent == [(n, Accept((0, 1), DEFAULT, A, 3, ((2, 1), (3, 1)))) for n in OTHERS]


def test_when_a_fast_quorum_does_not_answer_a_majority_is_enough_for_the_slow_path(leader: Any) -> None:
    leader.deliver("client", Request(A))
    leader.take()
    leader.deliver("n1", ok())
    leader.deliver("n2", ok())
    assert Accept((0, 1), DEFAULT, A, 1, ()) in [m for _, m in leader.fire("retry", (0, 1))]


def test_thrifty_asks_a_fast_quorum_only() -> None:
    sent = replica(thrifty=True).deliver("client", Request(A))
    assert [dst for dst, _ in sent] == ["n1", "n2", "n3"]


# The Paxos-Accept phase, commit


def test_accepted_by_a_majority_the_command_is_committed(acceptor: Any, leader: Any) -> None:
    ask = Accept((0, 1), DEFAULT, A, 3, ((2, 1),))
    assert acceptor.deliver("n0", ask) == [("n0", AcceptOk((0, 1), DEFAULT))]
    assert acceptor.node.instances[0, 1] == Record(ACCEPTED, A, 3, ((2, 1),), DEFAULT, DEFAULT)
    leader.deliver("client", Request(A))
    leader.deliver("n1", ok(2, ((2, 1),)))
    leader.deliver("n2", ok(1, ()))
    leader.take()
    assert leader.deliver("n1", AcceptOk((0, 1), DEFAULT)) == []
    assert [m for _, m in leader.deliver("n2", AcceptOk((0, 1), DEFAULT))] == [
        Commit((0, 1), A, 2, ((2, 1),))
    ] * 4


def test_the_client_is_answered_when_the_command_is_executed_and_not_before(leader: Any) -> None:
    leader.deliver("client", Request(A))
    for n in ("n1", "n2", "n3"):
        leader.deliver(n, ok(2, ((2, 1),)))
    assert leader.take(dst="client") == [], "committed, but what it depends on is not"
    leader.deliver("n2", Commit((2, 1), B, 1, ()))
    assert leader.take(dst="client") == [Reply(1, 1, "ok", 1)]
    assert leader.node.store.application.data == {"x": 1}


# Explicit prepare (figure 3)


def recovering(bench: Bench[EPaxosNode]) -> Ballot:
    """n1 suspects the leader of (0, 1)."""
    if (("recover", (0, 1))) not in bench.timers:
        bench.node.suspect((0, 1))
    bench.take()
    sent = bench.fire("recover", (0, 1))
    ballot: Ballot = sent[0][1].ballot
    assert sent == [(n, Prepare((0, 1), ballot)) for n in NAMES if n != "n1"]
    return ballot


def answer(ballot: Ballot, record: Record) -> PrepareOk:
    return PrepareOk((0, 1), ballot, record)


def pre_accepted(seq: int = 1, deps: tuple[Any, ...] = ()) -> Record:
    return Record(PREACCEPTED, A, seq, deps, DEFAULT, DEFAULT)


NOTHING = Record(0, None, 0, (), ZERO, ZERO)


def test_it_asks_everyone_with_a_higher_ballot(acceptor: Any) -> None:
    assert recovering(acceptor) == Ballot(1, "n1")


def test_a_replica_promises_only_higher_ballots_and_reports_its_state(acceptor: Any) -> None:
    acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ()))
    assert acceptor.deliver("n2", Prepare((0, 1), Ballot(2, "n2"))) == [
        ("n2", answer(Ballot(2, "n2"), pre_accepted()))
    ]
    assert acceptor.deliver("n3", Prepare((0, 1), Ballot(1, "n3"))) == [("n3", Nack((0, 1), Ballot(2, "n2")))]
    assert acceptor.deliver("n0", Accept((0, 1), DEFAULT, A, 1, ())) == [
        ("n0", Nack((0, 1), Ballot(2, "n2")))
    ]


def test_the_accepted_ballot_is_not_the_promised_one(acceptor: Any) -> None:
    acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ()))
    acceptor.deliver("n2", Prepare((0, 1), Ballot(2, "n2")))
    assert acceptor.node.instances[0, 1] == Record(PREACCEPTED, A, 1, (), Ballot(2, "n2"), DEFAULT)


def test_if_anyone_has_committed_it_says_so_and_that_is_it(acceptor: Any, leader: Any) -> None:
    leader.deliver("n1", Commit((0, 1), A, 1, ()))
    assert leader.deliver("n1", Prepare((0, 1), Ballot(1, "n1"))) == [("n1", Commit((0, 1), A, 1, ()))]
    recovering(acceptor)
    acceptor.deliver("n0", Commit((0, 1), A, 1, ()))
    assert acceptor.node.instances[0, 1].status == COMMITTED


def test_if_one_of_the_highest_ballot_has_accepted_these_attributes_are_accepted(acceptor: Any) -> None:
    ballot = recovering(acceptor)
    acceptor.deliver("n2", answer(ballot, pre_accepted()))
    older = Record(ACCEPTED, A, 2, ((3, 1),), Ballot(1, "n4"), Ballot(1, "n4"))
    sent = acceptor.deliver("n3", answer(ballot, older))
    assert sent[0][1] == Accept((0, 1), ballot, A, 2, ((3, 1),))


def test_if_f_others_than_the_leader_pre_accepted_alike_in_its_ballot_these_are_accepted(
    acceptor: Any,
) -> None:
    acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ()))
    ballot = recovering(acceptor)
    acceptor.deliver("n2", answer(ballot, pre_accepted()))
    sent = acceptor.deliver("n3", answer(ballot, NOTHING))
    assert sent[0][1] == Accept((0, 1), ballot, A, 1, ())


def test_if_the_leader_itself_answers_it_has_not_committed_and_phase_1_restarts(acceptor: Any) -> None:
    acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ()))
    ballot = recovering(acceptor)
    acceptor.deliver("n2", answer(ballot, pre_accepted()))
    sent = acceptor.deliver("n0", answer(ballot, pre_accepted()))
    assert sent[0][1] == PreAccept((0, 1), ballot, A, 1, ())


def test_with_fewer_phase_1_restarts_and_the_fast_path_is_avoided(acceptor: Any) -> None:
    acceptor.deliver("n0", PreAccept((0, 1), DEFAULT, A, 1, ()))
    ballot = recovering(acceptor)
    acceptor.deliver("n2", answer(ballot, NOTHING))
    sent = acceptor.deliver("n3", answer(ballot, pre_accepted(2, ((4, 1),))))
    assert sent[0][1] == PreAccept((0, 1), ballot, A, 1, ())
    acceptor.take()
    acceptor.deliver("n2", PreAcceptOk((0, 1), ballot, 1, ()))
    sent = acceptor.deliver("n3", PreAcceptOk((0, 1), ballot, 1, ()))
    assert sent[0][1] == Accept((0, 1), ballot, A, 1, ())


def test_if_no_replica_knows_the_command_a_no_op_takes_its_place(acceptor: Any) -> None:
    ballot = recovering(acceptor)
    acceptor.deliver("n2", answer(ballot, NOTHING))
    sent = acceptor.deliver("n3", answer(ballot, NOTHING))
    assert sent[0][1] == PreAccept((0, 1), ballot, NOOP, 1, ())


def test_a_leader_whose_command_became_a_no_op_proposes_it_again(leader: Any) -> None:
    leader.deliver("client", Request(A))
    leader.take()
    leader.deliver("n1", Commit((0, 1), NOOP, 1, ()))
    assert leader.take(kind=PreAccept)[0] == PreAccept((0, 2), Ballot(0, "n0"), A, 1, ())


def test_what_was_pre_accepted_survives_a_crash_and_numbers_are_not_used_twice(leader: Any) -> None:
    leader.deliver("client", Request(A))
    leader.restart()
    assert leader.node.instances[0, 1].command == A
    assert leader.deliver("client", Request(B))[0][1].instance == (0, 2)


# Three replicas: a fast quorum is the leader and one other (figure 2 sends PreAccept to a fast quorum F)

THREE = ("n0", "n1", "n2")


def of_three(name: str, **options: Any) -> Bench[EPaxosNode]:
    return Bench(EPaxosNode, name, members=THREE, settings=EPaxos(nodes=3, **options))


def to_three(seq: int = 1, deps: tuple[Any, ...] = (), partner: str = "n1") -> PreAccept:
    return PreAccept((0, 1), DEFAULT, A, seq, deps, partner)


@pytest.mark.parametrize("thrifty", [False, True])
def test_with_three_replicas_the_leader_names_its_partner(thrifty: bool) -> None:
    sent = of_three("n0", thrifty=thrifty).deliver("client", Request(A))
    assert sent == [(n, to_three()) for n in (("n1",) if thrifty else ("n1", "n2"))]


def test_what_the_partner_answers_is_committed_at_once_though_it_is_more_than_the_leader_knew() -> None:
    """S without L is one replica, whose reply is the same as itself: figure 2 runs the Commit phase."""
    leader = of_three("n0")
    leader.deliver("client", Request(A))
    leader.take()
    sent = leader.deliver("n1", ok(3, ((2, 1),)))
    assert sent[:2] == [(n, Commit((0, 1), A, 3, ((2, 1),))) for n in ("n1", "n2")]


def test_what_the_other_answers_is_not_but_helps_the_slow_path() -> None:
    leader = of_three("n0")
    leader.deliver("client", Request(A))
    leader.take()
    assert leader.deliver("n2", ok()) == [], "the leader's own attributes, but not from its partner"
    sent = leader.fire("retry", (0, 1))
    assert [m for _, m in sent if isinstance(m, Accept)] == [Accept((0, 1), DEFAULT, A, 1, ())] * 2
    assert leader.deliver("client", Request(OTHER_KEY))[0][1].partner == "n2", (
        "who answered the last one first"
    )


def recovers_of_three(name: str, mine: PreAccept | None) -> tuple[Bench[EPaxosNode], Ballot]:
    bench = of_three(name)
    if mine is not None:
        bench.deliver("n0", mine)
    else:
        bench.node.suspect((0, 1))
    bench.take()
    sent = bench.fire("recover", (0, 1))
    bench.take()
    return bench, sent[0][1].ballot


@pytest.mark.parametrize("recovers", ["n1", "n2"])
def test_a_recovery_without_the_leader_takes_over_what_its_partner_pre_accepted(recovers: str) -> None:
    """Floor(N/2) = 1 reply in the default ballot, not from the leader: figure 3 accepts it. n2 has other attributes."""
    bench, ballot = recovers_of_three(recovers, to_three())
    record = Record(PREACCEPTED, A, 9, ((2, 7),), DEFAULT, DEFAULT, "n1")
    other = "n2" if recovers == "n1" else "n1"
    sent = bench.deliver(other, answer(ballot, record))
    partners = (1, ()) if recovers == "n1" else (9, ((2, 7),))
    assert sent[0][1] == Accept((0, 1), ballot, A, *partners)


def test_if_the_partner_has_pre_accepted_nothing_phase_1_restarts() -> None:
    bench, ballot = recovers_of_three("n2", to_three(9, ((2, 7),)))
    sent = bench.deliver("n1", answer(ballot, NOTHING))
    assert sent[0][1] == PreAccept((0, 1), ballot, A, 1, ())


def test_a_fast_quorum_of_all_three_needs_both_replies_alike_and_no_partner() -> None:
    leader = of_three("n0", fast_quorum=3)
    assert leader.deliver("client", Request(A))[0][1] == to_three(partner="")
    assert leader.deliver("n1", ok(3, ((2, 1),))) == []
    assert leader.deliver("n2", ok(3, ((2, 1),)))[0][1] == Commit((0, 1), A, 3, ((2, 1),))
