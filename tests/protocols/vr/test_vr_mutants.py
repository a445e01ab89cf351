"""Viewstamped Replication broken by a word or a method, each time seen by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import ViewstampedReplication
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.vr.messages import (
    Commit,
    DoViewChange,
    GetState,
    Prepare,
    PrepareOk,
    Recovery,
    RecoveryResponse,
    StartView,
)
from sim.protocols.consensus.vr.node import ViewstampedNode
from sim.protocols.consensus.vr.replica import NORMAL, RECOVERING
from sim.zoo.consensus import TakesAnyNonce

DELTA = 0.01
BEST = "the best of f + 1 reports"
COMPLETE = "committed operations are in every later view"
KEPT = "what was acknowledged is kept"

Staging = Callable[..., Any]


def settled(stage: Staging, mutant: type[ViewstampedNode] | None, nodes: int = 3) -> Any:
    world = stage(ViewstampedReplication(nodes=nodes), mutant=mutant)
    world.run(0.2)
    return world


def change_view(world: Any, *names: str) -> None:
    for name in names:
        world.step(name, "on_view_change_timeout")


def hold(world: Any, kind: type, *, src: str | None = None, dst: str | None = None) -> None:
    """Hold messages of a class, of a sender and to a receiver where these are given."""
    world.cluster.network.hold(
        lambda a, b, msg: isinstance(msg, kind) and src in (None, a) and dst in (None, b)
    )


# Normal operation


class InventsCommands(ViewstampedNode):
    """The primary orders a command of its own."""

    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, Request(Command(9, 1, "put", "x", "mine")))


class AnswersEarly(ViewstampedNode):
    """The primary answers before any backup has the request."""

    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, msg)
        self.answer(src, msg.command, self.store.execute(msg.command))


class HastyPrimary(ViewstampedNode):
    """Commits with one PrepareOk too few."""

    def advance_commit(self) -> None:
        having = sorted([*self.acks.values(), self.op], reverse=True)
        self.commit_up_to(having[self.f - 1])


class LiarBackup(ViewstampedNode):
    """Says PrepareOk to what it has not got."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.send(src, PrepareOk(self.view, msg.op))


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (InventsCommands, "validity"),
        (AnswersEarly, "acknowledged is committed"),
        (HastyPrimary, "committed is held by f + 1"),
        (LiarBackup, "a replica vouches for what it has"),
    ],
)
def test_a_request_handled_wrongly_is_caught(
    stage: Staging, mutant: type[ViewstampedNode], invariant: str
) -> None:
    world = settled(stage, mutant)
    world.ask("n0", value=1)
    assert world.invariant_broken() == invariant


class AppendsOutOfOrder(ViewstampedNode):
    """A backup does not wait until it has all earlier requests."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if self.follows(src, msg.view):
            self.log.append(msg.command)
            self.send(src, PrepareOk(self.view, self.op))


class ResendsTheFirst(ViewstampedNode):
    """A mutant that repeats the first request with the number of the last one."""

    def on_commit_timeout(self) -> None:
        super().on_commit_timeout()
        for first in self.log[:1]:
            self.broadcast(Prepare(self.view, self.op, first, self.commit))


class TrustsTheCommitNumber(ViewstampedNode):
    """A backup takes over the commit-number without having the requests."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.commit = max(self.commit, msg.commit)
        super().on_prepare(src, msg)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (AppendsOutOfOrder, "a replica vouches for what it has"),
        (ResendsTheFirst, "one command per number"),
        (TrustsTheCommitNumber, "committed is in the log"),
    ],
)
def test_a_backup_that_missed_a_request_does_not_pretend(
    stage: Staging, mutant: type[ViewstampedNode], invariant: str
) -> None:
    world = settled(stage, mutant)
    world.ask("n0", value=1)
    world.isolate("n2")
    world.run(0.035)
    world.heal()
    world.ask("n0", value=2, session=2)
    assert world.invariant_broken() == invariant


class AppliesRetriesAgain(ViewstampedNode):
    """Sessions are forgotten: a request that is asked again takes effect again."""

    def on_request(self, src: str, msg: Request) -> None:
        self.store.sessions.clear()
        super().on_request(src, msg)

    def commit_up_to(self, commit: int) -> None:
        self.store.sessions.clear()
        super().commit_up_to(commit)


def test_a_retried_request_that_takes_effect_twice_is_caught(stage: Staging) -> None:
    world = settled(stage, AppliesRetriesAgain)
    world.ask("n0", "increment", 1)
    world.run(0.1)
    world.ask_again("n0", "increment", 1)
    assert world.invariant_broken() == "exactly once"


class ExecutesBackwards(ViewstampedNode):
    """Of two requests that commit together, the later is executed first."""

    def commit_up_to(self, commit: int) -> None:
        self.commit = max(self.commit, min(commit, self.op))
        for command in reversed(self.log[self.applied : self.commit]):
            self.store.apply(command)
        self.applied = self.commit


