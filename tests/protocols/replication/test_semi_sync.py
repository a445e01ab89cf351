"""Semi-synchronous primary-backup: k acknowledgements, fall-back, promotion of the most advanced; and snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from sim.cluster import Cluster
from sim.network.topology import matrix
from sim.protocols.client import Reply
from sim.protocols.replication.primary_backup.log_shipping import InstallSnapshot
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode, Unreplicated
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.system import SafetyViolation
from sim.zoo.primary_backup import FallsBackSilently

SEMI = PrimaryBackup(nodes=3, mode="semi-sync", acks=1)


def results(s: Any, sequence: int) -> list[Any]:
    return [r.result for _, _, r in s.client.heard_of(Reply) if r.sequence == sequence]


# Costs


@pytest.mark.parametrize("acks", [1, 2, 3, 4])
def test_a_write_waits_for_the_k_th_fastest_backup(stage: Any, acks: int) -> None:
    """Backups at 1, 2, 3 and 4 ms one way; the client at 10 ms from the primary's place."""
    places = ["home", "b1", "b2", "b3", "b4", "far"]
    delays = [
        [0.0 if a == b else 0.001 * max(i, j) for j, b in enumerate(places)] for i, a in enumerate(places)
    ]
    delays[0][5] = delays[5][0] = 0.010
    s = stage(PrimaryBackup(nodes=5, mode="semi-sync", acks=acks, service_at="n1"))
    cluster = Cluster(matrix(places, delays), checking=True)
    for member, place in zip(s.system.members(), [*places[:5], "b1"], strict=True):
        cluster.add(member, place=place, settings=s.system)
    cluster.add(s.cluster.hosts["client"].member, place="far")
    cluster.watch(s.system.invariants())
    cluster.boot()
    s.cluster = cluster
    s.run(0.1)
    assert s.latency("n0") * s.delta == pytest.approx(2 * 0.010 + 2 * 0.001 * acks)


@pytest.mark.parametrize("acks", [1, 2])
def test_semi_sync_costs_four_delays_and_as_many_messages_as_sync(stage: Any, acks: int) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="semi-sync", acks=acks))
    s.run(0.01)
    asked = s.now
    assert s.latency("n0") == pytest.approx(4)
    s.run(0.01)
    between = [m for m in s.sent(since=asked) if m[1].startswith("n") and m[2].startswith("n")]
    assert len(between) == 4
    assert s.latency("n0", "get") == pytest.approx(4)


# Failover


def test_one_dead_backup_holds_nothing_up(stage: Any) -> None:
    s = stage(SEMI)
    s.crash("n2")
    assert s.latency("n0") == pytest.approx(4)


def test_too_few_backups_hold_writes_up_until_one_is_back(stage: Any) -> None:
    s = stage(SEMI)
    s.crash("n1", "n2")
    write = s.ask("n0")
    s.run(2.0)
    assert not s.answered(write)
    s.restart("n2")
    s.run(0.5)
    assert s.answered(write)


@pytest.mark.parametrize("ahead", ["n1", "n2"])
def test_the_most_advanced_backup_is_promoted(stage: Any, ahead: str) -> None:
    behind = "n1" if ahead == "n2" else "n2"
    s = stage(SEMI)
    s.run(0.02)
    s.cut(["n0"], [behind])
    write = s.ask("n0")
    s.run(0.01)
    assert s.answered(write)
    s.crash("n0")
    s.run(1.0)
    assert s.views()[0][1] == ahead
    read = s.ask(ahead, "get")
    s.run(0.02)
    assert s.answers(read) == [write]
    s.finish()


def test_no_backup_is_promoted_while_an_acknowledged_write_may_be_elsewhere(stage: Any) -> None:
    """The write is on n0 and n1 only; both die, and n2 alone must not lead. n1 comes back, and does."""
    s = stage(SEMI)
    s.run(0.02)
    s.cut(["n0"], ["n2"])
    write = s.ask("n0")
    s.run(0.01)
    assert s.answered(write)
    s.crash("n0", "n1")
    s.heal()
    s.run(2.0)
    assert all(primary != "n2" for _, primary, _ in s.views())
    s.restart("n1")
    s.run(1.0)
    read = s.ask("n1", "get")
    s.run(0.1)
    assert s.answers(read) == [write]


