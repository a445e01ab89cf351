"""The view service judges silence by a pluggable rule: quicker failover, as safe; refused where leases rely on time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Pause
from sim.lab import draw_storm
from sim.network import constant
from sim.protocols import ChainReplication, ExpectedArrival, FixedTimeout, PhiAccrual, PrimaryBackup
from sim.protocols.membership.suspicion import Rule
from sim.testing import survive
from sim.workload import ClosedLoop, UniformKeys


def failover(system: PrimaryBackup) -> tuple[float, Any]:
    """Seconds from the crash of the primary to the next view, and the run."""
    run = Scenario(
        system=dataclasses.replace(system, heartbeat=0.05, detection=1.0),
        network=constant(0.005),
        workload=ClosedLoop(clients=2, keys=UniformKeys(3), think=0.02),
        faults=[Crash("primary", at=5.0)],
        duration=10.0,
        check=True,
    ).run(1)
    views = run.events[(run.events["event"] == "view") & (run.events["time"] > 5.0)]
    return float(views["time"].min()) - 5.0, run


@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [(None, 0.9, 1.1), (FixedTimeout(0.3), 0.2, 0.36), (PhiAccrual(8.0), 0.03, 0.2)],
    ids=["as ever", "timeout", "phi"],
)
def test_failover_takes_as_long_as_the_rule_needs(rule: Rule | None, least: float, most: float) -> None:
    for services in (1, 3):
        took, run = failover(PrimaryBackup(nodes=3, detector=rule, services=services))
        assert least < took < most
        assert run.check().ok
        assert run.acknowledged_lost == 0


@pytest.mark.parametrize("rule", [FixedTimeout(0.1), PhiAccrual(3.0)], ids=lambda r: r.label)
@pytest.mark.parametrize("mode", ["sync", "semi-sync"])
def test_a_hasty_detector_costs_views_but_no_safety(rule: Rule, mode: Any) -> None:
    def storm(detector: Rule | None, seed: int) -> Scenario:
        return draw_storm(
            PrimaryBackup(nodes=3, mode=mode, detector=detector), seed, length=3.0, options=False
        )

    def views(detector: Rule | None, seed: int) -> int:
        """No member fails and no disk stalls, but messages are late and lost."""
        calm = dataclasses.replace(storm(detector, seed), faults=(), machines={})
        run = survive(calm.system, seed, scenario=calm)
        return int((run.events["event"] == "view").sum())

    seeds = range(3, 6)
    for seed in seeds:
        stormy = storm(rule, seed)
        survive(stormy.system, seed, scenario=stormy)
    assert [views(None, seed) for seed in seeds] == [0, 0, 0]
    assert sum(views(rule, seed) for seed in seeds) > 0


@pytest.mark.parametrize(
    "system",
    [
        PrimaryBackup(nodes=3),
        PrimaryBackup(nodes=3, mode="semi-sync"),
        PrimaryBackup(nodes=3, detector=PhiAccrual(8.0)),
        ChainReplication(nodes=3),
    ],
    ids=lambda s: s.label,
)
def test_fd2_a_service_that_was_paused_removes_no_member_for_it(system: Any) -> None:
    service = next(m.name for m in system.members() if m.role == "service")
    run = Scenario(
        system=dataclasses.replace(system, heartbeat=0.05, detection=0.5),
        network=constant(0.005),
        workload=ClosedLoop(clients=2, keys=UniformKeys(3), think=0.02),
        faults=[Pause(service, at=2.0, duration=2.0), Crash("n1", at=3.9)],
        duration=7.0,
        check=True,
    ).run(1)
    assert run.check().ok
    views = run.events[run.events["event"] == "view"]
    # Only the one that has really gone is taken out, a detection time after the pause at the latest.
    assert len(views) == 1
    assert 4.0 < views["time"].iloc[0] <= 4.0 + 0.5 + 2 * 0.05
    assert "n1" not in str(views["detail"].iloc[0])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"mode": "async"}, "may depose a primary before its lease is over"),
        ({"reads": "lease"}, "may depose a primary before its lease is over"),
        ({"mode": "semi-sync", "fallback": 0.5}, "may depose a primary before its lease is over"),
        ({"detector": ExpectedArrival(1.0)}, "must be a FixedTimeout or PhiAccrual"),
        ({"detector": 8.0}, "detector must be a Rule or None, not 8.0"),
    ],
)
def test_a_detector_is_refused_where_leases_rely_on_the_detection_time(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PrimaryBackup(**{"detector": PhiAccrual(8.0), **settings})
    if complaint.startswith("may"):
        assert PrimaryBackup(**{"detector": PhiAccrual(8.0), **settings}, unsafe=True).unsafe