def test_executing_in_another_order_is_caught(stage: Staging) -> None:
    world = settled(stage, ExecutesBackwards)
    for session in (1, 2):
        world.ask("n0", value=session, session=session)
    world.run(0.3)
    assert world.invariant_broken(world.finish) == "state is the fold of the committed"


# View changes


class ShortestLog(ViewstampedNode):
    """The new primary takes any log."""

    def best_report(self, reports: list[DoViewChange]) -> DoViewChange:
        return min(reports, key=lambda report: (report.last_normal, len(report.log)))


@pytest.mark.parametrize(("without", "invariant"), [(("n4",), COMPLETE), (("n2", "n3", "n4"), BEST)])
def test_the_choice_of_a_shorter_log_is_caught(
    stage: Staging, without: tuple[str, ...], invariant: str
) -> None:
    """A request that only n4 has not is committed; one that only n1 has beside the primary is not."""
    world = settled(stage, ShortestLog, 5)
    world.ask("n0", value=1)
    world.cluster.network.cut([("n0", name) for name in without])
    world.run(0.025)
    world.crash("n0")
    change_view(world, "n1", "n2", "n3", "n4")
    assert world.invariant_broken() == invariant


class CutsBeforeItKnows(ViewstampedNode):
    """Section 5.2 as printed: the log is cut before the new state is there."""

    def catch_up(self, src: str, view: int) -> None:
        if view > self.last_normal:
            del self.log[self.commit :]
        self.send(src, GetState(view, self.op))


def learns_of_a_later_view(stage: Staging, mutant: type[ViewstampedNode] | None) -> Any:
    """n1 vouches for a request, then hears of a view whose state never comes, and the view changes once more."""
    world = settled(stage, mutant)
    world.cluster.network.cut([("n0", "n2"), ("n2", "n0")])
    world.ask("n0", value=7)
    world.run(0.045)
    assert world.replies[-1].status == "ok"  # held by n0 and n1, and not yet known to be committed by n1
    assert (world.node("n1").op, world.node("n1").commit) == (1, 0)
    world.cluster.network.cut([("n0", "n1"), ("n1", "n0")])
    hold(world, GetState)
    world.step("n1", "on_commit", "n2", Commit(2, 0))
    change_view(world, "n1", "n2")
    return world


def test_the_early_cut_of_the_paper_forgets_what_was_vouched_for(stage: Staging) -> None:
    world = learns_of_a_later_view(stage, None)
    world.run(0.5)
    assert [c.value for c in world.node("n1").log] == [7]
    with pytest.raises(Exception, match=KEPT):
        learns_of_a_later_view(stage, CutsBeforeItKnows)


class VouchesInAViewChange(ViewstampedNode):
    """A replica in a view change still acknowledges."""

    def follows(self, src: str, view: int) -> bool:
        return self.status != RECOVERING


def test_an_acknowledgement_during_a_view_change_is_caught(stage: Staging) -> None:
    world = settled(stage, VouchesInAViewChange)
    world.ask("n0", value=1)
    world.run(1.5 * DELTA)
    change_view(world, "n1", "n2")
    assert world.invariant_broken() == "a replica vouches for what it has"


class KeepsItsLog(ViewstampedNode):
    """One that learns of a later view enters it with the log that it has."""

    def follows(self, src: str, view: int) -> bool:
        self.view = max(view, self.view)
        self.status = NORMAL
        return True

    def on_start_view(self, src: str, msg: StartView) -> None:
        self.learn_epochs(msg.epochs)


def test_a_log_of_an_earlier_view_taken_for_the_later_one_s_is_caught(stage: Staging) -> None:
    world = settled(stage, KeepsItsLog)
    world.isolate("n0")
    world.ask("n0", value="lost", session=1)
    world.run(0.02)
    change_view(world, "n1", "n2")
    world.run(0.03)
    world.ask("n1", value="kept", session=2)
    world.run(0.04)
    told = Commit(1, world.node("n1").commit)
    assert told.commit == 1
    assert world.invariant_broken(lambda: world.step("n0", "on_commit", "n1", told)) == "one history"


class GoesBack(ViewstampedNode):
    """A StartView counts whatever its view is."""

    def on_start_view(self, src: str, msg: StartView) -> None:
        self.take_log(msg.log)
        self.begin_normal(msg.view)


def test_a_return_to_an_earlier_view_is_caught(stage: Staging) -> None:
    world = settled(stage, GoesBack)
    hold(world, StartView, dst="n2")
    change_view(world, "n1", "n2")
    world.run(0.05)
    change_view(world, "n0", "n2")
    world.run(0.05)
    world.cluster.network.release()
    assert world.node("n2").view > 1
    assert world.invariant_broken() == "views only grow"


class BeginsAgain(ViewstampedNode):
    """A late DoViewChange makes the primary begin its view once more."""

    def begin_normal(self, view: int) -> None:
        reports = dict(self.reports)
        super().begin_normal(view)
        self.reports = reports

    def on_do_view_change(self, src: str, msg: DoViewChange) -> None:
        self.learn_epochs(msg.epochs)
        if msg.view > self.view:
            self.change_view(msg.view)
        self.reports[src] = msg
        self.begin_view()


