"""Raft with damaged disks (Alagappan et al., FAST 2018): the sentences of its rule, storms, and mutants of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.faults import Crash, DamagedDisk, Fault
from sim.kernel import Streams
from sim.lab import Scenario, draw_storm, run_storm
from sim.network.topology import constant
from sim.protocols import Raft, ShardedRaft
from sim.protocols.admin import Leave, Reconfigure
from sim.protocols.consensus.raft.extensions.damage import DamagedDisks, RecoverLog, RecoverLogReply
from sim.protocols.consensus.raft.extensions.elections import PreVote, TimeoutNow, TransferVote
from sim.protocols.consensus.raft.node import AppendEntries, AppendEntriesReply, RequestVote
from sim.system import SafetyViolation, System
from sim.testing import survive
from sim.workload import ClosedLoop
from sim.zoo import Mutated


def damage(s: Any, name: str, field: str, record: int = 0) -> None:
    """A crashed server's disk loses a record: a value, or the item of a log and all that follow."""
    host = s.cluster.hosts[name]
    image = host.disk._image
    places = [
        (f, at)
        for f, value in image.items()
        for at in (range(len(value)) if isinstance(value, list) else [0])
    ]
    host.disk.damage((places.index((field, record)) + 0.5) / len(places), s.system.copies_on_disk)


def damaged(stage: Any, record: int = 1, *, mutant: Any = None, **options: Any) -> Any:
    """n0 leads, and n0 and n1 have three entries that n2 lacks; n1 boots without those from ``record`` (0-based) on."""
    s = stage(system=Raft(nodes=3, damage=True, **options), mutant=mutant)
    s.campaign("n0")
    s.partition(["n0", "n1"], ["n2"])
    for _ in range(3):
        s.ask("n0")
        s.settle()
    s.crash("n1")
    damage(s, "n1", "log", record)
    s.restart("n1")
    return s


def answer_of(s: Any, message: Any, src: str = "n2", dst: str = "n1") -> Any:
    """What ``dst`` sends back to ``src`` when it gets a message."""
    s.heal()
    s.hold(src=dst, dst=src)
    s.deliver(src, dst, message)
    s.run(0.01)
    (held,) = s.held
    return held.message


# 1. Two copies of term and vote


@pytest.mark.parametrize("field", ["current_term", "voted_for", "metainfo"])
def test_a_damaged_copy_of_term_and_vote_is_restored_from_the_other(stage: Any, field: str) -> None:
    s = stage(system=Raft(nodes=3, damage=True))
    s.campaign("n0")
    s.crash("n1")
    damage(s, "n1", field)
    s.restart("n1")
    node = s.node("n1")
    assert node.disk_damaged == (field,)
    assert (node.current_term, node.voted_for) == node.metainfo == (1, "n0")
    assert not node.recovering
    assert not answer_of(s, RequestVote(1, "n2", 9, 1)).granted  # it has voted in this term


@pytest.mark.parametrize("field", ["current_term", "voted_for"])
def test_a_server_that_finds_both_copies_damaged_does_not_take_part(stage: Any, field: str) -> None:
    s = stage(system=Raft(nodes=3, damage=True))
    s.campaign("n0")
    s.crash("n1")
    for name in (field, "metainfo"):
        del s.cluster.hosts["n1"].disk._image[name]
    s.cluster.hosts["n1"].disk._found = (field, "metainfo")
    s.cluster.hosts["n1"].disk._kept_then = s.cluster.hosts["n1"].disk._writes_kept()
    with pytest.raises(RuntimeError, match=f"n1: {field} and its copy are damaged, so it cannot know how it"):
        s.restart("n1")


def test_faults_leave_one_copy_intact(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, damage=True))
    s.campaign("n0")
    s.crash("n1")
    for name in ("metainfo", "current_term", "voted_for"):
        damage(s, "n1", name)
    s.restart("n1")
    assert s.node("n1").disk_damaged == ("metainfo",)
    assert s.node("n1").metainfo == (1, "n0")


