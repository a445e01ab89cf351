"""EPaxos* (OPODIS 2025), figures 3 (the commit protocol) and 5 (recovery), rule by rule; n = 5, f = 2, e = 2."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import EPaxosStar
from sim.protocols.client import Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.epaxos.messages import ACCEPTED, COMMITTED, PREACCEPTED, UNKNOWN, Nack
from sim.protocols.consensus.epaxos_star.messages import (
    NO_DEPS,
    Accept,
    AcceptOk,
    Commit,
    Deps,
    PreAccept,
    PreAcceptOk,
    Record,
    Recover,
    RecoverOk,
    Validate,
    ValidateOk,
    Waiting,
)
from sim.protocols.consensus.epaxos_star.node import EPaxosStarNode
from sim.testing import Bench

NAMES = ("n0", "n1", "n2", "n3", "n4")
A = Command(1, 1, "put", "x", 1)
B = Command(2, 1, "put", "x", 2)
ID, OTHER = (0, 1), (4, 1)
BALLOT = Ballot(1, "n1")
NOTHING = Record(UNKNOWN, None, NO_DEPS, None, None, ZERO, ZERO)


def after(*others: tuple[int, int], prefix: tuple[int, ...] = (0, 0, 0, 0, 0)) -> Deps:
    return Deps(prefix, others)


D = after()


def pre_accepted(deps: Deps = D) -> Record:
    return Record(PREACCEPTED, A, deps, A, D, ZERO, ZERO)


def replica(name: str = "n0", **options: Any) -> Bench[EPaxosStarNode]:
    return Bench(EPaxosStarNode, name, members=NAMES, settings=EPaxosStar(nodes=5, **options))


@pytest.fixture
def coordinator() -> Bench[EPaxosStarNode]:
    """n0, which has a client's command."""
    bench = replica()
    bench.deliver("client", Request(A))
    return bench


@pytest.fixture
def recovering() -> Bench[EPaxosStarNode]:
    """n1, which has pre-accepted n0's command with its dependencies, and recovers it."""
    bench = replica("n1")
    bench.deliver("n0", PreAccept(ID, A, D))
    bench.take()
    assert bench.fire("recover", ID) == [(n, Recover(ID, BALLOT)) for n in NAMES if n != "n1"]
    bench.take()
    return bench


def sent(bench: Any) -> Any:
    """The one message that was broadcast last."""
    messages = bench.take()
    assert messages
    assert all(message == messages[0] for message in messages)
    return messages[0]


def recover(bench: Any, **records: Record) -> None:
    for name, record in records.items():
        bench.deliver(name, RecoverOk(ID, BALLOT, record))


# The commit protocol (figure 3)


def test_the_coordinator_pre_accepts_with_what_it_knows_to_conflict(coordinator: Any) -> None:
    assert sent(coordinator) == PreAccept(ID, A, D)
    assert coordinator.node.instances[ID] == pre_accepted()
    coordinator.deliver("client", Request(B))
    assert sent(coordinator) == PreAccept((0, 2), B, after(ID))


def test_what_the_coordinator_has_executed_is_a_prefix_of_its_dependencies(coordinator: Any) -> None:
    coordinator.deliver("n1", PreAcceptOk(ID, D))
    coordinator.deliver("n2", PreAcceptOk(ID, D))
    coordinator.take()
    coordinator.deliver("client", Request(B))
    assert sent(coordinator) == PreAccept((0, 2), B, after(prefix=(1, 0, 0, 0, 0)))
    assert ID in after(prefix=(1, 0, 0, 0, 0))


def test_a_replica_adds_what_it_knows_and_keeps_what_was_proposed() -> None:
    bench = replica("n1")
    bench.deliver("n4", PreAccept(OTHER, B, D))
    assert bench.deliver("n0", PreAccept(ID, A, D)) == [("n0", PreAcceptOk(ID, after(OTHER)))]
    assert bench.node.instances[ID] == pre_accepted(after(OTHER))