def test_a_view_that_begins_twice_is_caught(stage: Staging) -> None:
    """Only n4 has the last request of view 0, and its report is late."""
    world = settled(stage, BeginsAgain, 5)
    world.cluster.network.cut([("n0", name) for name in ("n1", "n2", "n3")])
    world.ask("n0", value=1)
    world.run(0.025)
    world.crash("n0")
    hold(world, DoViewChange, src="n4")
    change_view(world, "n1", "n2", "n3", "n4")
    world.run(0.05)
    assert world.node("n1").status == NORMAL
    world.cluster.network.release()
    assert world.invariant_broken() == "a view begins once"


# Recovery


class Amnesiac(ViewstampedNode):
    """Takes part again at once, without recovery."""

    def on_recovery_timeout(self) -> None:
        self.begin_normal(self.view)


def test_a_replica_that_takes_part_again_with_nothing_is_caught(stage: Staging) -> None:
    world = settled(stage, Amnesiac)
    world.ask("n0", value=1)
    world.run(0.1)
    world.crash("n1")
    assert world.invariant_broken(lambda: world.restart("n1")) == KEPT


def test_a_primary_that_leads_its_view_in_another_incarnation_is_caught(stage: Staging) -> None:
    world = settled(stage, Amnesiac)
    world.crash("n0")
    world.restart("n0")
    assert world.invariant_broken() == "one primary a view"


class HelpsInAViewChange(ViewstampedNode):
    """A replica answers one that recovers whatever its own status is."""

    def on_recovery(self, src: str, msg: Recovery) -> None:
        log = tuple(self.log) if self.primary_of(self.view) == self.name else None
        self.send(src, RecoveryResponse(self.view, msg.nonce, log, self.commit, tuple(self.epochs)))


def test_an_answer_to_a_recovery_during_a_view_change_is_caught(stage: Staging) -> None:
    world = settled(stage, HelpsInAViewChange)
    world.crash("n1")
    change_view(world, "n2")
    assert (
        world.invariant_broken(lambda: (world.restart("n1"), world.run(0.1)))
        == "only a normal replica helps to recover"
    )


def second_recovery(stage: Staging, mutant: type[ViewstampedNode] | None) -> Any:
    """n1 recovers twice; answers to its first recovery, from before a request was committed, come late."""
    world = settled(stage, mutant)
    network = world.cluster.network
    world.crash("n1")
    hold(world, RecoveryResponse, dst="n1")
    world.restart("n1")
    world.run(0.03)
    assert len(network.held) == 2
    network.release(lambda held: False, stop=True)  # what comes from now on arrives
    world.run(0.6)  # it asks again, and recovers
    assert world.node("n1").status == NORMAL
    network.cut([("n0", "n2"), ("n2", "n0")])
    world.ask("n0", value=7)
    world.run(0.1)
    assert world.replies[-1].status == "ok"  # committed by n0 and n1
    network.cut([("n0", "n1")])  # nothing fresh of n0 reaches n1 any more
    world.crash("n1")
    world.restart("n1")
    network.release()
    return world


def test_vr1_a_response_to_an_earlier_recovery_would_bring_back_an_older_log(stage: Staging) -> None:
    world = second_recovery(stage, None)
    world.run(0.05)
    assert world.node("n1").status == RECOVERING
    assert second_recovery(stage, TakesAnyNonce).invariant_broken() == KEPT


class CountsTheDead(ViewstampedNode):
    """As printed in 2012: what a replica sent before it lost its state counts afterwards, too."""

    def consistent(self, received: Any) -> dict[str, Any]:
        return dict(received)


def reports_of_two_lives(stage: Staging, mutant: type[ViewstampedNode] | None) -> Any:
    """n1 has its own report and that of n2, which has lost its state since; n3 knows so when it reports."""
    world = settled(stage, mutant, 5)
    network = world.cluster.network
    world.crash("n0")
    network.hold(
        lambda src, dst, msg: (
            dst == "n3"
            or (src == "n4" and isinstance(msg, DoViewChange))
            or isinstance(msg, RecoveryResponse)
        )
    )
    change_view(world, "n1", "n2", "n3", "n4")
    world.run(0.05)
    assert world.node("n1").reports.keys() == {"n1", "n2"}
    world.crash("n2")
    world.restart("n2")
    world.run(0.02)
    network.release(lambda held: isinstance(held.message, Recovery), stop=False)
    world.run(0.001)
    network.release(lambda held: held.dst == "n3", stop=False)
    return world


def test_a_report_of_an_earlier_incarnation_is_caught(stage: Staging) -> None:
    world = reports_of_two_lives(stage, None)
    world.run(0.05)
    assert world.node("n1").reports.keys() == {"n1", "n2", "n3"}
    assert world.node("n1").status != NORMAL  # it waits for n4
    assert reports_of_two_lives(stage, CountsTheDead).invariant_broken() == BEST