# 2. What a server does, and does not, while it recovers


def test_a_damaged_server_grants_no_vote_no_pre_vote_and_none_for_a_transfer(stage: Any) -> None:
    for request in (RequestVote(2, "n2", 9, 1), TransferVote(2, "n2", 9, 1), PreVote(2, "n2", 9, 1)):
        s = damaged(stage, pre_vote=True, transfer=True)
        s.silence()
        assert not answer_of(s, request).granted
    whole = stage(system=Raft(nodes=3, damage=True))
    assert answer_of(whole, RequestVote(2, "n2", 9, 1)).granted


def test_a_damaged_server_does_not_campaign_not_even_when_told_to(stage: Any) -> None:
    for options in ({"pre_vote": True}, {}):
        s = damaged(stage, transfer=True, **options)
        term = s.node("n1").current_term
        s.campaign("n1")
        s.deliver("n0", "n1", TimeoutNow(term))
        s.settle()
        assert (s.node("n1").role, s.node("n1").current_term) == ("follower", term)
        assert s.messages("RequestVote") == [("n0", "n1"), ("n0", "n2")]


def test_a_damaged_server_follows_and_acknowledges_what_it_holds(stage: Any) -> None:
    s = damaged(stage)
    (first,) = s.node("n1").entries
    assert answer_of(s, AppendEntries(1, "n0", 1, first.term, (), 0), src="n0") == AppendEntriesReply(
        1, True, 1
    )
    assert s.node("n1").leader == "n0"


def test_the_flag_survives_crashes(stage: Any) -> None:
    s = damaged(stage)
    for _ in range(2):
        s.crash("n1")
        s.restart("n1")
        assert s.node("n1").disk_damaged == ()
        assert s.node("n1").recovering


def test_a_crash_before_the_flag_is_on_disk_leaves_the_damage_to_the_next_boot(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, damage=True), fsync=0.01)
    s.campaign("n0")
    s.crash("n1")
    damage(s, "n1", "log")
    s.restart("n1")
    s.run(0.005)
    s.cluster.crash("n1", power=True)
    s.restart("n1")
    assert s.node("n1").disk_damaged == ("log",)
    assert s.node("n1").recovering
    s.settle()
    s.crash("n1")
    s.restart("n1")
    assert s.node("n1").disk_damaged == ()
    assert s.node("n1").recovering


def test_damage_of_the_flag_itself_counts_as_damage_of_the_log(stage: Any) -> None:
    s = damaged(stage)
    s.crash("n1")
    damage(s, "n1", "recovering")
    s.restart("n1")
    assert s.node("n1").recovering


# 3. Until when


def recover(s: Any, name: str = "n1") -> None:
    """A server hears its leader, and asks it."""
    s.heartbeat("n0")
    s.step(name, "on_recover_timeout")
    s.settle()


def test_the_flag_is_cleared_when_the_log_matches_what_the_leader_has_given_since_the_boot(
    stage: Any,
) -> None:
    s = damaged(stage)
    recover(s)
    assert not s.node("n1").recovering
    assert s.logs()["n1"] == s.logs()["n0"]
    assert answer_of(s, RequestVote(2, "n2", 9, 1)).granted
    assert [event[1] for event in s.events("recovering") + s.events("recovered")] == ["n1", "n1"]


def test_an_append_entries_from_before_the_boot_clears_no_flag(stage: Any) -> None:
    s = damaged(stage)
    first = s.node("n0").entry_at(1)
    s.deliver("n0", "n1", AppendEntries(1, "n0", 0, 0, (first,), 1))
    s.settle()
    assert s.node("n1").recovering


def test_the_answer_to_an_earlier_boot_clears_no_flag(stage: Any) -> None:
    s = damaged(stage)
    first = s.node("n0").entry_at(1)
    s.deliver("n0", "n1", RecoverLogReply(1, 0, 1))
    s.deliver("n0", "n1", AppendEntries(1, "n0", 0, 0, (first,), 1))
    s.settle()
    assert s.node("n1").recovering


