"""Leases, batches, the window and compaction of Multi-Paxos: what they save, and what keeps them safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sim.faults import Crash
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import MultiPaxos
from sim.protocols.consensus.multipaxos.invariants import MultiPaxosSafety
from sim.protocols.consensus.multipaxos.messages import Accept, Accepted, Granted, InstallSnapshot
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.multipaxos.options import FullMultiPaxosNode
from sim.protocols.quorums import Columns, Rows, Weighted
from sim.system import SafetyViolation
from sim.testing import survive
from sim.workload import ClosedLoop
from sim.zoo.paxos import DeletesAndForgets
from tests.budget import storms

DELTA = 0.01
LEASED = MultiPaxos(nodes=3, lease=0.4, drift=0.01)


def settled(stage: Callable[..., Any], system: MultiPaxos, **more: Any) -> Any:
    """A stage whose leader n0 has won, and has its lease."""
    s = stage(system, **more)
    s.run(0.055)
    assert s.node("n0").role == "leader"
    return s


def invariant_broken(run: Callable[[], Any]) -> str:
    with pytest.raises(SafetyViolation) as caught:
        run()
    return str(caught.value.invariant)


def test_without_options_the_plain_node_runs() -> None:
    assert {m.node_class for m in MultiPaxos(nodes=3).members()} == {MultiPaxosNode}
    assert {m.node_class for m in LEASED.members()} == {FullMultiPaxosNode}


# Leases


@pytest.mark.parametrize(("beside", "delays"), [(None, 2), ("n0", 0)])
def test_a_read_under_a_lease_costs_the_way_to_the_leader_and_no_message(
    stage: Callable[..., Any], beside: str | None, delays: int
) -> None:
    s = settled(stage, LEASED, beside=beside)
    s.ask("n0", value="v")
    s.run(0.05)
    start = s.now
    s.ask("n0", "get")
    s.run(0.04)
    assert s.client.answered[-1] - start == pytest.approx(delays * DELTA)
    assert s.replies[-1].value == "v"
    assert not [m for m in s.messages(since=start) if m[0] in ("Accept", "Accepted")]


def test_a_read_that_was_proposed_too_may_be_answered_under_a_lease_before_its_slot_is_applied(
    stage: Callable[..., Any],
) -> None:
    """A storm has found it: the invariant took such a read for the slot's, and the next for stale."""
    s = stage(LEASED)
    s.hold(kind="Granted", dst="n0")
    s.run(0.055)
    s.ask("n0", "get", session=2)  # without a lease it needs a slot
    s.hold(kind="Accepted", dst="n0")
    s.run(0.1)
    assert (s.node("n0").role, s.node("n0").applied, s.replies) == ("leader", 0, [])
    accepted = [held for held in s.held if type(held.message) is Accepted]
    assert {held.message.slot for held in accepted} == {1}, "chosen, but the leader does not know it"
    s.release([held for held in s.held if type(held.message) is Granted])
    s.ask_again("n0", "get", session=2)
    s.ask("n0", "get", session=3)
    s.run(0.03)
    assert [reply.session for reply in s.replies] == [2, 3]
    assert s.node("n0").applied == 0
    s.release()
    s.run(0.1)
    assert s.node("n0").applied == 1
    s.finish()


def isolated_leader(s: Any) -> None:
    """n0 is cut off; the others elect another leader as soon as they can, which writes at once."""
    s.ask("n0", value="old")
    s.run(0.1)
    s.isolate("n0")
    while not any(s.node(n).role == "leader" for n in ("n1", "n2")):
        s.run(0.005)
        s.ask("n0", "get", session=2)
    leader = next(n for n in ("n1", "n2") if s.node(n).role == "leader")
    s.ask(leader, value="new")
    for _ in range(20):
        s.run(0.005)
        s.ask("n0", "get", session=2)
    s.run(0.1)


def test_a_cut_off_leader_stops_reading_before_another_leader_writes(stage: Callable[..., Any]) -> None:
    s = settled(stage, LEASED)
    isolated_leader(s)
    reads = [r for r in s.replies if r.session == 2]
    assert reads
    assert {r.value for r in reads} == {"old"}
    assert [r.value for r in s.replies if r.session == 1] == ["old", "new"]


