"""Lamport, "Paxos Made Simple" (2001), sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import MultiPaxos, Paxos
from sim.protocols.client import Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.multipaxos import messages as multi
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.paxos.node import (
    Accept,
    Accepted,
    Acceptor,
    Chosen,
    Learner,
    Nack,
    PaxosNode,
    Prepare,
    Promise,
    Proposer,
)
from sim.testing import Bench

MEMBERS = ("n0", "n1", "n2")
LOW, MIDDLE, HIGH = Ballot(1, "n1"), Ballot(2, "n1"), Ballot(3, "n1")


def put(value: Any, session: int = 1) -> Command:
    return Command(session, 1, "put", "x", value)


def acceptor() -> Bench[Acceptor]:
    return Bench(Acceptor, "n0", members=MEMBERS, settings=Paxos(nodes=3), keep_own=True)


def learner(learning: Any = "broadcast") -> Bench[Learner]:
    return Bench(Learner, "n0", members=MEMBERS, settings=Paxos(nodes=3, learning=learning), keep_own=True)


def proposer(node_class: type[Proposer] = Proposer) -> Bench[Any]:
    return Bench(node_class, "n0", members=MEMBERS, settings=Paxos(nodes=3), keep_own=True)


# 2.2 Choosing a value: the acceptor


def test_p1_an_acceptor_must_accept_the_first_proposal_that_it_receives() -> None:
    bench = acceptor()
    assert bench.deliver("n1", Accept(LOW, put("a"))) == [("n1", Accepted(LOW, put("a")))]


def test_2_2_an_acceptor_can_accept_more_than_one_proposal() -> None:
    bench = acceptor()
    bench.deliver("n1", Accept(LOW, put("a")))
    assert bench.deliver("n1", Accept(HIGH, put("a"))) == [("n1", Accepted(HIGH, put("a")))]


def test_1b_it_responds_with_a_promise_and_the_highest_numbered_proposal_that_it_has_accepted() -> None:
    bench = acceptor()
    bench.deliver("n1", Accept(LOW, put("a")))
    bench.deliver("n1", Accept(MIDDLE, put("b")))
    assert bench.deliver("n1", Prepare(HIGH)) == [("n1", Promise(HIGH, Vote(MIDDLE, put("b"))))]


def test_1b_it_responds_with_no_proposal_if_it_has_accepted_none() -> None:
    assert acceptor().deliver("n1", Prepare(LOW)) == [("n1", Promise(LOW, None))]


def test_p1a_it_can_accept_a_proposal_iff_it_has_not_responded_to_a_prepare_request_with_a_higher_number() -> (
    None
):
    bench = acceptor()
    bench.deliver("n1", Prepare(MIDDLE))
    assert bench.deliver("n1", Accept(LOW, put("a"))) == [("n1", Nack(LOW, MIDDLE))]
    assert bench.node.vote is None
    assert bench.deliver("n1", Accept(MIDDLE, put("b"))) == [("n1", Accepted(MIDDLE, put("b")))]


def test_2_2_there_is_no_reason_to_respond_to_a_prepare_request_below_one_that_was_answered() -> None:
    bench = acceptor()
    bench.deliver("n1", Prepare(HIGH))
    assert bench.deliver("n1", Prepare(LOW)) == [("n1", Nack(LOW, HIGH))]
    assert bench.node.promised == HIGH


def test_2_2_a_repeated_prepare_request_is_answered_again_which_does_no_harm() -> None:
    bench = acceptor()
    first = bench.deliver("n1", Prepare(LOW))
    assert bench.deliver("n1", Prepare(LOW)) == first


def test_2_2_an_acceptor_remembers_its_vote_and_its_promise_even_if_it_fails_and_restarts() -> None:
    bench = acceptor()
    bench.deliver("n1", Accept(LOW, put("a")))
    bench.deliver("n1", Prepare(HIGH))
    bench.restart()
    assert (bench.node.promised, bench.node.vote) == (HIGH, Vote(LOW, put("a")))


# 2.2 the proposer


def test_1a_a_proposer_selects_a_number_and_sends_a_prepare_request_to_the_acceptors() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    assert bench.sent == [(name, Prepare(Ballot(1, "n0"))) for name in MEMBERS]


def test_2a_with_responses_from_a_majority_it_sends_an_accept_request_to_the_acceptors() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    assert bench.deliver("n1", Promise(Ballot(1, "n0"), None)) == []
    answer = bench.deliver("n2", Promise(Ballot(1, "n0"), None))
    assert answer == [(name, Accept(Ballot(1, "n0"), put("a"))) for name in MEMBERS]


def test_2a_the_value_is_that_of_the_highest_numbered_proposal_among_the_responses() -> None:
    bench = proposer()
    bench.node.highest_seen = 4
    bench.deliver("c0", Request(put("mine")))
    ballot = Ballot(5, "n0")
    bench.deliver("n1", Promise(ballot, Vote(HIGH, put("high"))))
    answer = bench.deliver("n2", Promise(ballot, Vote(LOW, put("low"))))
    assert answer[0][1] == Accept(ballot, put("high"))


def test_2a_or_any_value_if_the_responses_reported_no_proposals() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("mine")))
    bench.deliver("n1", Promise(Ballot(1, "n0"), None))
    assert bench.deliver("n2", Promise(Ballot(1, "n0"), None))[0][1].command == put("mine")


def test_2a_an_acceptor_that_answers_twice_is_no_majority() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    bench.deliver("n1", Promise(Ballot(1, "n0"), None))
    assert bench.deliver("n1", Promise(Ballot(1, "n0"), None)) == []


def test_2_2_a_proposer_must_not_use_responses_to_another_of_its_proposals() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    bench.fire("retry")
    bench.deliver("n1", Promise(Ballot(1, "n0"), None))
    assert bench.deliver("n2", Promise(Ballot(2, "n0"), None)) == []


def test_2_2_a_proposer_that_learns_of_a_higher_number_retries_above_it() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    bench.deliver("n1", Nack(Ballot(1, "n0"), Ballot(7, "n2")))
    bench.take()
    assert bench.deliver("n1", Promise(Ballot(1, "n0"), None)) == []
    assert bench.deliver("n2", Promise(Ballot(1, "n0"), None)) == []
    bench.fire("retry")
    assert bench.take("n1") == [Prepare(Ballot(8, "n0"))]


# 2.3 Learning a chosen value


def test_2_3_a_learner_learns_when_a_majority_of_acceptors_has_accepted_the_proposal() -> None:
    bench = learner()
    bench.deliver("n1", Accepted(LOW, put("a")))
    assert bench.node.chosen is None
    bench.deliver("n2", Accepted(LOW, put("a")))
    assert bench.node.chosen == put("a")


def test_2_3_votes_for_different_proposals_do_not_add_up_even_for_one_value() -> None:
    bench = learner()
    bench.deliver("n1", Accepted(LOW, put("a")))
    bench.deliver("n2", Accepted(HIGH, put("a")))
    assert bench.node.chosen is None


def test_2_3_each_acceptor_may_respond_to_all_learners() -> None:
    bench = Bench(
        Acceptor, "n0", members=MEMBERS, settings=Paxos(nodes=3, learning="broadcast"), keep_own=True
    )
    bench.deliver("n1", Accept(LOW, put("a")))
    assert [dst for dst, _ in bench.sent] == ["n0", "n1", "n2"]


def test_2_3_or_to_a_distinguished_learner_which_informs_the_others() -> None:
    settings = Paxos(nodes=3, learning="distinguished")
    bench = Bench(Acceptor, "n2", members=MEMBERS, settings=settings, keep_own=True)
    bench.deliver("n1", Accept(LOW, put("a")))
    assert [dst for dst, _ in bench.sent] == ["n0"]
    told = learner("distinguished")
    told.deliver("n1", Accepted(LOW, put("a")))
    assert told.deliver("n2", Accepted(LOW, put("a"))) == [("n1", Chosen(put("a"))), ("n2", Chosen(put("a")))]


def test_2_3_to_know_whether_a_value_was_chosen_a_proposer_issues_a_proposal() -> None:
    bench = proposer()
    bench.deliver("c0", Request(Command(1, 1, "get", "x")))
    bench.deliver("n1", Promise(Ballot(1, "n0"), Vote(ZERO, put("a"))))
    assert bench.deliver("n2", Promise(Ballot(1, "n0"), None))[0][1] == Accept(Ballot(1, "n0"), put("a"))


# 2.5 The implementation


def test_2_5_different_proposers_choose_their_numbers_from_disjoint_sets() -> None:
    assert len({Ballot(r, p) for r in (1, 2) for p in ("n0", "n1")}) == 4
    assert LOW < Ballot(1, "n2") < MIDDLE


def test_2_5_a_proposer_remembers_the_highest_numbered_proposal_it_has_tried_to_issue() -> None:
    bench = proposer()
    bench.deliver("c0", Request(put("a")))
    bench.restart()
    bench.deliver("c0", Request(put("a")))
    assert bench.take("n1") == [Prepare(Ballot(2, "n0"))]


@pytest.mark.parametrize("message", [Prepare(LOW), Accept(LOW, put("a"))])
def test_2_5_an_acceptor_records_its_response_in_stable_storage_before_sending_it(message: Any) -> None:
    order: list[str] = []

    class Watched(Acceptor):
        def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
            assert hold, "the answer waits for the disk"
            order.append("send")

    bench = Bench(Watched, "n0", members=MEMBERS, settings=Paxos(nodes=3), keep_own=True)
    write = bench.disk.write
    bench.disk.write = lambda *change: (order.append("write"), write(*change))[1]  # type: ignore[method-assign]
    bench.deliver("n1", message)
    assert "write" in order
    assert order[-1] == "send"


def test_2_5_every_process_may_play_all_roles() -> None:
    bench = proposer(PaxosNode)
    bench.deliver("c0", Request(put("a")))
    bench.deliver_self()
    bench.deliver("n1", Promise(Ballot(1, "n0"), None))
    bench.deliver_self()
    assert bench.deliver("n1", Accepted(Ballot(1, "n0"), put("a")))[0] == (
        "c0",
        Reply(1, 1, "ok", "a", "a"),
    )


# 3 Implementing a state machine


def replica(name: str = "n0", **settings: Any) -> Bench[MultiPaxosNode]:
    return Bench(
        MultiPaxosNode, name, members=MEMBERS, settings=MultiPaxos(nodes=3, **settings), keep_own=True
    )


def leading(**settings: Any) -> Bench[MultiPaxosNode]:
    bench = replica(**settings)
    bench.deliver_self()
    bench.deliver("n1", multi.Promise(Ballot(1, "n0"), 1, ()))
    bench.take()
    return bench


def test_3_the_new_leader_executes_phase_1_for_infinitely_many_instances_with_one_short_message() -> None:
    bench = replica()
    assert bench.take("n1") == [multi.Prepare(Ballot(1, "n0"), 1)]


def test_3_an_acceptor_responds_with_more_than_an_ok_only_for_instances_in_which_it_has_accepted() -> None:
    bench = replica("n2")
    bench.deliver("n1", multi.Accept(LOW, 135, put("a"), 0))
    bench.deliver("n1", multi.Accept(LOW, 140, put("b"), 0))
    answer = bench.deliver("n1", multi.Prepare(HIGH, 100))
    votes = ((135, Vote(LOW, put("a"))), (140, Vote(LOW, put("b"))))
    assert answer == [("n1", multi.Promise(HIGH, 100, votes))]


def test_3_it_reports_nothing_of_instances_below_those_it_was_asked_for() -> None:
    bench = replica("n2")
    bench.deliver("n1", multi.Accept(LOW, 1, put("a"), 0))
    assert bench.deliver("n1", multi.Prepare(HIGH, 2)) == [("n1", multi.Promise(HIGH, 2, ()))]


def test_3_the_leader_proposes_what_phase_1_constrains_and_no_ops_in_the_gaps() -> None:
    bench = replica()
    bench.deliver_self()
    votes = ((1, Vote(ZERO, put("a"))), (4, Vote(ZERO, put("d"))))
    bench.deliver("n1", multi.Promise(Ballot(1, "n0"), 1, votes))
    proposals = [(m.slot, m.command) for m in bench.take("n2", multi.Accept)]
    assert proposals == [(1, put("a")), (2, NOOP), (3, NOOP), (4, put("d"))]


def test_3_then_it_assigns_the_next_command_to_the_next_instance() -> None:
    bench = leading()
    bench.deliver("c0", Request(put("a")))
    bench.deliver("c1", Request(put("b", session=2)))
    assert [(m.slot, m.command.value) for m in bench.take("n1", multi.Accept)] == [(1, "a"), (2, "b")]


def test_3_it_can_propose_a_command_before_it_learns_that_the_one_before_was_chosen() -> None:
    bench = leading()
    bench.deliver("c0", Request(put("a")))
    bench.deliver("c1", Request(put("b", session=2)))
    bench.deliver_self()
    bench.deliver("n1", multi.Accepted(Ballot(1, "n0"), 2))
    assert bench.node.applied == 0  # 2 is chosen, but is not executed before 1
    bench.deliver("n1", multi.Accepted(Ballot(1, "n0"), 1))
    assert bench.node.applied == 2


def test_3_the_cost_of_a_command_is_that_of_phase_2() -> None:
    bench = leading()
    bench.deliver("c0", Request(put("a")))
    assert {type(m) for dst, m in bench.sent if dst != "n0"} == {multi.Accept}


def test_3_with_two_leaders_no_command_is_lost_because_the_lower_ballot_is_refused() -> None:
    bench = leading()
    bench.deliver("n1", multi.Prepare(HIGH, 1))
    assert bench.node.role == "follower"
    bench.deliver("c0", Request(put("a")))
    assert not bench.take("n1", multi.Accept)
