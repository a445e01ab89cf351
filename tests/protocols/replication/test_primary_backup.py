"""Primary-backup: what it costs, how it fails over, who may answer."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Redirect, Reply
from sim.protocols.replication.primary_backup.system import PrimaryBackup

# Costs


@pytest.mark.parametrize(("mode", "write", "read"), [("sync", 4, 4), ("async", 2, 2)])
@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_latency_in_message_delays(stage: Any, mode: Any, nodes: int, write: int, read: int) -> None:
    s = stage(PrimaryBackup(nodes=nodes, mode=mode))
    assert s.latency("n0") == pytest.approx(write)  # at the very start: the first view needs no set-up
    s.run(0.01)
    assert s.latency("n0") == pytest.approx(write)
    assert s.latency("n0", "get") == pytest.approx(read)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_messages_of_a_write(stage: Any, mode: Any, nodes: int) -> None:
    s = stage(PrimaryBackup(nodes=nodes, mode=mode))
    s.run(0.01)
    asked = s.now
    s.latency("n0")
    s.run(0.01)
    between = [m for m in s.sent(since=asked) if m[1].startswith("n") and m[2].startswith("n")]
    assert len(between) == 2 * (nodes - 1)
    assert sum(kind == "Append" for kind, *_ in between) == nodes - 1


def test_a_lone_primary_answers_at_once(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=1))
    assert s.latency("n0") == pytest.approx(2)
    assert s.latency("n0", "get") == pytest.approx(2)


def test_a_sync_write_waits_for_the_disks_of_primary_and_backups_at_the_same_time(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3), fsync=0.01, delta=0.001)
    s.run(0.04)
    assert s.latency("n0") == pytest.approx(4 + 10)


# Failover


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_backup_takes_over_and_has_all_that_was_shipped(stage: Any, mode: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode=mode))
    written = [s.ask("n0", "append", value="a") for _ in range(3) if not s.run(0.01)]
    s.run(0.01)
    s.crash("n0")
    s.run(0.7)
    assert s.views() == [(2, "n1", ("n2",))]
    read = s.ask("n1", "get")
    s.run(0.01)
    assert s.answers(read) == ["aaa"]
    assert all(s.answered(w) for w in written)
    s.finish()


def test_outage_is_the_detection_time_and_four_delays(stage: Any) -> None:
    """Silence is noticed at a check of the service; then ViewIs, Append, AppendOk: the new primary answers."""
    s = stage(PrimaryBackup(nodes=3))
    s.run(0.075)
    s.crash("n0")
    s.run(0.6)
    decided = s.events("view")[0][0]
    elected = s.events("elected")[-1][0]
    last_heard = 0.05 + s.delta  # the ping of the heartbeat before the crash
    assert 0.5 - 1e-9 <= decided - last_heard <= 0.55 + 1e-9
    assert elected - decided == pytest.approx(s.delta)


def test_two_members_down_at_once_do_not_block_the_third(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.crash("n0", "n2")
    s.run(1.5)
    write = s.ask("n1")
    s.run(0.01)
    assert s.answered(write)
    assert s.node("views").view.members == ("n1",)


def test_a_dead_backup_with_nothing_to_catch_up_stays_out(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.crash("n2")
    s.run(3.0)
    assert s.views() == [(2, "n0", ("n1",))]


def test_a_dead_backup_holds_writes_up_only_until_it_is_out_of_the_view(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.run(0.02)
    s.crash("n2")
    write = s.ask("n0")
    s.run(0.3)
    assert not s.answered(write)
    s.run(0.4)
    assert s.answered(write)
    assert s.views() == [(2, "n0", ("n1",))]


def test_a_backup_that_receives_only_the_service_leaves_the_view_and_returns(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.isolate(["n0"], ["n2"])
    write = s.ask("n0")
    s.run(1.0)
    assert s.answered(write)
    assert s.node("views").view.members == ("n0", "n1")
    s.heal()
    s.run(0.5)
    assert s.node("views").view.members == ("n0", "n1", "n2")
    assert [e.command.sequence for e in s.node("n2").log] == [write]


def test_the_old_primary_returns_as_a_backup_with_all_it_missed(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.ask("n0")
    s.run(0.02)
    s.crash("n0")
    s.run(0.7)
    for _ in range(600):  # more than fits into one message
        s.ask("n1", "increment", value=1)
    s.run(0.05)
    s.restart("n0")
    s.run(1.0)
    assert s.node("views").view.members == ("n1", "n2", "n0")
    assert s.node("n0").log.items == s.node("n1").log.items
    s.crash("n1", "n2")
    s.run(1.5)
    read = s.ask("n0", "get")
    s.run(0.01)
    assert s.answers(read) == [601]


def test_a_primary_that_is_back_before_anyone_noticed_leads_again_in_a_new_view(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="async"))
    s.cut(["n0"], ["n1", "n2"])
    write = s.ask("n0")
    s.run(0.02)
    assert s.answered(write)
    s.crash("n0")
    s.restart("n0")
    s.heal()
    s.run(0.1)
    assert s.views()[0] == (2, "n0", ("n1", "n2"))
    read = s.ask("n0", "get")
    s.run(0.1)
    assert s.answers(read) == [write]  # nothing was lost, as its disk was not


def test_asynchronous_failover_loses_the_tail_that_was_not_shipped_and_cuts_it_off_the_old_primary(
    stage: Any,
) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="async"))
    kept = s.ask("n0", key="kept")
    s.run(0.02)
    s.cut(["n0"], ["n1", "n2"])
    lost = [s.ask("n0", key="lost") for _ in range(5)]
    s.run(0.02)
    assert all(s.answered(w) for w in [kept, *lost])
    s.crash("n0")
    s.heal()
    s.run(0.7)
    s.restart("n0")
    s.run(1.0)
    later = s.ask("n1", key="later")
    s.run(0.2)
    acknowledged = {(1, w): None for w in [kept, *lost, later]}
    nodes = s.cluster.nodes
    assert s.system.acknowledged_lost(acknowledged, nodes) == 5
    assert [e.command.sequence for e in s.node("n0").log] == [kept, later]
    assert s.node("n0").store.application.data == {"kept": kept, "later": later}
    s.finish()


# Fencing


def test_an_old_sync_primary_that_is_cut_off_acknowledges_nothing_and_reads_nothing(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.isolate(["n0"], ["n1", "n2", "views"])
    write, read = s.ask("n0"), s.ask("n0", "get")
    s.run(2.0)
    assert not s.answered(write)
    assert not s.answered(read)
    assert s.node("views").view.primary == "n1"
    s.heal()
    s.run(0.5)
    assert s.node("n0").role == "backup"
    assert len(s.node("n0").log) == 0  # what it could not ship is gone, and nobody was told otherwise
    assert [(n, m.leader) for _, n, m in s.client.heard_of(Redirect)] == [("n0", None), ("n0", None)]


def test_a_sync_primary_cut_off_from_the_service_alone_loses_its_backups_to_the_new_view(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.isolate(["n0"], ["views"])
    s.run(0.4)
    early = s.ask("n0")
    s.run(0.05)
    assert s.answered(early)
    s.run(0.5)
    late = s.ask("n0")
    s.run(0.05)
    assert not s.answered(late)
    assert [(m.sequence, m.leader) for _, _, m in s.client.heard_of(Redirect)] == [(late, "n1")]


def test_an_async_primary_answers_only_while_it_holds_its_lease(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="async"))
    s.run(0.02)
    s.isolate(["n0"], ["n1", "n2", "views"])
    early = s.ask("n0")
    s.run(0.5)
    late = s.ask("n0")
    s.run(0.5)
    assert s.answered(early)
    assert not s.answered(late)
    assert s.node("n0").role == "backup"
    assert s.events("elected")[-1][0] > 0.02 + 0.9 * 0.5  # its lease


def test_without_fencing_two_async_primaries_answer(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode="async", fencing=False, unsafe=True))
    s.cluster.stop_watching()
    s.isolate(["n0"], ["n1", "n2", "views"])
    s.run(1.0)
    one, other = s.ask("n0"), s.ask("n1")
    s.run(0.05)
    assert s.answered(one)
    assert s.answered(other)


def test_views_stand_still_while_the_service_is_down_and_sync_goes_on(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.crash("views")
    s.run(3.0)
    write = s.ask("n0")
    s.run(0.01)
    assert s.answered(write)
    s.restart("views")
    s.run(2.0)
    assert s.views() == []


def test_a_member_that_lost_its_disk_is_brought_up_again_and_not_trusted_before(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.crash("n2")
    s.run(0.7)  # view 2 without n2
    write = s.ask("n0")
    s.run(0.02)
    s.restart("n2", wiped=True)
    s.run(0.5)
    assert s.node("views").view.members == ("n0", "n1", "n2")
    assert [e.command.sequence for e in s.node("n2").log] == [write]


def test_a_backup_that_lost_its_disk_within_its_view_is_put_out_and_never_promoted(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=2))
    s.run(0.02)
    writes = [s.ask("n0") for _ in range(3)]
    s.run(0.02)
    s.crash("n1")
    s.restart("n1", wiped=True)
    s.run(1.5)
    assert s.views() == [(2, "n0", ()), (3, "n0", ("n1",))]
    assert [e.command.sequence for e in s.node("n1").log] == writes
    s.crash("n1")
    s.restart("n1", wiped=True)
    s.crash("n0")
    s.run(2.0)
    assert s.views()[2:] == []  # n1 was initialised, but is not any more
    s.restart("n0")
    s.run(2.0)
    read = s.ask("n0", "get")
    s.run(0.1)
    assert s.answers(read) == [writes[-1]]


# Clients and settings


def test_a_retried_write_takes_effect_once(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    first = s.ask("n0", "increment", value=1)
    s.ask("n0", "increment", value=1, sequence=first)  # before it has taken effect
    s.run(0.02)
    s.ask("n0", "increment", value=1, sequence=first)  # and after
    s.run(0.02)
    s.crash("n0")
    s.run(0.7)
    s.ask("n1", "increment", value=1, sequence=first)  # and at the new primary
    s.run(0.02)
    assert {r.result for _, _, r in s.client.heard_of(Reply)} == {1}
    read = s.ask("n1", "get")
    s.run(0.02)
    assert s.answers(read) == [1]
    s.finish()


def test_a_backup_redirects_to_the_primary(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, leader="n2"))
    s.ask("n0")
    s.run(0.01)
    assert [m.leader for _, _, m in s.client.heard_of(Redirect)] == ["n2"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"service_at": "x"}, "service_at must be one of n0, n1, n2, not 'x'"),
        ({"fencing": False}, "fencing=False lets two primaries answer"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrimaryBackup(**settings)


def test_what_it_claims() -> None:
    assert PrimaryBackup().consistency == "linearizable"
    assert PrimaryBackup(mode="async").consistency is None


def test_the_service_is_placed_beside_a_backup_by_default() -> None:
    assert [m.colocated_with for m in PrimaryBackup(nodes=3).members()] == [None, None, None, "n2"]
    assert PrimaryBackup(nodes=3, leader="n2").members()[-1].colocated_with == "n1"
    assert PrimaryBackup(nodes=3, service_at="n0").members()[-1].colocated_with == "n0"


def test_roles_are_known_by_name(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, leader="n1"))
    roles = ("primary", "leader", "head", "backup")
    assert {role: s.system.holder(role, s.cluster.nodes) for role in roles} == {
        "primary": "n1",
        "leader": "n1",
        "head": "n1",
        "backup": "n0",
    }
    s.crash("n1")
    assert s.system.holder("primary", s.cluster.nodes) is None
    assert s.system.holder("backup", s.cluster.nodes) is None
    s.run(0.7)
    assert s.system.holder("primary", s.cluster.nodes) == "n0"
    with pytest.raises(LookupError, match="has no tail"):
        s.system.holder("tail", s.cluster.nodes)