def test_n_minus_e_with_the_proposed_dependencies_are_a_fast_quorum(coordinator: Any) -> None:
    coordinator.take()
    assert coordinator.deliver("n1", PreAcceptOk(ID, D)) == []
    assert coordinator.deliver("n2", PreAcceptOk(ID, D)) == [
        *[(name, Commit(ID, A, D)) for name in NAMES[1:]],
        ("client", Reply(1, 1, "ok", 1)),
    ]


def test_others_that_agree_on_more_than_was_proposed_are_none(coordinator: Any) -> None:
    coordinator.take()
    coordinator.deliver("n1", PreAcceptOk(ID, after(OTHER)))
    coordinator.deliver("n2", PreAcceptOk(ID, after(OTHER)))
    assert sent(coordinator) == Accept(ID, ZERO, A, after(OTHER))


def test_n_minus_f_that_accept_commit(coordinator: Any) -> None:
    coordinator.deliver("n1", PreAcceptOk(ID, after(OTHER)))
    coordinator.deliver("n2", PreAcceptOk(ID, D))
    coordinator.take()
    assert coordinator.deliver("n3", AcceptOk(ID, ZERO)) == []
    coordinator.deliver("n4", AcceptOk(ID, ZERO))
    assert sent(coordinator) == Commit(ID, A, after(OTHER))


# Recovery (figure 5)


def test_a_replica_joins_higher_ballots_only_and_reports_its_state() -> None:
    bench = replica("n2")
    bench.deliver("n0", PreAccept(ID, A, D))
    bench.take()
    assert bench.deliver("n3", Recover(ID, Ballot(2, "n3"))) == [
        ("n3", RecoverOk(ID, Ballot(2, "n3"), pre_accepted()))
    ]
    assert bench.deliver("n1", Recover(ID, BALLOT)) == [("n1", Nack(ID, Ballot(2, "n3")))]
    assert bench.node.instances[ID].promised == Ballot(2, "n3")
    assert bench.node.instances[ID].accepted == ZERO


def test_a_replica_that_has_committed_reports_the_commit(recovering: Any) -> None:
    bench = replica("n2")
    bench.deliver("n0", Commit(ID, A, D))
    assert bench.deliver("n1", Recover(ID, BALLOT)) == [("n1", Commit(ID, A, D))]
    recovering.deliver("n2", Commit(ID, A, D))
    assert recovering.node.instances[ID].status == COMMITTED


def test_what_was_accepted_in_the_highest_ballot_is_taken_over(recovering: Any) -> None:
    low = Record(ACCEPTED, A, after(OTHER), A, D, Ballot(0, "z"), Ballot(0, "z"))
    high = Record(ACCEPTED, NOOP, NO_DEPS, A, D, Ballot(1, "m"), Ballot(1, "m"))
    recover(recovering, n2=low, n3=high)
    assert sent(recovering) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_if_the_first_coordinator_answers_it_never_commits_fast_and_a_no_op_is_safe(recovering: Any) -> None:
    recover(recovering, n0=pre_accepted(), n2=pre_accepted())
    assert sent(recovering) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_without_enough_support_a_no_op_is_safe() -> None:
    bench = replica("n1")
    bench.deliver("n4", PreAccept(OTHER, B, D))
    bench.deliver("n0", PreAccept(ID, A, D))  # n1 adds OTHER
    bench.take()
    bench.fire("recover", ID)
    bench.take()
    recover(bench, n2=NOTHING, n3=pre_accepted(after(OTHER)))
    assert sent(bench) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_with_support_of_q_minus_e_the_quorum_validates(recovering: Any) -> None:
    recovering.deliver("n2", RecoverOk(ID, BALLOT, NOTHING))
    assert recovering.deliver("n3", RecoverOk(ID, BALLOT, NOTHING)) == [
        (name, Validate(ID, BALLOT, A, D)) for name in ("n1", "n2", "n3") if name != "n1"
    ]