def test_a_backup_that_answers_after_a_silence_is_not_passed_over(stage: Any) -> None:
    """Found by a storm: the service hears n0's answer before it hears a ping of it again."""
    s = stage(PrimaryBackup(nodes=5, mode="semi-sync", acks=2))
    s.run(0.02)
    s.isolate(["n0", "n1", "n3"], ["n2", "n4"])
    s.cut(["n0", "n1", "n3"], ["views"])
    write = s.ask("n0")
    s.run(0.5305)  # the service has just asked; the pings of this heartbeat are lost
    assert s.answered(write)
    s.heal()
    s.run(0.02)
    assert s.node("views").view.number == 2
    read = s.ask(s.node("views").view.primary, "get")
    s.run(0.1)
    assert s.answers(read) == [write]


def test_one_that_was_sealed_and_comes_back_is_promoted_without_being_asked_again(stage: Any) -> None:
    """Found by a storm: all had been sealed, but not all were alive when the last of them was."""
    s = stage(SEMI)
    s.crash("n0", "n2")
    s.run(0.6)
    s.isolate(["n1"], ["views"])
    assert s.node("views").sealed.keys() == {"n1"}
    s.run(0.6)
    s.restart("n2")
    s.run(0.2)
    assert (s.node("views").sealed.keys(), s.node("views").view.number) == ({"n1", "n2"}, 1)
    s.heal()
    s.run(0.3)
    write = s.ask(s.node("views").view.primary)
    s.run(0.02)
    assert s.answered(write)


def test_sealed_backups_obey_the_old_primary_no_more(stage: Any) -> None:
    s = stage(SEMI)
    s.isolate(["n0"], ["views"])
    s.run(0.7)
    assert s.node("views").view.number == 2
    write = s.ask("n0")
    s.run(0.05)
    assert not s.answered(write)
    assert s.node("n0").role == "backup"


def test_a_primary_that_was_only_cut_off_from_the_service_has_no_extra_entries(stage: Any) -> None:
    """It may be promoted again: it holds everything, and was sealed like the others."""
    s = stage(SEMI)
    s.run(0.02)
    s.crash("n0")
    s.restart("n0")
    s.run(0.2)
    assert s.node("views").view.number >= 2
    write = s.ask(s.node("views").view.primary)
    s.run(0.05)
    assert s.answered(write)


class PromotesTheFirst(PrimaryBackupNode):
    """Says of its log what makes it look best, whatever it holds (Kafka KIP-966: unclean election)."""

    def on_seal(self, src: str, msg: Any) -> None:
        if self.name == "n2":
            type(self).last = property(lambda self: 10**6)  # type: ignore[assignment,method-assign]
        super().on_seal(src, msg)
        if self.name == "n2":
            del type(self).last


def test_a_backup_that_is_promoted_though_another_is_ahead_loses_writes(stage: Any) -> None:
    s = stage(SEMI, node_class=PromotesTheFirst)
    s.run(0.02)
    s.cut(["n0"], ["n2"])
    s.ask("n0")
    s.run(0.01)
    s.crash("n0")
    with pytest.raises(SafetyViolation, match=r"^acknowledged writes are in every later view"):
        s.run(1.0)


class UnsyncedAcknowledgement(PrimaryBackupNode):
    """PB6: what a backup acknowledged is not on its disk when the power fails (Kafka KIP-966)."""

    def on_append(self, src: str, msg: Any) -> None:
        send, self.send = self.send, lambda dst, m, hold=True: send(dst, m, hold=False)  # type: ignore
        super().on_append(src, msg)
        self.send = send  # type: ignore[method-assign]


