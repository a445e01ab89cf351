"""The nemesis draws among all that a system's fault model allows, each kind and option from a stream of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import sim.protocols
from sim import Scenario
from sim.faults import (
    Administer,
    ClockJump,
    Crash,
    DamagedDisk,
    Fault,
    Hold,
    Partition,
    Pause,
    PowerFailure,
    RandomCrashes,
    addresses,
)
from sim.faults.fault import Fault as AnyFault
from sim.faults.when import Trigger
from sim.kernel import Stream, Streams
from sim.lab import draw_storm
from sim.lab.nemesis import drawn_faults, setting_of, undrawn, with_options
from sim.lab.nemesis.kinds import Circumstances, kind, kinds
from sim.protocols import (
    Craq,
    LeaderLease,
    MultiPaxos,
    PrimaryBackup,
    Raft,
    RpcStore,
    Swim,
    ViewstampedReplication,
)
from sim.system import System
from sim.workload import UniformKeys


def systems() -> dict[str, System]:
    made = {}
    for name in sim.protocols.__all__:
        cls = getattr(sim.protocols, name)
        if isinstance(cls, type) and issubclass(cls, System):
            try:
                made[name] = cls()
            except (TypeError, ValueError):
                continue
    return made


SYSTEMS = systems()


def faults(system: System, seeds: int = 40) -> list[tuple[Fault, ...]]:
    drawn = []
    for seed in range(seeds):
        streams = Streams(seed)
        drawn.append(drawn_faults(setting_of(with_options(system, streams), 8.0, 4), streams))
    return drawn


def all_of(system: System, kind_of: type, seeds: int = 40) -> list[Any]:
    return [fault for drawn in faults(system, seeds) for fault in drawn if isinstance(fault, kind_of)]


@pytest.mark.parametrize(
    "name",
    ["Raft", "Craq", "ViewstampedReplication", "Swim", "Gossip", "PrimaryBackup", "HeartbeatDetectors"],
)
def test_every_kind_that_a_system_allows_is_drawn_and_no_other(name: str) -> None:
    system = SYSTEMS[name]
    seen = {fault.name.rstrip("0123456789 ") for drawn in faults(system, 150) for fault in drawn}
    never = {kind for kind in undrawn(system) if kind in kinds}
    optional = {
        "administration",
        "damaged disks",
        "troubled administration",
        "ring",
    }  # with some options and sizes
    assert seen <= {*kinds} - never | optional
    assert {*kinds} - seen - never <= {"damaged disks"}, "too rare, or never drawn though allowed"


def test_a_few_seeds_see_many_kinds_and_a_few_see_one_or_two() -> None:
    sizes = Counter(len({f.name.rstrip("0123456789 ") for f in drawn}) for drawn in faults(Raft()))
    assert min(sizes) <= 3
    assert max(sizes) >= 10


def test_a_new_kind_moves_no_draw_of_another() -> None:
    before = [faults(system, 12) for system in (Raft(), Craq())]

    @kind(Pause, weight=9.0)
    def a_new_one(setting: Circumstances, stream: Stream) -> Iterator[AnyFault]:
        yield Pause(stream.choice(setting.names), at=1.0, duration=1.0)

    try:
        after = [faults(system, 12) for system in (Raft(), Craq())]
    finally:
        del kinds["a new one"]
    assert after != before
    assert [[tuple(f for f in d if f.name != "a new one") for d in drawn] for drawn in after] == before


def test_no_two_faults_of_a_storm_share_an_address_and_each_may_be_left_out() -> None:
    for drawn in faults(Raft(), 30):
        names = addresses(drawn)
        assert len(set(names)) == len(names)
        for index in range(len(drawn)):
            rest = (*drawn[:index], *drawn[index + 1 :])
            assert addresses(rest) == (*names[:index], *names[index + 1 :])


def test_storms_react_to_the_protocol() -> None:
    triggers = [t for drawn in faults(Raft()) for fault in drawn for t in fault.triggers()]
    kinds_of_triggers = Counter(type(t).__name__ for t in triggers)
    assert set(kinds_of_triggers) == {"OnEvent", "OnMessage", "OnWrite"}
    assert all(isinstance(t, Trigger) for t in triggers)
    assert any(getattr(t, "event", "") == "elected" for t in triggers)


def test_a_cut_may_take_the_services_from_a_member_and_leave_it_its_clients() -> None:
    cuts = [cut for cut in all_of(Craq(), Partition) if len(cut.groups) == 2]
    assert {"master" in cut.groups[1] for cut in cuts} == {False, True}
    assert not any("c0" in group for cut in cuts for group in cut.groups)


def test_a_storm_draws_how_soon_a_leader_is_missed_unless_that_is_given() -> None:
    drawn = {round(draw_storm(Raft(nodes=3), seed).resolved.detection, 3) for seed in range(30)}
    assert drawn == {0.2, 0.3, 0.5}
    given = {draw_storm(Raft(nodes=3, detection=0.4), seed).system.heartbeat for seed in range(10)}
    assert given == {None}


def test_a_message_is_late_by_no_more_than_a_system_allows() -> None:
    system = SYSTEMS["Dynamo"].changed(grace=63.0, n=3)
    most = system.max_delay
    assert most is not None
    assert 0 < most <= 1
    timed = [hold for hold in all_of(system, Hold, 150) if not isinstance(hold.until, Trigger)]
    assert len({hold.name.rstrip("0123456789 ") for hold in timed}) == 3
    assert all(hold.until - hold.at <= most for hold in timed)


def test_the_leader_that_is_gone_for_good_follows_leaders_that_were_troubled() -> None:
    found = [[f for f in drawn if f.name.startswith("last of the leaders")] for drawn in faults(Raft(), 80)]
    found = [drawn for drawn in found if drawn]
    assert {isinstance(drawn[-1], PowerFailure) for drawn in found} == {False, True}
    for drawn in found:
        last = next(f for f in drawn if isinstance(f, Crash))
        assert (last.target, last.for_good) == ("there", True)
        before = drawn[: drawn.index(last)]
        assert [f.at.nth for f in before] == [*range(1, last.at.nth)]
    all_needed = RpcStore()
    assert not all_needed.max_gone
    assert "last of the leaders" in undrawn(all_needed)


def test_mail_of_an_earlier_life_arrives_after_the_second_restart() -> None:
    drawn = [[f for f in fs if f.name.startswith("mail for")] for fs in faults(ViewstampedReplication(), 80)]
    assert any(drawn)
    for first, second, *mail in filter(None, drawn):
        assert first.target == second.target
        assert first.at + first.down < second.at
        assert mail
        for copies in mail:
            assert (copies.dst, copies.copies) == (first.target, True)
            assert copies.at < second.at < second.at + second.down < copies.until


def test_a_rush_has_many_clients_one_key_and_mostly_reads() -> None:
    storms = [draw_storm(Raft(nodes=3), seed).workload for seed in range(100)]
    rushes = [load for load in storms if load.clients == 10 and load.mix.keys == UniformKeys(1)]
    assert 15 <= len(rushes) <= 45
    assert sum(dict(load.mix.weights)["get"] >= 16.0 for load in rushes) >= 0.9 * len(rushes)


def test_a_storm_has_a_written_form() -> None:
    for system in (Raft(nodes=3), Swim(), PrimaryBackup()):
        for seed in range(4):
            storm = draw_storm(system, seed)
            assert Scenario.from_json(storm.to_json()) == storm


def test_what_stays_in_the_fault_model_of_viewstamped_replication() -> None:
    for drawn in faults(ViewstampedReplication(nodes=5)):
        crashing = {
            f.name.rstrip("0123456789 ") for f in drawn if isinstance(f, Crash | RandomCrashes | PowerFailure)
        }
        crashing.discard("crash of a client")
        assert len(crashing) <= 1
        assert not any(isinstance(f, PowerFailure) for f in drawn)
        assert all(f.max_down == 2 for f in drawn if isinstance(f, RandomCrashes))
    assert "power" in undrawn(ViewstampedReplication())


def test_clocks_and_disks_stay_as_right_as_a_system_needs_them() -> None:
    for system in (Craq(), LeaderLease()):
        most = system.max_clock_drift
        assert most
        jumps = all_of(system, ClockJump)
        assert jumps
        assert all(abs(jump.drift) <= most for jump in jumps)
    assert all_of(Raft(damage=False), DamagedDisk) == []
    assert "disks_may_be_damaged is False" in undrawn(Raft())["damaged disks"]


def test_a_system_whose_disks_may_be_damaged_gets_damaged_ones() -> None:
    class Checked(Raft):
        disks_may_be_damaged = True

    assert len(all_of(Checked(), DamagedDisk, 100)) > 3


def test_the_administration_that_a_system_serves_is_drawn() -> None:
    requests = Counter(type(fault.request).__name__ for fault in all_of(Raft(), Administer))
    assert {"Transfer", "Drain", "Join", "Leave", "Reconfigure"} <= set(requests)
    assert all_of(MultiPaxos(), Administer) == []
    assert "administration" in undrawn(MultiPaxos())


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_safe_option_is_accepted_and_changes_no_claim(name: str) -> None:
    system = SYSTEMS[name]
    for field, alternatives in system.safe_options.items():
        assert getattr(system, field) in alternatives
        for value in alternatives:
            try:
                changed = system.changed(**{field: value})
            except ValueError:
                continue  # it goes with another option only; the next test asks that it is drawn
            assert changed.consistency in (system.consistency, "linearizable")
            assert field == "nodes" or changed.max_down == system.max_down


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.safe_options])
def test_every_alternative_of_a_safe_option_is_drawn_and_given_fields_stay(name: str) -> None:
    system = SYSTEMS[name]
    drawn = [with_options(system, Streams(seed)) for seed in range(50)]
    for field, alternatives in system.safe_options.items():
        assert {getattr(one, field) for one in drawn} == set(alternatives)
        given = system.changed(**{field: getattr(system, field)})
        assert {getattr(with_options(given, Streams(seed)), field) for seed in range(40)} == {
            getattr(system, field)
        }
    assert f"field {next(iter(system.safe_options))}" not in undrawn(system)


def test_what_a_subclass_sets_is_not_drawn() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True, kw_only=True)
    class Voting(Raft):
        pre_vote: bool = True
        reads: Any = "lease"

    drawn = [with_options(Voting(), Streams(seed)) for seed in range(30)]
    assert {(one.pre_vote, one.reads) for one in drawn} == {(True, "lease")}
    assert {one.check_quorum for one in drawn} == {False, True}


def test_what_is_never_drawn_is_listed_with_its_reason() -> None:
    found = undrawn(PrimaryBackup())
    assert found["administration"] == "it serves no request of an administrator"
    assert found["field fallback"] == "it stays None"
    assert all(found.values())
    assert set(undrawn(Raft())) >= {"damaged disks", "DamagedDisk", "field lease"}


def test_a_storm_has_three_or_five_replicas_unless_that_is_given_or_other_faults_name_them() -> None:
    def sizes(system: System, **more: Any) -> set[int]:
        return {draw_storm(system, seed, **more).system.nodes for seed in range(12)}  # type: ignore[attr-defined]

    assert sizes(Raft()) == sizes(MultiPaxos()) == sizes(ViewstampedReplication()) == {3, 5}
    assert sizes(Raft(nodes=4)) == {4}
    assert sizes(Raft(), extra_faults=(Crash("n4", at=0.1),)) == {5}


def test_a_leader_is_in_trouble_soon_after_a_request_of_an_administrator() -> None:
    system = Raft(nodes=3, transfer=True)
    after = set()
    for drawn in faults(system, 80):
        named = [fault for fault in drawn if fault.name.startswith("troubled administration")]
        for request, trouble in zip(named[::2], named[1::2], strict=False):
            assert isinstance(request, Administer)
            assert "leader" in trouble.targets()
            assert 0.0 <= trouble.begins - request.begins <= 0.05 + 1e-9
            after.add(type(trouble).__name__)
    assert after == {"Crash", "Cut", "Partition", "Pause"}
