"""The common part of most systems: names, leader, failure-detection times."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from sim import System, protocols
from sim.protocols.system import LedSystem, ReplicatedSystem
from sim.system import Timing

ROOT = Path(__file__).resolve().parents[2] / "sim"
SYSTEMS = sorted(name for name in protocols.__all__ if issubclass(getattr(protocols, name), System))
REPLICATED = [name for name in SYSTEMS if issubclass(getattr(protocols, name), ReplicatedSystem)]
LED = [name for name in SYSTEMS if issubclass(getattr(protocols, name), LedSystem)]


def test_most_systems_are_replicas_of_one_class() -> None:
    assert len(REPLICATED) >= 15
    assert len(LED) >= 7


@pytest.mark.parametrize("name", REPLICATED)
def test_the_replicas_that_are_not_spares_have_the_names_that_the_system_says(name: str) -> None:
    system = getattr(protocols, name)(nodes=5)
    assert system.names == ("n0", "n1", "n2", "n3", "n4")
    assert tuple(m.name for m in system.members() if m.role == "replica" and not m.off) == system.names
    assert set(system.contacts()) >= set(system.names)


@pytest.mark.parametrize("name", LED)
def test_a_first_leader_that_is_no_replica_is_refused(name: str) -> None:
    kind = getattr(protocols, name)
    assert kind(nodes=3, leader="n2").first_leader == "n2"
    assert kind(nodes=3).first_leader == "n0"
    with pytest.raises(ValueError, match=f"{name}: leader must be one of n0, n1, n2, not 'n7'"):
        kind(nodes=3, leader="n7")


@pytest.mark.parametrize("name", LED)
def test_there_is_no_leader_before_the_nodes_start_and_another_role_is_refused(name: str) -> None:
    system = getattr(protocols, name)(nodes=3, **({"order": "total"} if name == "BroadcastStore" else {}))
    assert system.holder("leader", {}) is None
    with pytest.raises(LookupError, match="dancer"):
        system.holder("dancer", {})


@pytest.mark.parametrize("name", SYSTEMS)
def test_times_that_are_not_given_follow_the_one_rule(name: str) -> None:
    system = getattr(protocols, name)()
    assert (system.heartbeat_interval, system.detection_timeout) == dataclasses.astuple(Timing())
    slower = system.with_timing(Timing.of(0.2))
    assert (slower.heartbeat, slower.detection) == (0.2, 2.0)
    own = dataclasses.replace(system, heartbeat=0.07)
    assert own.detection_timeout == own.with_timing(Timing()).detection == 10 * 0.07


def test_a_detection_timeout_that_is_no_longer_than_the_heartbeat_is_refused() -> None:
    for name in SYSTEMS:
        with pytest.raises(ValueError, match=r"detection \(0.5 s\) must be longer than heartbeat \(1.0 s\)"):
            getattr(protocols, name)(heartbeat=1.0, detection=0.5)


def test_the_default_of_a_failure_detection_time_is_written_in_one_place() -> None:
    again = re.compile(
        r"(heartbeat|detection) or \d|heartbeat or 0\.|10 \* \(?(self|system)\.?\w*\.?heartbeat"
    )
    found = [
        f"{p.relative_to(ROOT)}: {m[0]}" for p in ROOT.rglob("*.py") for m in again.finditer(p.read_text())
    ]
    assert not found
