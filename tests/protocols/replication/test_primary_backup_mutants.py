"""Every invariant of primary-backup catches the bug it is there for: mutants by one changed word, schedules by hand.

The ids (PB1 ...) are those of the catalogue of known bugs; each names where the bug was found.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.message import replace
from sim.protocols.command import Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.membership.views.service import NO_VIEW, View, ViewIs, ViewService
from sim.protocols.replication.primary_backup.log_shipping import Append, AppendOk
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.protocols.sessions import Sessions
from sim.system import SafetyViolation
from sim.zoo.primary_backup import AcceptsAnyView, AcknowledgesAlone, KeepsItsTail, TruncatesToItsCommit

SYNC, ASYNC = PrimaryBackup(nodes=3), PrimaryBackup(nodes=3, mode="async")


def violation(invariant: str) -> Any:
    return pytest.raises(SafetyViolation, match=f"^{invariant}")


def only(s: Any, invariant: str) -> None:
    """Ask one invariant only, where another would catch the mutant first."""
    s.cluster.watch_only(lambda i: i.title.startswith(invariant))
    assert s.cluster.invariants


# PB1: "sync" acknowledges before the backups have (Jepsen: Redis, 2013)


def unshipped_write_then_failover(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    s = stage(SYNC, node_class=node)
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    s.ask("n0")
    s.run(0.02)
    s.crash("n0")
    s.run(1.0)


def test_pb1_sync_that_acknowledges_before_the_backups(stage: Any) -> None:
    unshipped_write_then_failover(stage)
    with violation("acknowledged writes are in every later view"):
        unshipped_write_then_failover(stage, AcknowledgesAlone)


# PB2: no fencing (GitHub, 2018-10-21)


def old_primary_goes_on(
    stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode, invariant: str = ""
) -> None:
    s = stage(SYNC, node_class=node)
    only(s, invariant)
    s.isolate(["n0"], ["views"])
    s.run(0.7)
    s.ask("n1")
    s.run(0.02)
    s.ask("n0", key="y")
    s.run(0.02)


@pytest.mark.parametrize(
    "invariant", ["no answer of an old view", "acknowledged writes are in every later view"]
)
def test_pb2_backups_that_accept_an_old_view(stage: Any, invariant: str) -> None:
    old_primary_goes_on(stage)
    with violation(invariant):
        old_primary_goes_on(stage, AcceptsAnyView, invariant)


class IgnoresItsLease(PrimaryBackupNode):
    def _may_answer(self) -> bool:
        return True


def async_split_brain(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    s = stage(ASYNC, node_class=node)
    s.isolate(["n0"], ["n1", "n2", "views"])
    s.run(0.7)
    s.ask("n1")
    s.run(0.02)
    s.ask("n0")
    s.run(0.02)


def test_pb2_an_async_primary_without_a_lease(stage: Any) -> None:
    async_split_brain(stage)
    with violation("no answer of an old view"):
        async_split_brain(stage, IgnoresItsLease)


# PB4: the old primary comes back with its tail (MySQL bug 99370)


def old_primary_returns(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    s = stage(ASYNC, node_class=node)
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    s.ask("n0")
    s.run(0.02)
    s.crash("n0")
    s.heal()
    s.run(0.7)
    s.restart("n0")
    s.run(0.5)


def test_pb4_an_old_primary_that_keeps_its_unacknowledged_tail(stage: Any) -> None:
    old_primary_returns(stage)
    with violation("backup log is a prefix"):
        old_primary_returns(stage, KeepsItsTail)


# PB5: a backup truncates to its own high watermark (Kafka KIP-101)


def backup_restarts_then_primary_dies(
    stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode, invariant: str = ""
) -> None:
    s = stage(PrimaryBackup(nodes=2), node_class=node)
    only(s, invariant)
    s.run(0.01)
    s.ask("n0")
    s.run(0.006)  # acknowledged; the backup learns that with the next heartbeat
    s.crash("n1")
    s.restart("n1")
    s.run(0.001)
    s.crash("n0")
    s.run(1.0)


def test_pb5_a_backup_that_truncates_to_what_it_knows_to_be_committed(stage: Any) -> None:
    backup_restarts_then_primary_dies(stage)
    with violation("a restart takes nothing back"):
        backup_restarts_then_primary_dies(stage, TruncatesToItsCommit)
    with violation("acknowledged writes are in every later view"):
        backup_restarts_then_primary_dies(stage, TruncatesToItsCommit, "acknowledged writes")


# The invariants that the catalogue has no bug for


class LeadsAgain(PrimaryBackupNode):
    """After a crash it goes on leading the view that is on its disk."""

    def on_start(self) -> None:
        super().on_start()
        if self.incarnation and self.log_view == 1 and self.name == "n0":
            self.match = {}
            self._lead(View(1, ("n0", "n1", "n2")))
            self.on_heartbeat_timeout()


def primary_restarts(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    s = stage(SYNC, node_class=node)
    s.run(0.06)
    s.crash("n0")
    s.restart("n0")
    s.run(0.06)


def test_a_primary_with_two_incarnations_in_one_view_is_caught(stage: Any) -> None:
    primary_restarts(stage)
    with violation("one primary per view"):
        primary_restarts(stage, LeadsAgain)


class ForgetsTheView(PrimaryBackupNode):
    def on_start(self) -> None:
        self.view_number = 0
        super().on_start()


class ForgetsItsViews(ViewService):
    def on_start(self) -> None:
        self.view, self.ready, self.acknowledged_view = NO_VIEW, (), 0
        super().on_start()


def views_across_restarts(stage: Any, **classes: Any) -> None:
    s = stage(SYNC, **classes)
    s.crash("n2")
    s.run(0.7)
    s.crash("n1", "views")
    s.restart("n1", "views")
    s.run(0.2)


def test_view_numbers_that_a_restart_forgets(stage: Any) -> None:
    views_across_restarts(stage)
    with violation("view numbers never go back"):
        views_across_restarts(stage, node_class=ForgetsTheView)
    with violation("view numbers never go back"):
        views_across_restarts(stage, service_class=ForgetsItsViews)


class AcknowledgesUnsynced(PrimaryBackupNode):
    def on_append(self, src: str, msg: Append) -> None:
        send, self.send = self.send, lambda dst, m, hold=True: send(dst, m, hold=False)  # type: ignore
        super().on_append(src, msg)
        self.send = send  # type: ignore[method-assign]


class AnnouncesUnsynced(ViewService):
    def _install(self, members: tuple[str, ...]) -> None:
        send, self.send = self.send, lambda dst, m, hold=True: send(dst, m, hold=False)  # type: ignore
        super()._install(members)
        self.send = send  # type: ignore[method-assign]


def slow_disks(stage: Any, **classes: Any) -> None:
    s = stage(SYNC, fsync=0.005, **classes)
    s.run(0.02)
    s.ask("n0")
    s.run(0.02)
    s.crash("n2")
    s.run(0.7)


def test_acknowledgements_and_views_that_do_not_wait_for_the_disk(stage: Any) -> None:
    slow_disks(stage)
    with violation("durable before send"):
        slow_disks(stage, node_class=AcknowledgesUnsynced)
    with violation("durable before send"):
        slow_disks(stage, service_class=AnnouncesUnsynced)


class TakesAnyoneIn(ViewService):
    """Every live server is a backup, and may be promoted, initialised or not."""

    def _without_dead_with_joined(self) -> tuple[str, ...]:
        others = [m for m in self.heard if m != self.view.primary and self.is_alive(m)]
        return (self.view.primary, *others)

    def is_initialised(self, member: str) -> bool:
        return True


class LeadsWhateverItHolds(PrimaryBackupNode):
    def on_view_is(self, src: str, msg: ViewIs) -> None:
        if msg.view.primary == self.name:
            self.log_view = max(self.log_view, msg.view.after)
        super().on_view_is(src, msg)


def uninitialised_backup(stage: Any, **classes: Any) -> None:
    s = stage(PrimaryBackup(nodes=2), **classes)
    only(s, "only initialised members")
    s.crash("n1")
    s.run(1.0)
    s.ask("n0")
    s.run(0.02)
    s.cut(["n0"], ["n1"])
    s.restart("n1")
    s.run(0.1)
    s.crash("n0")
    s.run(2.0)
    assert s.node("n1").role == "backup"


def test_promotion_of_a_member_without_state(stage: Any) -> None:
    uninitialised_backup(stage)
    uninitialised_backup(stage, service_class=TakesAnyoneIn)  # the member itself refuses
    with violation("only initialised members are promoted"):
        uninitialised_backup(stage, service_class=TakesAnyoneIn, node_class=LeadsWhateverItHolds)


class RepeatsItself(Sessions):
    """A mutant that does not remember the answers of sessions."""

    def apply(self, command: Command) -> Result | None:
        return self.execute(command)

    def known(self, command: Command) -> Result | None:
        return None

    def has_applied(self, session: int, sequence: int) -> bool:
        return False


class NoSessions(PrimaryBackupNode):
    def on_start(self) -> None:
        super().on_start()
        self.store = RepeatsItself(KeyValueStore())


def retried_increment(
    stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode, invariant: str = ""
) -> None:
    s = stage(SYNC, node_class=node)
    only(s, invariant)
    first = s.ask("n0", "increment", value=1)
    s.run(0.02)
    s.ask("n0", "increment", value=1, sequence=first)
    s.run(0.02)
    s.finish()


@pytest.mark.parametrize("invariant", ["exactly once", "the store is the log, applied once"])
def test_a_store_that_forgets_its_sessions(stage: Any, invariant: str) -> None:
    retried_increment(stage, invariant=invariant)
    with violation(invariant):
        retried_increment(stage, NoSessions, invariant=invariant)


class ReadsUnconfirmed(PrimaryBackupNode):
    """A sync read is answered from the primary's own state."""

    def _answer_reads(self) -> None:
        self.confirmed = dict.fromkeys(self.peers, self.probe)
        super()._answer_reads()