class NeverLetsGo(FullMultiPaxosNode):
    """The leader takes its lease for ever."""

    def holds_lease(self) -> bool:
        return bool(self.grants)


def test_a_lease_that_never_ends_is_caught(stage: Callable[..., Any]) -> None:
    s = settled(stage, LEASED, mutant=NeverLetsGo)
    assert invariant_broken(lambda: isolated_leader(s)) == "a read sees acknowledged writes"


class NeverBound(FullMultiPaxosNode):
    """Acceptors do not keep their grants."""

    def is_bound(self, candidate: str) -> bool:
        return False


def hurried(s: Any) -> None:
    """Another replica campaigns while the lease runs, and the old leader is asked meanwhile."""
    s.ask("n0", value="old")
    s.run(0.1)
    s.isolate("n0")
    s.step("n1", "campaign")
    s.run(0.03)
    s.ask("n1", value="new")
    s.run(0.05)
    s.ask("n0", "get", session=2)
    s.run(0.05)


def test_grants_that_are_not_kept_are_caught_and_kept_ones_hold_a_candidate_back(
    stage: Callable[..., Any],
) -> None:
    assert invariant_broken(lambda: hurried(settled(stage, LEASED, mutant=NeverBound))) == (
        "a pause between Granted and Promise"
    )
    alone = settled(stage, LEASED, mutant=NeverBound)
    alone.cluster.watch_only(lambda i: isinstance(i, MultiPaxosSafety))  # what comes of it
    assert invariant_broken(lambda: hurried(alone)) == "a read sees acknowledged writes"
    s = settled(stage, LEASED)
    hurried(s)
    assert s.node("n1").role == "candidate"
    assert s.replies[-1].value == "old"


class ForgetsItsGrant(FullMultiPaxosNode):
    """A restarted acceptor does not wait a lease before it answers."""

    def on_start(self) -> None:
        super().on_start()
        self.granted_until = -float("inf")


def restarted(s: Any) -> None:
    """The other acceptors restart, campaign, and the old leader is asked meanwhile."""
    s.ask("n0", value="old")
    s.run(0.1)
    s.isolate("n0")
    for name in ("n1", "n2"):
        s.crash(name)
        s.restart(name)
    s.step("n1", "campaign")
    s.run(0.03)
    s.ask("n1", value="new")
    s.run(0.05)
    s.ask("n0", "get", session=2)
    s.run(0.05)


def test_an_acceptor_that_restarts_waits_a_lease_before_it_answers(stage: Callable[..., Any]) -> None:
    assert invariant_broken(lambda: restarted(settled(stage, LEASED, mutant=ForgetsItsGrant))) == (
        "a pause between Granted and Promise"
    )
    alone = settled(stage, LEASED, mutant=ForgetsItsGrant)
    alone.cluster.watch_only(lambda i: isinstance(i, MultiPaxosSafety))
    assert invariant_broken(lambda: restarted(alone)) == "a read sees acknowledged writes"
    s = settled(stage, LEASED)
    restarted(s)
    assert s.replies[-1].value == "old"
    s.heal()
    s.run(3.0)
    s.ask("n1", "get", session=3)
    s.run(0.3)


def drifting(stage: Callable[..., Any], drift: float) -> None:
    s = settled(stage, MultiPaxos(nodes=3, lease=0.4, drift=0.05))
    s.cluster.hosts["n0"].set_clock(drift=-drift)  # the leader's clock is slow, the others' are fast
    for name in ("n1", "n2"):
        s.cluster.hosts[name].set_clock(drift=drift)
    isolated_leader(s)


def test_leases_bear_the_stated_drift_and_no_more(stage: Callable[..., Any]) -> None:
    drifting(stage, 0.05)
    assert invariant_broken(lambda: drifting(stage, 0.6)) == "a read sees acknowledged writes"


# Batches and the window


