"""A view service that is a Raft group: views change while any minority of it is down."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.storm import draw_storm, run_storm
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from tests.budget import storms

GROUP = PrimaryBackup(nodes=3, services=3)


def views(s: Any) -> Any:
    """What the leader of the group has decided."""
    group = [s.cluster.nodes[n] for n in s.system.service_names if n in s.cluster.nodes]
    return next(n.view for n in group if n.role == "leader" and n.serving)


def test_a_primary_fails_over_as_with_a_single_service(stage: Any) -> None:
    s = stage(GROUP)
    s.run(0.2)
    write = s.ask("n0")
    s.run(0.02)
    s.crash("n0")
    s.run(1.0)
    assert views(s).members == ("n1", "n2")
    read = s.ask("n1", "get")
    s.run(0.02)
    assert s.answers(read) == [write]
    s.finish()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_crash_of_the_group_s_leader_does_not_stop_a_failover(stage: Any, mode: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, services=3, mode=mode))
    s.run(0.2)
    s.crash("views0", "n0")
    s.run(3.0)
    assert views(s).primary == "n1"
    write = s.ask("n1")
    s.run(0.1)
    assert s.answered(write)


def test_decisions_survive_the_restart_of_the_whole_group(stage: Any) -> None:
    s = stage(GROUP)
    s.run(0.2)
    s.crash("n2")
    s.run(1.0)
    decided = views(s)
    assert decided.members == ("n0", "n1")
    s.crash("views0", "views1", "views2")
    s.restart("views0", "views1", "views2")
    s.run(2.5)
    assert views(s) == decided


def test_a_group_without_a_quorum_decides_nothing(stage: Any) -> None:
    s = stage(GROUP)
    s.run(0.2)
    s.crash("views1", "views2", "n0")
    s.run(3.0)
    assert s.views() == []


def test_one_renewal_of_the_leases_waits_for_its_place_in_the_log(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, services=3, mode="async"))
    s.run(0.2)
    s.isolate(["views0"], ["views1", "views2"])
    s.run(0.45)
    leader = s.cluster.nodes["views0"]
    assert leader.role == "leader"
    waiting = [entry.command.kind for entry in leader.log[leader.last_applied :]]
    assert waiting.count("renew") == 1


def test_a_leader_that_was_replaced_grants_no_lease(stage: Any) -> None:
    """n0 and the group's first leader are cut off together: the lease runs out although its pings are answered."""
    s = stage(PrimaryBackup(nodes=3, services=3, mode="async"))
    s.run(0.2)
    s.isolate(["n0", "views0"], ["n1", "n2", "views1", "views2"])
    s.run(1.0)
    assert s.node("n0").role == "backup"
    late = s.ask("n0")
    s.run(2.5)
    assert not s.answered(late)
    write = s.ask("n1")
    s.run(0.1)
    assert s.answered(write)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"services": 3, "service_at": "n0"},
            "services=3 goes with mode 'sync' or 'async', and without service_at",
        ),
        ({"services": 3, "mode": "semi-sync"}, "services=3 goes with mode"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrimaryBackup(**settings)


@storms(3, 3.0, seeds=range(1000))
@pytest.mark.parametrize(
    "settings", [{"mode": "sync"}, {"mode": "async"}, {"mode": "sync", "reads": "lease"}]
)
def test_it_is_safe_in_storms_and_goes_on_after_them(
    settings: dict[str, Any], seeds: range, length: float
) -> None:
    for seed in seeds:
        system = PrimaryBackup(nodes=3, services=3, **settings)
        run = run_storm(draw_storm(system, seed, length=length, clients=4), seed)
        assert run.violation is None, run.violation
        assert settings["mode"] != "sync" or run.check().ok