def read_at_the_old_primary(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    s = stage(SYNC, node_class=node)
    s.isolate(["n0"], ["n1", "n2", "views"])
    s.run(0.7)
    s.ask("n1")
    s.run(0.02)
    s.ask("n0", "get")
    s.run(0.02)


def test_reads_that_the_backups_do_not_confirm(stage: Any) -> None:
    read_at_the_old_primary(stage)
    with violation("no answer of an old view"):
        read_at_the_old_primary(stage, ReadsUnconfirmed)


def test_messages_of_the_past_are_refused(stage: Any) -> None:
    """Late copies of everything that was ever sent change nothing."""
    s = stage(SYNC)
    s.run(0.02)
    s.ask("n0", "append", value="a")
    s.run(0.02)
    s.crash("n0")
    s.run(0.7)
    s.ask("n1", "append", value="b")
    s.run(0.02)
    entry = replace(s.node("n1").log[0])
    for late in (Append(1, 0, 0, 0, (entry,), 1, 1, 0.0), AppendOk(1, 5, 9)):
        s.cluster.hosts["n2"].handle(("n0", late))
        s.cluster.hosts["n1"].handle(("n2", late))
    s.run(0.1)
    read = s.ask("n1", "get")
    s.run(0.1)
    assert s.answers(read) == ["ab"]