def test_commands_that_come_together_share_a_slot(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, batch=8, linger=0.005))
    start = s.now
    for session in range(16):
        s.ask("n0", "increment", 1, session=session)
    s.run(0.04)
    assert len(s.replies) == 16
    assert Counter(m[0] for m in s.messages(since=start))["Accept"] == 2 * 2  # two slots, two followers
    s.ask("n0", "increment", 1, session=1)
    s.run(0.06)
    assert s.replies[-1].result == 17
    assert s.client.answered[-1] - s.client.answered[-2] > 4 * DELTA + 0.004  # alone, it waits for more
    s.finish()


def test_no_more_slots_are_open_than_the_window_has(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, window=2))
    start = s.now
    for session in range(6):
        s.ask("n0", value=session, session=session)
    s.run(0.1)
    sent = Counter(round((m[3] - start) / DELTA) for m in s.messages(since=start) if m[0] == "Accept")
    assert sent == {1: 4, 3: 4, 5: 4}  # two slots at a time, to two followers each, every two delays
    assert len(s.replies) == 6


def test_what_waits_for_the_window_goes_together(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, window=1, batch=10))
    for session in range(6):
        s.ask("n0", value=session, session=session)
    s.run(0.2)
    assert s.node("n0").applied == 2
    assert len(s.replies) == 6


# Compaction


def test_the_log_stays_short_and_a_lagging_replica_gets_the_snapshot(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=10, retain=3))
    s.crash("n2")
    for session in range(40):
        s.ask("n0", "increment", 1, session=session)
        s.run(0.01)
    s.run(0.1)
    assert len(s.node("n0").votes) <= 13
    s.restart("n2")
    s.run(0.3)
    assert s.node("n2").store.application.data == {"x": 40}
    assert [e[1] for e in s.events("snapshot")] == ["n2"]
    s.finish()


def test_a_replica_that_lags_a_little_learns_from_the_log(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=10))
    for session in range(25):
        if session == 12:
            s.crash("n2")
        s.ask("n0", "increment", 1, session=session)
        s.run(0.02)
    s.restart("n2")
    s.run(0.3)
    assert s.node("n2").store.application.data == {"x": 25}
    assert not s.events("snapshot")


def lagging_candidate(s: Any) -> None:
    """n2 knows nothing, the others have deleted what it would ask for, and it campaigns."""
    s.isolate("n2")
    for session in range(12):
        s.ask("n0", "increment", 1, session=session)
        s.run(0.02)
    s.crash("n0")
    s.heal()
    s.step("n2", "campaign")
    s.run(0.2)
    s.ask("n2", "increment", 1, session=20)
    s.run(0.3)


def test_a_candidate_that_lags_behind_the_log_gets_the_snapshot_first(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=3, retain=0))
    lagging_candidate(s)
    assert s.node("n2").role == "leader"
    assert s.replies[-1].result == 13
    assert [e[1] for e in s.events("snapshot")] == ["n2"]
    s.finish()


def test_a_snapshot_that_reaches_a_leader_makes_it_forget_the_covered_slots(
    stage: Callable[..., Any],
) -> None:
    """Its open slots were chosen by others: it neither asks for them again nor counts them in its window."""
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=2, retain=0, window=2))
    s.isolate("n0")
    for session in (1, 2):
        s.ask("n0", "increment", 1, session=session)
    s.run(0.02)
    assert s.node("n0").open.keys() == {1, 2}
    s.step("n1", "campaign")
    s.run(0.03)
    for session in (3, 4, 5):
        s.ask("n1", "increment", 1, session=session)
        s.run(0.04)
    index, state = s.node("n1").snapshot
    assert index == 2
    s.step("n0", "on_install_snapshot", "n1", InstallSnapshot(index, state))
    assert s.node("n0").role == "leader"
    assert not s.node("n0").open
    s.run(0.2)  # its heartbeats
    s.heal()
    s.run(1.0)
    assert s.node("n0").store.application.data == {"x": 3}
    s.finish()