def test_the_answer_of_a_leader_of_an_earlier_term_clears_no_flag(stage: Any) -> None:
    s = damaged(stage)
    s.deliver("n2", "n1", RequestVote(5, "n2", 0, 0))
    s.deliver("n0", "n1", RecoverLogReply(1, 1, 1))
    assert (s.node("n1").goal, s.node("n1").recovering) == (None, True)


def test_a_goal_counts_for_the_leader_that_has_given_it(stage: Any) -> None:
    """n1 matches a later leader as far as the earlier one has said, and not as far as the later one has."""
    s = damaged(stage)
    s.deliver("n0", "n1", RecoverLogReply(1, 1, 1))
    s.deliver("n0", "n1", AppendEntries(3, "n0", 1, 1, (), 1))
    assert s.node("n1").recovering
    s.deliver("n0", "n1", RecoverLogReply(3, 1, 1))
    assert not s.node("n1").recovering


# 4. The leader


def test_the_leader_tracks_the_server_again_and_once_more_after_a_late_acknowledgement(stage: Any) -> None:
    s = damaged(stage)
    leader = s.node("n0")
    assert leader.match_index["n1"] == 4
    s.heartbeat("n0")
    assert s.node("n1").last_index() == 1  # its rejections are taken for old ones
    s.cut(["n0"], ["n1"])
    s.step("n1", "on_recover_timeout")
    s.settle()
    assert (leader.match_index["n1"], leader.next_index["n1"]) == (0, 2)
    s.deliver("n1", "n0", AppendEntriesReply(1, True, 4))
    s.heal()
    s.heartbeat("n0")
    assert s.node("n1").last_index() == 1
    recover(s)
    assert s.node("n1").last_index() == 4


def test_only_a_leader_answers_and_a_leader_of_an_earlier_term_steps_down(stage: Any) -> None:
    s = damaged(stage)
    s.deliver("n1", "n2", RecoverLog(1, 1, 1))
    s.settle()
    assert s.messages("RecoverLogReply") == []
    s.deliver("n1", "n0", RecoverLog(7, 1, 1))
    assert (s.node("n0").role, s.node("n0").current_term) == ("follower", 7)


# With the other extensions


@pytest.mark.parametrize("field", ["log", "snapshot", "beginning"])
@pytest.mark.parametrize("entries", [3, 12])
def test_a_server_recovers_from_damage_of_its_log_its_snapshot_and_where_the_log_begins(
    stage: Any, field: str, entries: int
) -> None:
    s = stage(system=Raft(nodes=3, damage=True, snapshot_every=4))
    s.campaign("n0")
    for _ in range(entries):
        s.ask("n0")
        s.settle()
    s.crash("n1")
    damage(s, "n1", field)
    s.restart("n1")
    node = s.node("n1")
    assert node.recovering
    assert node.last_applied <= node.last_index()
    recover(s)
    recover(s)
    assert not s.node("n1").recovering
    assert s.node("n1").store.snapshot() == s.node("n0").store.snapshot()
    s.finish()


def test_too_few_voters_are_refused(stage: Any) -> None:
    with pytest.raises(
        ValueError, match="damage=True needs at least 3 nodes, not 2: without the server that"
    ):
        Raft(nodes=2, damage=True)
    assert Raft(nodes=2, damage=True, unsafe=True).damage
    s = stage(system=Raft(nodes=3, damage=True, membership="joint"))
    s.campaign("n0")
    for request in (Leave("n2"), Reconfigure(("n0", "n1"))):
        s.admin("n0", request)
        assert s.client.admin[-1].reason.startswith("at least 3 servers must vote")
    assert s.node("n0").config.voters == ("n0", "n1", "n2")


def test_what_the_system_says_of_its_fault_model() -> None:
    assert not Raft().disks_may_be_damaged
    assert Raft().copies_on_disk == ()
    assert Raft(damage=True).disks_may_be_damaged
    assert [Raft(nodes=n, damage=True).max_gone for n in (3, 5, 7)] == [0, 1, 2]
    assert ShardedRaft(group=Raft(nodes=3, damage=True)).disks_may_be_damaged


