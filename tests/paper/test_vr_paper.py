"""Viewstamped Replication Revisited, sentence by sentence: 4.1 (normal), 4.2 (view changes), 4.3 (recovery)."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import ViewstampedReplication
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.vr.messages import (
    Commit,
    DoViewChange,
    GetState,
    NewState,
    Prepare,
    PrepareOk,
    Recovery,
    RecoveryResponse,
    StartView,
    StartViewChange,
)
from sim.protocols.consensus.vr.node import ViewstampedNode
from sim.testing import Bench

NAMES = ("n0", "n1", "n2", "n3", "n4")
LIVES = (0, 0, 0, 0, 0)


def command(number: int, session: int = 1) -> Command:
    return Command(session, number, "put", "x", number)


A, B, C = command(1), command(2), command(3)


def replica(name: str) -> Bench[ViewstampedNode]:
    return Bench(
        ViewstampedNode, name, members=NAMES, settings=ViewstampedReplication(nodes=5), keep_own=True
    )


@pytest.fixture
def primary() -> Bench[ViewstampedNode]:
    return replica("n0")


@pytest.fixture
def backup() -> Bench[ViewstampedNode]:
    return replica("n1")


# 4.1 Normal operation


def test_the_primary_advances_op_number_adds_the_request_to_its_log_and_sends_prepare(primary: Any) -> None:
    sent = primary.deliver("client", Request(A))
    assert primary.node.log == [A]
    assert sent == [(n, Prepare(0, 1, A, 0)) for n in NAMES[1:]]


def test_a_backup_does_not_process_client_requests(backup: Any) -> None:
    assert backup.deliver("client", Request(A)) == [("client", Redirect(1, 1, "n0"))]
    assert backup.node.log == []


def test_a_request_that_is_not_newer_is_dropped_and_the_latest_is_answered_again(primary: Any) -> None:
    primary.deliver("client", Request(A))
    assert primary.deliver("client", Request(A)) == []
    for n in ("n1", "n2"):
        primary.deliver(n, PrepareOk(0, 1))
    reply = ("client", Reply(1, 1, "ok", 1))
    assert primary.sent[-1] == reply
    assert primary.deliver("client", Request(A)) == [reply]
    assert primary.node.log == [A]


def test_a_request_with_a_smaller_number_than_the_latest_is_dropped(primary: Any) -> None:
    for number, entry in enumerate((A, B), start=1):
        primary.deliver("client", Request(entry))
        for n in ("n1", "n2"):
            primary.deliver(n, PrepareOk(0, number))
    assert primary.deliver("client", Request(A)) == []
    assert primary.node.log == [A, B]


def test_a_backup_processes_prepares_in_order_and_waits_until_it_has_all_earlier_ones(backup: Any) -> None:
    assert backup.deliver("n0", Prepare(0, 1, A, 0)) == [("n0", PrepareOk(0, 1))]
    assert backup.deliver("n0", Prepare(0, 3, C, 0)) == [("n0", GetState(0, 1))]
    assert backup.node.log == [A]


def test_the_primary_waits_for_f_prepare_oks_from_different_backups_then_executes_and_replies(
    primary: Any,
) -> None:
    primary.deliver("client", Request(A))
    assert primary.deliver("n1", PrepareOk(0, 1)) == []
    assert primary.deliver("n1", PrepareOk(0, 1)) == [], "the same backup twice is one backup"
    assert primary.deliver("n2", PrepareOk(0, 1)) == [("client", Reply(1, 1, "ok", 1))]
    assert primary.node.commit == 1


def test_an_operation_and_all_earlier_ones_commit_together(primary: Any) -> None:
    primary.deliver("client", Request(A))
    primary.deliver("other", Request(command(1, session=2)))
    primary.deliver("n1", PrepareOk(0, 2))
    assert [m for _, m in primary.deliver("n2", PrepareOk(0, 2))] == [
        Reply(1, 1, "ok", 1),
        Reply(2, 1, "ok", 1),
    ]


def test_the_primary_informs_backups_about_the_commit_in_the_next_prepare_or_by_commit(primary: Any) -> None:
    primary.deliver("client", Request(A))
    for n in NAMES[1:]:
        primary.deliver(n, PrepareOk(0, 1))
    primary.take()
    assert primary.fire("commit") == [(n, Commit(0, 1)) for n in NAMES[1:]]
    assert primary.deliver("client", Request(B))[0] == ("n1", Prepare(0, 2, B, 1))


def test_a_backup_executes_when_it_learns_of_a_commit_and_sends_no_reply(backup: Any) -> None:
    backup.deliver("n0", Prepare(0, 1, A, 0))
    assert backup.node.store.application.data == {}
    assert backup.deliver("n0", Commit(0, 1)) == []
    assert backup.node.store.application.data == {"x": 1}


def test_replicas_only_process_normal_messages_of_their_own_view(backup: Any) -> None:
    backup.deliver("n2", StartView(2, (A,), 0, LIVES))
    assert backup.deliver("n0", Prepare(0, 2, B, 0)) == []
    assert backup.node.log == [A]


def test_what_is_not_acknowledged_is_sent_again(primary: Any) -> None:
    primary.deliver("client", Request(A))
    primary.deliver("n1", PrepareOk(0, 1))
    primary.take()
    sent = primary.fire("commit")
    assert ("n2", Prepare(0, 1, A, 0)) in sent
    assert ("n1", Commit(0, 0)) in sent


# 4.2 View changes


def test_a_replica_that_notices_the_need_advances_its_view_and_sends_start_view_change(backup: Any) -> None:
    sent = backup.fire("view_change")
    assert sent == [(n, StartViewChange(1, LIVES)) for n in NAMES if n != "n1"]
    assert backup.node.status == "view-change"


def test_a_replica_notices_from_a_start_view_change_of_a_larger_view(backup: Any) -> None:
    sent = backup.deliver("n2", StartViewChange(3, LIVES))
    assert (backup.node.view, backup.node.status) == (3, "view-change")
    assert [m for _, m in sent if isinstance(m, StartViewChange)] == [StartViewChange(3, LIVES)] * 4


def test_with_start_view_change_from_f_others_it_sends_do_view_change_to_the_new_primary() -> None:
    bench = replica("n2")
    bench.deliver("n0", Prepare(0, 1, A, 0))
    bench.fire("view_change")
    bench.take()
    assert bench.deliver("n3", StartViewChange(1, LIVES)) == []
    assert bench.deliver("n3", StartViewChange(1, LIVES)) == [], "from different replicas"
    expected = DoViewChange(1, (A,), 0, 0, LIVES)
    assert bench.deliver("n4", StartViewChange(1, LIVES)) == [("n1", expected)]


def do_view_change(view: int, log: tuple[Command, ...], last_normal: int, commit: int = 0) -> DoViewChange:
    return DoViewChange(view, log, last_normal, commit, LIVES)


def in_view_change(name: str = "n1", log: tuple[Command, ...] = ()) -> Bench[ViewstampedNode]:
    """A replica that moves to view 1 and has sent its own DoViewChange."""
    bench = replica(name)
    for number, entry in enumerate(log, start=1):
        bench.deliver("n0", Prepare(0, number, entry, 0))
    bench.fire("view_change")
    bench.deliver("n3", StartViewChange(1, LIVES))
    bench.deliver("n4", StartViewChange(1, LIVES))
    bench.deliver_self()
    bench.take()
    return bench


def test_the_new_primary_begins_the_view_with_f_plus_1_do_view_changes_its_own_included() -> None:
    bench = in_view_change()
    assert bench.deliver("n2", do_view_change(1, (A,), 0)) == []
    sent = bench.deliver("n3", do_view_change(1, (), 0))
    assert sent == [(n, StartView(1, (A,), 0, LIVES)) for n in NAMES if n != "n1"]
    assert bench.node.status == "normal"


def test_the_new_log_is_the_one_of_the_latest_normal_view_and_then_the_longest() -> None:
    bench = in_view_change(log=(A, B, C))
    bench.deliver("n2", do_view_change(1, (A, B, C), 0))
    bench.deliver("n3", do_view_change(1, (A, B), 0))
    assert bench.node.log == [A, B, C]
    later = replica("n1")
    later.node.change_view(6)  # n1 is the primary of view 6, too
    for src, log, last in (("n1", (A, B, C), 0), ("n2", (B,), 4), ("n3", (B, C), 4)):
        later.deliver(src, do_view_change(6, log, last))
    assert later.node.log == [B, C]


def test_the_new_commit_number_is_the_largest_received_and_committed_operations_are_executed() -> None:
    bench = in_view_change(log=(A,))
    bench.deliver("n2", do_view_change(1, (A, B), 0, commit=2))
    bench.deliver("n3", do_view_change(1, (A,), 0, commit=1))
    assert bench.node.commit == 2
    assert bench.node.store.application.data == {"x": 2}


def test_the_others_replace_their_log_become_normal_and_acknowledge_what_is_not_committed(
    backup: Any,
) -> None:
    backup.deliver("n0", Prepare(0, 1, C, 0))
    sent = backup.deliver("n2", StartView(2, (A, B), 1, LIVES))
    assert sent == [("n2", PrepareOk(2, 2))]
    assert (backup.node.view, backup.node.status, backup.node.log) == (2, "normal", [A, B])
    assert backup.node.store.application.data == {"x": 1}


def test_a_replica_in_a_view_change_sends_no_prepare_ok(backup: Any) -> None:
    backup.fire("view_change")
    backup.take()
    assert backup.deliver("n0", Prepare(0, 1, A, 0)) == []


def test_if_the_view_change_does_not_end_it_goes_on_to_the_next_view(backup: Any) -> None:
    backup.fire("view_change")
    assert ("n0", StartViewChange(2, LIVES)) in backup.fire("view_change")


# 4.3 Recovery


def recovering() -> Bench[ViewstampedNode]:
    bench = replica("n1")
    bench.deliver("n0", Prepare(0, 1, A, 0))
    bench.sent.clear()
    bench.timers.clear()
    bench.disk.image.clear()
    bench.boot()
    return bench


def response(view: int, log: tuple[Command, ...] | None, nonce: int = 1, commit: int = 0) -> RecoveryResponse:
    return RecoveryResponse(view, nonce, log, commit, (0, 1, 0, 0, 0))


def test_a_recovering_replica_sends_recovery_with_a_fresh_nonce_to_all_others() -> None:
    bench = recovering()
    assert bench.node.status == "recovering"
    assert bench.sent == [(n, Recovery(1, (0, 1, 0, 0, 0))) for n in NAMES if n != "n1"]
    assert bench.boot().nonce == 2


def test_it_takes_no_part_in_requests_or_view_changes_while_it_recovers() -> None:
    bench = recovering()
    bench.take()
    for message in (Prepare(0, 1, A, 0), Commit(0, 0), StartViewChange(1, LIVES), do_view_change(1, (A,), 0)):
        assert bench.deliver("n0", message) == []
    assert bench.deliver("n2", StartView(2, (A,), 0, LIVES)) == []
    assert bench.node.status == "recovering"


def test_a_replica_answers_only_when_normal_and_only_the_primary_sends_its_log(
    primary: Any, backup: Any
) -> None:
    ask = Recovery(1, (0, 0, 1, 0, 0))
    primary.deliver("client", Request(A))
    primary.take()
    assert primary.deliver("n2", ask) == [("n2", RecoveryResponse(0, 1, (A,), 0, (0, 0, 1, 0, 0)))]
    assert backup.deliver("n2", ask) == [("n2", RecoveryResponse(0, 1, None, 0, (0, 0, 1, 0, 0)))]
    backup.fire("view_change")
    backup.take()
    assert backup.deliver("n2", ask) == []


def test_it_waits_for_f_plus_1_responses_with_its_nonce_one_from_the_primary_of_the_latest_view() -> None:
    bench = recovering()
    bench.deliver("n0", response(0, (A,)))
    bench.deliver("n3", response(0, None, nonce=0))
    bench.deliver("n4", response(2, None))
    bench.deliver("n3", response(2, None))
    assert bench.node.status == "recovering", "the latest view is 2, and its primary has not answered"
    bench.deliver("n2", response(2, (A, B), commit=1))
    assert (bench.node.status, bench.node.view, bench.node.log) == ("normal", 2, [A, B])
    assert bench.node.store.application.data == {"x": 1}


def test_a_response_to_an_earlier_recovery_does_not_count() -> None:
    bench = recovering()
    for src, log in (("n0", (A,)), ("n2", None), ("n3", None)):
        bench.deliver(src, response(0, log, nonce=0))
    assert bench.node.status == "recovering"


# Crash-consistent quorums (DISC 2017)


def test_a_do_view_change_of_an_earlier_incarnation_does_not_count() -> None:
    bench = in_view_change()
    bench.deliver("n2", do_view_change(1, (), 0))
    bench.deliver("n2", Recovery(1, (0, 0, 1, 0, 0)))  # n2 has lost its state since
    bench.deliver("n3", do_view_change(1, (), 0))
    assert bench.node.status == "view-change"
    bench.deliver("n4", do_view_change(1, (A,), 0))
    assert bench.node.status == "normal"


# 5.2 State transfer


def test_state_transfer_sends_what_comes_after_the_known_operation(primary: Any) -> None:
    for entry in (A, command(1, session=2)):
        primary.deliver("client", Request(entry))
    primary.take()
    expected = NewState(0, 1, (command(1, session=2),), 0)
    assert primary.deliver("n1", GetState(0, 1)) == [("n1", expected)]


def test_a_replica_that_missed_a_view_change_drops_what_was_not_committed_when_the_new_state_is_there(
    backup: Any,
) -> None:
    backup.deliver("n0", Prepare(0, 1, A, 0))
    backup.deliver("n0", Prepare(0, 2, B, 1))
    assert backup.deliver("n2", Commit(2, 1)) == [("n2", GetState(2, 1))]
    assert backup.node.log == [A, B], "until then it reports all that it has to a view change"
    backup.deliver("n2", NewState(2, 1, (C,), 2))
    assert (backup.node.log, backup.node.view, backup.node.commit) == ([A, C], 2, 2)