def test_slots_that_a_new_leader_knew_to_be_chosen_may_be_compacted_while_they_are_proposed_again(
    stage: Callable[..., Any],
) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=3, retain=0, heartbeat=0.2, detection=2.0))
    s.isolate("n2")
    s.ask("n0", value=1, session=1)
    s.run(0.015)
    s.heal()
    for session in (2, 3, 4):
        if session == 4:
            s.cluster.network.cut([("n0", "n1")])  # n1 does not hear that slot 3 was chosen
        s.ask("n0", value=session, session=session)
        s.run(0.04)
    assert (s.node("n2").applied, s.node("n2").chosen, s.node("n1").applied) == (0, {2, 3}, 2)
    s.crash("n0")
    s.cluster.network.hold(
        lambda src, dst, msg: dst == "n2" and src != "n2" and isinstance(msg, Accepted) and msg.slot > 1
    )
    s.step("n2", "campaign")
    s.run(0.05)
    assert (s.node("n2").role, s.node("n2").compacted) == ("leader", 3)
    s.run(0.5)  # its heartbeats send again what is open
    s.cluster.network.release()
    s.run(0.5)
    assert (s.node("n2").applied, s.node("n1").applied) == (4, 4)
    s.finish()


def test_mp4_a_deleted_slot_taken_for_a_free_one_is_caught(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=3, retain=0), mutant=DeletesAndForgets)
    assert invariant_broken(lambda: lagging_candidate(s)) == "P2c"