# Storms


def blows(system: System, seed: int) -> list[Fault]:
    """One to three restarts of one member, which finds damage each time."""
    stream = Streams(seed)["blows"]
    drawn = (f.target for f in draw_storm(system, seed).faults if isinstance(f, DamagedDisk))
    victim = next(drawn, stream.choice([m.name for m in system.members() if not m.off]))
    faults: list[Fault] = []
    for k in range(1 + stream.below(3)):
        at, down = stream.uniform(0.3, 1.4), stream.choice((0.01, 0.05, 0.3))
        faults += [DamagedDisk(victim, at=at, name=f"{k}.{j}") for j in range(1 + stream.below(2))]
        faults.append(Crash(victim, at=at, down=down, name=f"{k}"))
    return faults


def weathered(system: System, seeds: range) -> int:
    """How often a server has found its log damaged in these storms, which it survives."""
    runs = [survive(system, seed, 1.5, faults=blows(system, seed)) for seed in seeds]
    return sum(int((run.events.event == "recovering").sum()) for run in runs)


def test_it_is_safe_in_storms_and_goes_on_after_them() -> None:
    assert weathered(Raft(nodes=3, damage=True), range(5)) > 2
    assert weathered(Raft(damage=True), range(5, 9)) > 2


@pytest.mark.nightly
@pytest.mark.parametrize(
    "system",
    [
        Raft(nodes=3, damage=True),
        Raft(damage=True),
        Raft(nodes=3, damage=True, reads="lease", snapshot_every=5),
        Raft(nodes=3, damage=True, reads="leaseguard", snapshot_every=5),
        Raft(nodes=3, damage=True, membership="joint", spares=2, transfer=True),
        ShardedRaft(group=Raft(nodes=3, damage=True), groups=2),
    ],
    ids=lambda system: system.label,
)
def test_it_is_safe_in_many_storms(system: System) -> None:
    assert weathered(system, range(1000, 1030)) > 20


# Mutants


def change(**methods: Callable[..., Any]) -> Callable[[type], type]:
    """A mutant maker: the class with some methods replaced."""
    return lambda cls: type("Mutant", (cls,), methods)


def elects_without_its_entries(s: Any) -> str:
    """n0 is gone, and n2, which lacks entries that n0 and n1 have committed, wants to lead: what breaks."""
    s.crash("n0")
    s.heal()
    s.campaign("n2")
    return str(s.node("n2").role)


def test_an_intact_majority_elects_no_leader_without_committed_entries(stage: Any) -> None:
    assert elects_without_its_entries(damaged(stage)) == "candidate"


def leave_out(s: Any, invariants: set[str]) -> None:
    """Do not ask these, where they catch a mutant first."""
    s.cluster.watch_only(lambda invariant: invariant.title not in invariants)


CATCHES = ("a damaged server does not vote", "leader completeness")
VOTES = {
    "goes on as if nothing had happened": change(begin_recovery=lambda self: None),
    "votes while it recovers": change(is_up_to_date=lambda self, *last: True),
}


@pytest.mark.parametrize("mutant", VOTES.values(), ids=VOTES)
@pytest.mark.parametrize("invariant", CATCHES)
def test_a_damaged_server_that_votes_is_caught(stage: Any, mutant: Any, invariant: str) -> None:
    s = damaged(stage, mutant=mutant)
    leave_out(s, set(CATCHES) - {invariant})
    with pytest.raises(SafetyViolation, match=f"^{invariant}"):
        elects_without_its_entries(s)