def test_a_replica_that_validates_keeps_the_command() -> None:
    bench = replica("n2")
    bench.deliver("n1", Recover(ID, BALLOT))
    bench.take()
    assert bench.deliver("n1", Validate(ID, BALLOT, A, D)) == [("n1", ValidateOk(ID, BALLOT, ()))]
    assert bench.deliver("n4", PreAccept(OTHER, B, D)) == [("n4", PreAcceptOk(OTHER, after(ID)))]


@pytest.mark.parametrize(
    ("known", "against"),
    [
        (PreAccept(OTHER, B, D), ((OTHER, False),)),
        (PreAccept(OTHER, B, after(ID)), ()),
        (PreAccept(OTHER, Command(2, 1, "put", "y", 2), D), ()),
        (Commit(OTHER, B, D), ((OTHER, True),)),
        (Commit(OTHER, B, after(ID)), ()),
        (Commit(OTHER, NOOP, NO_DEPS), ()),
    ],
)
def test_against_a_fast_commit_is_what_conflicts_and_neither_depends_nor_is_depended_on(
    known: Any, against: Any
) -> None:
    bench = replica("n2")
    bench.deliver("n4", known)
    bench.deliver("n1", Recover(ID, BALLOT))
    bench.take()
    assert bench.deliver("n1", Validate(ID, BALLOT, A, D)) == [("n1", ValidateOk(ID, BALLOT, against))]
    assert bench.deliver("n1", Validate(ID, BALLOT, A, after(OTHER)))[0][1].against == ()


def test_a_validate_that_comes_again_after_a_no_op_was_accepted_does_not_bring_the_command_back() -> None:
    """Found by the explorer (n = 7, seed 33062): a no-op's dependencies were later committed with the command."""
    bench = replica("n2")
    bench.deliver("n1", Recover(ID, BALLOT))
    bench.deliver("n1", Validate(ID, BALLOT, A, D))
    bench.deliver("n1", Accept(ID, BALLOT, NOOP, NO_DEPS))
    bench.take()
    assert bench.deliver("n1", Validate(ID, BALLOT, A, D)) == []
    assert (bench.node.instances[ID].command, bench.node.instances[ID].deps) == (NOOP, NO_DEPS)


def validated(bench: Any, support: int = 1, **against: Any) -> None:
    """n1, n2 and n3 are Q, and so many of them support the command."""
    recover(
        bench, n2=pre_accepted() if support > 1 else NOTHING, n3=pre_accepted() if support > 2 else NOTHING
    )
    bench.take()
    for name in ("n2", "n3"):
        bench.deliver(name, ValidateOk(ID, BALLOT, against.get(name, ())))


def test_if_there_is_nothing_against_it_the_proposal_is_accepted(recovering: Any) -> None:
    validated(recovering)
    assert sent(recovering) == Accept(ID, BALLOT, A, D)


def test_a_committed_command_against_it_makes_a_no_op_of_it(recovering: Any) -> None:
    validated(recovering, support=3, n2=(((3, 1), True),))
    assert sent(recovering) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_so_does_with_the_least_support_one_whose_coordinator_is_not_in_q(recovering: Any) -> None:
    validated(recovering, support=1, n2=((OTHER, False),))
    assert sent(recovering) == Accept(ID, BALLOT, NOOP, NO_DEPS)


@pytest.mark.parametrize(("support", "other"), [(1, (3, 1)), (2, OTHER)])
def test_else_it_waits_and_says_so(recovering: Any, support: int, other: tuple[int, int]) -> None:
    validated(recovering, support=support, n2=((other, False),))
    assert sent(recovering) == Waiting(ID, support)
    assert ("recover", other) in recovering.timers


@pytest.fixture
def waiting(recovering: Any) -> Any:
    validated(recovering, support=2, n2=((OTHER, False),), n3=(((3, 1), False),))
    recovering.take()
    return recovering