def last_member_loses_power(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> None:
    """Of an unsynced tail a crash keeps a random part, so several seeds are tried."""
    for seed in range(4):
        power_failure(stage, seed, node)


def power_failure(stage: Any, seed: int, node: type[PrimaryBackupNode]) -> None:
    """The view shrinks to n0 and n1; a write is on the primary's disk only when the power fails; n1 comes back."""
    s = stage(PrimaryBackup(nodes=3), node_class=node, fsync=0.004, seed=seed)
    s.cluster.watch_only(lambda i: i.title.startswith("acknowledged"))
    s.crash("n2")
    s.run(0.9)
    assert s.node("views").view.members == ("n0", "n1")
    s.ask("n0")
    s.run(0.0055)  # the primary's disk has it since 5 ms, the backup's will have it at 6 ms
    s.crash("n1", "n0")
    s.restart("n1")
    s.run(2.0)
    assert s.node("views").view.primary == "n1"


def test_pb6_the_last_member_lost_what_it_had_not_synced(stage: Any) -> None:
    last_member_loses_power(stage)
    with pytest.raises(SafetyViolation, match=r"^acknowledged writes are in every later view"):
        last_member_loses_power(stage, UnsyncedAcknowledgement)


# Falling back to async

FALLBACK = PrimaryBackup(nodes=3, mode="semi-sync", acks=2, fallback=0.1)


def test_after_the_fallback_time_the_primary_goes_on_alone_and_says_so(stage: Any) -> None:
    s = stage(FALLBACK)
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    assert s.latency("n0") * s.delta == pytest.approx(0.102)
    assert s.latency("n0") == pytest.approx(2)  # it does not wait again
    assert [isinstance(r.result, Unreplicated) for _, _, r in s.client.heard_of(Reply)] == [True, True]


def test_it_asks_for_acknowledgements_again_when_the_backups_have_caught_up(stage: Any) -> None:
    s = stage(FALLBACK)
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    s.latency("n0", "increment", value=1)
    s.heal()
    s.run(0.2)
    assert s.latency("n0", "increment", value=1) == pytest.approx(4)
    first, second = [r.result for _, _, r in s.client.heard_of(Reply)]
    assert (first, second) == (Unreplicated(1), 2)
    assert (
        [e[2]["view"] for e in s.events("fallback")] == [e[2]["view"] for e in s.events("semi-sync")] == [1]
    )


def lost_tail(stage: Any, node: type[PrimaryBackupNode] = PrimaryBackupNode) -> Any:
    s = stage(FALLBACK, node_class=node)
    s.run(0.02)
    kept = s.ask("n0", key="kept")
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    lost = s.ask("n0", key="lost")
    s.run(0.15)
    s.crash("n0")
    s.run(1.0)
    return s, kept, lost


def test_what_a_failover_loses_was_flagged(stage: Any) -> None:
    s, kept, lost = lost_tail(stage)
    acknowledged = {(1, kept): None, (1, lost): None}
    assert s.system.acknowledged_lost(acknowledged, s.cluster.nodes) == 1
    assert results(s, kept) == [None]
    assert results(s, lost) == [Unreplicated()]


def test_pb3_a_fallback_without_a_flag_is_caught(stage: Any) -> None:
    with pytest.raises(SafetyViolation, match=r"^acknowledged writes are in every later view"):
        lost_tail(stage, FallsBackSilently)


def test_a_primary_that_went_on_alone_stops_when_its_lease_ends(stage: Any) -> None:
    s = stage(FALLBACK)
    s.run(0.02)
    s.isolate(["n0"], ["n1", "n2", "views"])
    early = s.ask("n0")
    s.run(0.6)
    late = s.ask("n0")
    s.run(0.5)
    assert (s.answered(early), s.answered(late)) == (True, False)


# Snapshots


@pytest.mark.parametrize("mode", ["sync", "semi-sync", "async"])
def test_one_that_was_away_too_long_for_the_log_gets_a_snapshot(stage: Any, mode: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode=mode, keep=10))
    s.run(0.02)
    s.crash("n2")
    s.run(0.7)
    for _ in range(100):
        s.ask("n0", "increment", value=1)
        s.run(0.005)
    assert s.node("n0").base > 50
    assert len(s.node("n0").log) <= 11
    s.restart("n2")
    s.run(0.5)
    snapshots = [m for m in s.sent() if m[0] == InstallSnapshot.__name__]
    assert [(src, dst) for _, src, dst, _ in snapshots] == [("n0", "n2")]
    assert s.node("views").view.members == ("n0", "n1", "n2")
    assert s.node("n2").store.application.data == {"x": 100}
    s.crash("n0", "n1")
    s.restart("n1")
    s.restart("n2")
    s.run(2.0)
    primary = s.node("views").view.primary
    read = s.ask(primary, "get")
    s.run(0.1)
    assert s.answers(read) == [100]
    s.finish()


def test_an_async_tail_that_is_in_a_snapshot_already_is_taken_back_too(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="async", keep=0))
    s.run(0.02)
    s.ask("n0", key="kept")
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    for _ in range(3):
        s.ask("n0", key="lost")
    s.run(0.02)
    assert s.node("n0").base == 4
    s.crash("n0")
    s.heal()
    s.run(0.7)
    s.restart("n0")
    later = [s.ask("n1", key="later") for _ in range(7)]
    s.run(1.0)
    assert s.node("views").view.members == ("n1", "n2", "n0")
    s.ask("n1", key="last")
    s.run(0.2)
    assert s.node("n0").store.application.data == {"kept": 1, "later": later[-1], "last": later[-1] + 1}
    s.finish()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "semi-sync", "acks": 3}, r"acks must be from 1 to the number of backups \(2\), not 3"),
        ({"fallback": 1.0}, 'fallback=1.0 has an effect with mode="semi-sync" only'),
        ({"staleness": 1.0}, 'staleness=1.0 has an effect with reads="backup" only'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrimaryBackup(**settings)