def test_a_replica_restarts_from_its_snapshot_sessions_included(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, snapshot_every=4, retain=0))
    for session in range(9):
        s.ask("n0", "increment", 1, session=session)
        s.run(0.05)
    for name in ("n0", "n1", "n2"):
        s.crash(name)
        s.restart(name)
    assert s.node("n0").applied >= 8
    s.run(3.0)
    leader = next(n for n in ("n0", "n1", "n2") if s.node(n).role == "leader")
    s.ask_again(leader, "increment", 1, session=0)
    s.run(0.1)
    assert (s.replies[-1].session, s.replies[-1].result) == (0, 1)


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lease": 0.6, "heartbeat": 0.05, "detection": 0.5}, "longer than the detection timeout of 0.5"),
        ({"lease": 0.49, "drift": 0.1, "heartbeat": 0.05, "detection": 0.5}, "longer than the detection"),
        ({"lease": 0.05, "heartbeat": 0.05, "detection": 0.5}, "before it is renewed"),
        ({"batch": 4}, "batch=4 never fills"),
        ({"linger": 0.1}, "batch=1 allows none"),
        ({"retain": 5}, "needs snapshot_every"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiPaxos(**settings)


def test_a_lease_too_long_for_times_that_are_derived_from_the_network_is_refused_with_the_scenario() -> None:
    far = constant(0.2)  # round trips of 0.4 s: a heartbeat of 0.4 s, detection after 4 s
    with pytest.raises(ValueError, match=r"a lease of 5.0 s.* is longer than the detection timeout of 4.0 s"):
        Scenario(system=MultiPaxos(lease=5.0), network=far)
    with pytest.raises(ValueError, match=r"a lease of 3.9 s, 4.31\d* s under a drift of 0.05, is longer"):
        Scenario(system=MultiPaxos(lease=3.9, drift=0.05), network=far)
    with pytest.raises(
        ValueError, match=r"a lease of 0.3 s.* before it is renewed by a heartbeat every 0.4 s"
    ):
        Scenario(system=MultiPaxos(lease=0.3), network=far)
    assert "UNSAFE" in Scenario(system=MultiPaxos(lease=5.0, unsafe=True), network=far).system.label


# Thrifty sends

QUIET = {"heartbeat": 10.0, "detection": 100.0}
GRID = {"nodes": 6, "phase1": Columns(2, 3), "phase2": Rows(2, 3)}


@pytest.mark.parametrize(
    ("quorums", "asked"),
    [
        ({"nodes": 1}, 0),
        ({"nodes": 3}, 1),
        ({"nodes": 5}, 2),
        ({"nodes": 9}, 4),
        ({"nodes": 9, "phase1": 7, "phase2": 3}, 2),
        (GRID, 2),
        ({"nodes": 4, "phase1": Weighted((2, 1, 1, 1)), "phase2": Weighted((2, 1, 1, 1))}, 1),
    ],
    ids=str,
)
def test_a_thrifty_write_costs_two_messages_for_each_other_member_of_one_quorum(
    stage: Callable[..., Any], quorums: dict[str, Any], asked: int
) -> None:
    s = settled(stage, MultiPaxos(thrifty=True, **QUIET, **quorums))
    start = s.now
    s.ask("n0", value=1)
    s.run(0.2)
    assert [reply.status for reply in s.replies] == ["ok"]
    assert s.client.answered[0] - start == pytest.approx((4 if asked else 2) * DELTA)
    assert Counter(m[0] for m in s.messages(since=start)) == (
        {"Accept": asked, "Accepted": asked} if asked else {}
    )


def test_a_thrifty_leader_asks_the_others_after_two_to_three_heartbeats_and_then_a_quorum_that_answers(
    stage: Callable[..., Any],
) -> None:
    s = settled(stage, MultiPaxos(nodes=5, thrifty=True))
    s.crash("n1")
    start = s.now
    s.ask("n0", value=1)
    s.run(0.2)
    assert 2 * 0.05 <= s.client.answered[0] - start <= 3 * 0.05 + 4 * DELTA
    assert s.node("n0").first_asked == ("n2", "n3")
    start = s.now
    s.ask("n0", value=2, session=2)
    s.run(5 * DELTA)
    assert s.client.answered[1] - start == pytest.approx(4 * DELTA)


def test_acceptors_that_a_thrifty_leader_does_not_ask_learn_what_was_chosen(
    stage: Callable[..., Any],
) -> None:
    s = settled(stage, MultiPaxos(nodes=5, thrifty=True))
    s.ask("n0", value=1)
    s.run(0.2)
    assert [s.node(f"n{i}").applied for i in range(5)] == [1] * 5
    assert Counter(m[0] for m in s.messages())["Learned"] == 2


class AsksNoOther(FullMultiPaxosNode):
    """A proposal without a quorum of votes is sent again to those only that were asked."""

    def ask_again(self, slot: int, voters: set[str]) -> None:
        again = Accept(self.ballot, slot, self.votes[slot].command, self.applied)
        self.broadcast(again, to=[name for name in self.first_asked if name not in voters], hold=False)


@dataclass(frozen=True, kw_only=True)
class WithoutFallback(MultiPaxos):
    thrifty: bool = True

    @property
    def replica_class(self) -> Any:
        return AsksNoOther


def test_a_thrifty_leader_without_fallback_makes_no_progress_when_one_of_its_quorum_is_down() -> None:
    scenario = Scenario(
        system=WithoutFallback(nodes=3),
        network=constant(DELTA),
        workload=ClosedLoop(clients=1, reads=0.0),
        faults=[Crash("n1", at=1.0)],
        duration=4.0,
    )
    for system, lives in ((WithoutFallback(nodes=3), False), (MultiPaxos(nodes=3, thrifty=True), True)):
        answered = replace(scenario, system=system).run(seed=1).operations
        assert bool((answered["returned"] > 2.0).any()) == lives


# Storms

VARIANTS = (
    {"lease": 0.4},
    {"window": 2, "batch": 4},
    {"batch": 8, "linger": 0.002},
    {"snapshot_every": 5, "retain": 0},
    {"snapshot_every": 5, "retain": 2, "lease": 0.3, "window": 3, "batch": 3},
    {"thrifty": True},
    {"thrifty": True, **GRID},
    {"thrifty": True, "snapshot_every": 5, "retain": 0, "lease": 0.3, "window": 3},
)


@storms(2, 1.5, longer=4.0)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_option_is_safe_in_every_storm(variant: dict[str, Any], seeds: range, length: float) -> None:
    for seed in seeds:
        survive(MultiPaxos(**{"nodes": 3 + 2 * (seed % 2), **variant}), seed, length)