def test_the_wait_ends_with_a_no_op_when_one_is_committed_that_does_not_depend_on_it(waiting: Any) -> None:
    waiting.deliver("n4", Commit(OTHER, B, D))
    assert sent(waiting) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_the_wait_ends_with_the_proposal_when_all_are_committed_and_depend_on_it_or_are_no_ops(
    waiting: Any,
) -> None:
    waiting.deliver("n4", Commit(OTHER, B, after(ID)))
    assert waiting.take(kind=Accept) == []
    waiting.deliver("n4", Commit((3, 1), NOOP, NO_DEPS))
    assert sent(waiting) == Accept(ID, BALLOT, A, D)


def test_the_wait_ends_with_a_no_op_when_another_waits_with_more_than_n_minus_f_minus_e(waiting: Any) -> None:
    waiting.deliver("n2", Waiting(OTHER, 1))
    assert waiting.take() == []
    waiting.deliver("n2", Waiting(OTHER, 2))
    assert sent(waiting) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_the_wait_ends_with_a_no_op_when_the_first_coordinator_answers(waiting: Any) -> None:
    recover(waiting, n0=pre_accepted())
    assert sent(waiting) == Accept(ID, BALLOT, NOOP, NO_DEPS)


def test_the_wait_ends_with_the_value_that_a_replica_outside_q_has_accepted(waiting: Any) -> None:
    recover(waiting, n4=Record(ACCEPTED, A, after((2, 1)), A, D, Ballot(0, "z"), Ballot(0, "z")))
    assert sent(waiting) == Accept(ID, BALLOT, A, after((2, 1)))


# Three replicas: the fast quorum n - e is a majority n - f; the coordinator and the partner that it names

THREE = ("n0", "n1", "n2")
NONE = after(prefix=(0, 0, 0))
MORE = after((2, 7), prefix=(0, 0, 0))


def of_three(name: str) -> Bench[EPaxosStarNode]:
    return Bench(EPaxosStarNode, name, members=THREE, settings=EPaxosStar(nodes=3))


def test_what_the_partner_answers_is_committed_at_once_though_it_is_more_than_was_proposed() -> None:
    bench = of_three("n0")
    assert bench.deliver("client", Request(A)) == [(n, PreAccept(ID, A, NONE, "n1")) for n in ("n1", "n2")]
    assert bench.deliver("n1", PreAcceptOk(ID, MORE))[:2] == [(n, Commit(ID, A, MORE)) for n in ("n1", "n2")]


def test_what_the_other_answers_helps_the_slow_path_only_and_makes_it_the_next_partner() -> None:
    bench = of_three("n0")
    bench.deliver("client", Request(A))
    bench.take()
    assert bench.deliver("n2", PreAcceptOk(ID, NONE)) == []
    assert Accept(ID, ZERO, A, NONE) in [m for _, m in bench.fire("retry", ID)]
    assert bench.deliver("client", Request(B))[0][1].partner == "n2"


@pytest.mark.parametrize("recovers", ["n1", "n2"])
def test_a_recovery_without_the_coordinator_takes_over_what_its_partner_pre_accepted(recovers: str) -> None:
    bench = of_three(recovers)
    bench.deliver("n0", PreAccept(ID, A, NONE, "n1"))
    bench.take()
    ballot = bench.fire("recover", ID)[0][1].ballot
    bench.take()
    record = Record(PREACCEPTED, A, MORE, A, NONE, ZERO, ZERO, "n1")
    bench.deliver("n2" if recovers == "n1" else "n1", RecoverOk(ID, ballot, record))
    assert sent(bench) == Accept(ID, ballot, A, NONE if recovers == "n1" else MORE)


def test_if_the_partner_has_pre_accepted_nothing_a_no_op_is_safe_even_if_others_have() -> None:
    bench = of_three("n2")
    bench.deliver("n0", PreAccept(ID, A, NONE, "n1"))
    bench.take()
    ballot = bench.fire("recover", ID)[0][1].ballot
    bench.take()
    bench.deliver("n1", RecoverOk(ID, ballot, NOTHING))
    assert sent(bench) == Accept(ID, ballot, NOOP, NO_DEPS)