def test_a_flag_that_an_old_append_entries_clears_is_caught(stage: Any) -> None:
    def trusts_what_matches(self: Any) -> None:
        self.goal = self.matched
        DamagedDisks.end_if_recovered(self)

    for invariant in CATCHES:
        s = damaged(stage, mutant=change(end_if_recovered=trusts_what_matches))
        leave_out(s, set(CATCHES) - {invariant})
        first = s.node("n0").entry_at(1)
        s.deliver("n0", "n1", AppendEntries(1, "n0", 0, 0, (first,), 1))
        assert not s.node("n1").recovering
        with pytest.raises(SafetyViolation, match=f"^{invariant}"):
            elects_without_its_entries(s)


def test_an_acknowledgement_counts_although_damage_has_taken_the_entry_since(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, damage=True))
    s.campaign("n0")
    s.partition(["n0", "n1"], ["n2"])
    s.hold(kind="AppendEntriesReply", src="n1")
    s.ask("n0")
    s.settle()
    s.crash("n1")
    damage(s, "n1", "log", 1)
    s.restart("n1")
    s.release()
    s.settle()
    assert (s.node("n0").commit_index, s.node("n1").last_index()) == (2, 1)
    assert elects_without_its_entries(s) == "candidate"


def test_a_damaged_server_counts_for_no_more_than_it_has_acknowledged(stage: Any) -> None:
    s = damaged(stage)
    leader = s.node("n0")
    leader.replicated_index = leader.last_index
    s.cut(["n0"], ["n1"])
    s.ask("n0")
    assert s.invariant_broken() == "commit rule"


def test_a_vote_counts_when_a_crash_has_lost_the_acknowledgement_of_what_came_back(stage: Any) -> None:
    s = damaged(stage)
    first, *rest = s.node("n0").entries
    s.isolate("n1")
    s.deliver("n0", "n1", RecoverLogReply(1, 1, 4))
    s.deliver("n0", "n1", AppendEntries(1, "n0", 1, first.term, tuple(rest), 4))
    assert not s.node("n1").recovering
    s.cluster.invariants[0].servers["n1"].acknowledged.clear()  # as if the crash had come before it left
    s.crash("n1")
    s.restart("n1")
    assert answer_of(s, RequestVote(2, "n2", 9, 1)).granted


FORGETS = {
    ("current_term", "terms never fall"): {"durable before send"},
    ("current_term", "a restart takes nothing back"): {"terms never fall"},
    ("voted_for", "one vote per server and term"): {"durable before send"},
    ("voted_for", "a restart takes nothing back"): set(),
}
"""The field that is damaged, and what catches it, without what would catch it first."""


@pytest.mark.parametrize(("field", "invariant"), FORGETS)
def test_one_copy_of_term_and_vote_is_caught(stage: Any, field: str, invariant: str) -> None:
    s = stage(system=Raft(nodes=3, damage=True), mutant=change(restore_metainfo=lambda self: None))
    s.campaign("n0")
    leave_out(s, FORGETS[field, invariant])
    s.crash("n1")
    damage(s, "n1", field)

    def restart_and_vote() -> None:
        s.restart("n1")
        s.deliver("n2", "n1", RequestVote(1, "n2", 9, 1))

    assert s.invariant_broken(restart_and_vote) == invariant


class NeverTracksAgain(DamagedDisks):
    """The leader believes what the server had acknowledged before its disk was damaged."""

    def track_again(self, follower: str, last_log_index: int) -> None:
        pass


class StandsStill(Mutated, Raft):
    mutated_nodes = (NeverTracksAgain,)


@pytest.mark.parametrize("system", [Raft, StandsStill])
def test_a_leader_that_does_not_track_the_server_again_is_caught(system: Any) -> None:
    scenario = Scenario(
        system=system(nodes=3, damage=True),
        network=constant(0.002),
        workload=ClosedLoop(clients=1, think=0.01),
        faults=[DamagedDisk("n1", at=1.0), Crash("n1", at=1.0, down=0.05)],
        duration=1.2,
        check=True,
    )
    run = run_storm(scenario, 1)
    assert (run.events.event == "recovering").sum() == 1
    broken = run.violation and run.violation.invariant
    assert broken == (None if system is Raft else "progress after healing")
