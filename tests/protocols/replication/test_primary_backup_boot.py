"""Disks of primary-backup that have nothing: lost, or without power before they had what their servers begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import PrimaryBackup
from sim.protocols.membership.views import View
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.system import SafetyViolation
from tests.protocols.replication.conftest import Stage
from tests.protocols.replication.test_chain_boot import cut_power, lose_power

SERVERS = ("n0", "n1", "n2")
MODES = pytest.mark.parametrize("mode", ["sync", "semi-sync", "async"])


def lose_the_first_disk(stage: Callable[..., Stage], mode: Any, **options: Any) -> Stage:
    """The first primary answers a write; the service has not heard that its view has begun when its disk is lost."""
    s = stage(PrimaryBackup(nodes=3, mode=mode), **options)
    s.cut(["n0"], ["views"])
    written = s.ask("n0")
    s.run(0.05)
    assert s.answered(written)
    s.crash("n0")
    s.restart("n0", wiped=True)
    s.heal()
    s.run(3.0)
    return s


@MODES
def test_a_primary_that_lost_its_disk_does_not_lead_a_view_that_the_service_takes_for_new(
    stage: Any, mode: Any
) -> None:
    s = lose_the_first_disk(stage, mode)
    assert s.views() == [(2, "n1", ("n0", "n2"))]
    assert [s.node(name).last for name in SERVERS] == [1, 1, 1]


class LeadsWithoutItsDisk(PrimaryBackupNode):
    def _may_lead(self, view: View) -> bool:
        return self.log_view >= view.after


def test_one_that_leads_its_view_without_its_disk_is_found(stage: Any) -> None:
    with pytest.raises(SafetyViolation, match="one primary per view"):
        lose_the_first_disk(stage, "sync", node_class=LeadsWithoutItsDisk)


@MODES
@pytest.mark.parametrize("names", [SERVERS, (*SERVERS, "views")], ids=["servers", "all"])
def test_servers_that_lost_power_before_their_first_sync_begin_again(
    stage: Any, mode: Any, names: tuple[str, ...]
) -> None:
    s = stage(PrimaryBackup(nodes=3, mode=mode), fsync=0.001)
    s.run(0.0005)
    lose_power(s, *names)
    s.run(3.0)
    assert s.views() == [(2, "n0", ("n1", "n2"))]
    written = s.ask("n0")
    s.run(0.1)
    assert s.answered(written)
    s.crash("n0")
    s.restart("n0", wiped=True)
    s.run(3.0)
    assert s.node("views").view.primary != "n0"
    assert [s.node(name).last for name in SERVERS] == [1, 1, 1]


def test_a_server_that_has_its_disk_leads_those_that_lost_power_too_soon(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3), fsync=0.001)
    s.run(0.0005)
    lose_power(s, "n0", "n1")
    s.run(3.0)
    assert s.node("n2").role == "primary"
    assert not s.node("views").view.begins


def test_servers_do_not_begin_again_while_one_is_down(stage: Any) -> None:
    """It may have what was acknowledged."""
    system = PrimaryBackup(nodes=3)
    s = stage(system, fsync=0.001)
    s.run(0.0005)
    cut_power(s, "n2")
    lose_power(s, "n0", "n1")
    s.run(3.0)
    nodes = {name: s.node(name) for name in ("n0", "n1", "views")}
    assert s.node("views").view.number == 1
    assert system.is_stranded(nodes)
    s.restart("n2")
    s.run(3.0)
    assert s.node("views").view.begins


def test_servers_that_have_all_lost_their_disks_after_an_answer_are_left_to_an_operator(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3))
    s.ask("n0")
    s.run(0.5)
    assert s.node("views").acknowledged_view == 1
    for name in SERVERS:
        s.crash(name)
        s.restart(name, wiped=True)
    s.run(3.0)
    assert all(s.node(name).role == "backup" for name in SERVERS)
