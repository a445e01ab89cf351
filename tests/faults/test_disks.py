"""Disks that are slow, stalled, full, fail a write, hold damaged or torn records."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.cluster.damage import drop_damaged
from sim.faults import Crash, DamagedDisk, FailedWrite, FullDisk, OnEvent, PowerFailure, SlowDisk, StalledDisk
from sim.faults.fault import Fault
from sim.network import constant
from sim.node import Node, durable, durable_log, durable_map
from sim.protocols import Raft
from sim.protocols.client import Request
from sim.system import System
from sim.workload import ClosedLoop, NoLoad, UniformKeys


class Writer(Node):
    """Writes two fields every 100 ms, in one record, and tells an observer when they are synced."""

    first, second = durable(0), durable(0)
    log = durable_log()
    table = durable_map()

    def on_start(self) -> None:
        self.record(
            "boot", damaged=self.disk_damaged, first=self.first, second=self.second, log=len(self.log)
        )
        self.set_timer("next", 0.1)

    def on_request(self, src: str, msg: Request) -> None:
        """Nobody asks."""

    def on_next_timeout(self) -> None:
        self.first += 1
        self.second += 1
        self.log.append(self.first)
        self.table[f"k{self.first}"] = self.first
        self.set_timer("next", 0.1)


def scenario(*faults: Fault, fsync: float = 0.01, **changes: Any) -> Scenario:
    disk = changes.pop("disk", Disk(fsync=fsync))
    base: dict[str, Any] = {
        "system": System.of(Writer, nodes=2),
        "workload": NoLoad(),
        "machines": Machine(disk=disk),
        "duration": 4.0,
    }
    return Scenario(**{**base, **changes}, faults=faults)


def boots(one: Scenario, node: str = "n0", seed: int = 1) -> list[dict[str, Any]]:
    frame = one.run(seed).events
    return list(frame[(frame.event == "boot") & (frame.node == node)].detail)


def struck(one: Scenario, *names: str) -> list[tuple[float, str, str]]:
    frame = one.run(1).events
    rows = frame[frame.event.isin(names)][["time", "node", "event"]]
    return [(round(t, 6), n, e) for t, n, e in rows.itertuples(index=False)]


def durable_at(one: Scenario, node: str, *times: float) -> list[int]:
    simulation = one.start(1)
    found = []
    for until in times:
        simulation.run(until=until)
        found.append(simulation.cluster.hosts[node].disk.durable("first", 0))
    return found


def test_a_slow_disk_syncs_late_for_its_time() -> None:
    one = scenario(SlowDisk("n0", at=1.0, duration=1.0, factor=5.0))
    assert durable_at(one, "n0", 0.515, 1.12, 1.16, 2.515) == [5, 10, 11, 25]
    # The end of the fault ends the slowness of a sync that is under way, too.
    assert durable_at(scenario(SlowDisk("n0", at=1.05, duration=0.2, factor=100.0)), "n0", 1.24, 1.26) == [
        10,
        11,
    ]
    assert durable_at(one, "n1", 1.115) == [11]
    assert struck(one, "disk slow", "disk well") == [(1.0, "n0", "disk slow"), (2.0, "n0", "disk well")]


def test_no_sync_of_a_stalled_disk_ends_before_the_stall() -> None:
    one = scenario(StalledDisk("n0", at=1.05, duration=1.0))
    # The sync that was under way ends with the stall; the next one covers all that was written since.
    assert durable_at(one, "n0", 0.95, 2.04, 2.055, 2.07) == [9, 10, 11, 20]
    assert durable_at(one, "n1", 1.915) == [19]


def test_a_stall_holds_what_depends_on_it_back_and_nothing_else() -> None:
    fault = StalledDisk("n1", at=1.0, duration=1.0)
    run = Scenario(
        system=Raft(nodes=3),
        network=constant(0.005),
        workload=ClosedLoop(clients=1, keys=UniformKeys(3), think=0.05),
        machines=Machine(disk=Disk(fsync=0.001)),
        faults=[fault],
        duration=3.0,
        trace=True,
        check=True,
    ).run(1)
    replies = run.messages[(run.messages.kind == "AppendEntriesReply") & (run.messages.src == "n1")]
    during = replies[(replies.sent > 1.01) & (replies.sent < 1.99)]
    assert len(during) < 3
    assert (run.operations.status == "ok").mean() > 0.95


def test_a_node_on_a_full_disk_crashes_at_its_next_sync_and_comes_back_when_there_is_room() -> None:
    one = scenario(FullDisk("n0", at=1.05, duration=0.5))
    assert struck(one, "disk full", "disk failed", "crash", "restart", "disk well") == [
        (1.05, "n0", "disk full"),
        (1.11, "n0", "disk failed"),
        (1.11, "n0", "crash"),
        (1.55, "n0", "disk well"),
        (1.55, "n0", "restart"),
    ]
    assert durable_at(one, "n0", 1.5) == [10]


def test_what_a_failed_write_wrote_is_lost_and_the_node_comes_back() -> None:
    one = scenario(FailedWrite("n0", at=1.0, down=0.2))
    assert struck(one, "disk failed", "crash", "restart") == [
        (1.01, "n0", "disk failed"),
        (1.01, "n0", "crash"),
        (1.21, "n0", "restart"),
    ]
    assert all(boot["first"] <= 10 for boot in boots(one))
    assert struck(scenario(FailedWrite("n0", at=1.0)), "restart") == []


def test_a_damaged_record_is_absent_at_the_next_boot_and_the_node_is_told() -> None:
    fields: set[str] = set()
    for seed in range(12):
        one = scenario(
            DamagedDisk("n0", at=1.0), Crash("n0", at=2.05, down=0.1), Crash("n0", at=3.05, down=0.1)
        )
        first, second, third = boots(one, seed=seed)
        assert first["damaged"] == third["damaged"] == ()
        (field,) = second["damaged"]
        fields.add(field)
        if field == "first":
            assert second["first"] == 0
        if field == "log":
            assert second["log"] < second["second"]
    assert {"log", "table"} <= fields


def test_a_log_loses_its_end_a_map_its_key_and_a_value_itself() -> None:
    image = {"log": [1, 2, 3], "map": {"a": 1, "b": 2}, "value": 7}
    places = {"log": 1 / 6, "map": 4 / 6, "value": 5 / 6}
    left = {"log": [1], "map": {"a": 1}, "value": None}
    for field, place in places.items():
        held: dict[str, Any] = {"log": [1, 2, 3], "map": {"a": 1, "b": 2}, "value": 7}
        assert drop_damaged(held, [place]) == (field,)
        assert held.get(field) == left[field]
        assert {name: held.get(name) for name in image if name != field} == {
            name: value for name, value in image.items() if name != field
        }
    assert drop_damaged({}, [0.5]) == ()


def test_of_copies_damage_leaves_one() -> None:
    held: dict[str, Any] = {"one": 1, "two": 1, "other": 3}
    copies = [("one", "two")]
    assert drop_damaged(dict(held), [0.1, 0.1]) == ("one", "two")
    assert drop_damaged(held, [0.1, 0.1, 0.9], copies) == ("one", "other")
    assert held == {"two": 1}
    assert drop_damaged(held, [0.1], copies, before=("one",)) == ("one",)  # the copy is not written again yet
    assert drop_damaged(held, [0.1], copies) == ("two",)


@pytest.mark.parametrize("fsync", [0.0, 0.01])
def test_damage_is_found_again_until_something_is_written(fsync: float) -> None:
    """The node writes 0.1 s after its boot."""
    one = scenario(
        DamagedDisk("n0", at=1.0), *(Crash("n0", at=at, down=0.01) for at in (1.06, 1.1, 1.3)), fsync=fsync
    )
    assert [len(boot["damaged"]) for boot in boots(one)] == [0, 1, 1, 0]
    wiped = scenario(
        DamagedDisk("n0", at=1.0),
        Crash("n0", at=1.06, down=0.01),
        Crash("n0", at=1.1, down=0.01, wiped=True),
        fsync=fsync,
    )
    assert [len(boot["damaged"]) for boot in boots(wiped)] == [0, 1, 0]


def test_a_record_is_whole_or_absent_after_a_crash_unless_records_are_not_atomic() -> None:
    def torn(disk: Disk) -> int:
        found = 0
        for seed in range(20):
            for fault in (Crash("n0", at=1.005, down=0.1), PowerFailure(at=1.005, target="n0", down=0.1)):
                after = boots(scenario(fault, disk=disk), seed=seed)[1]
                found += after["first"] != after["second"] or after["second"] != after["log"]
        return found

    assert torn(Disk(fsync=0.01)) == 0
    assert torn(Disk(fsync=0.01, atomic_records=False)) > 10
    with pytest.raises(ValueError, match="atomic_records=False tears writes that are not synced"):
        Disk(atomic_records=False)


@pytest.mark.parametrize(
    ("fault", "changes", "message"),
    [
        (SlowDisk("n0", at=1.0), {"fsync": 0.0}, "the disk of n0 takes no time"),
        (StalledDisk("all", at=1.0, duration=1.0), {"fsync": 0.0}, "takes no time"),
        (FailedWrite("leader", at=1.0), {"fsync": 0.0}, "takes no time"),
        (
            FullDisk("c0", at=1.0, duration=1.0),
            {"workload": ClosedLoop(clients=1)},
            "'c0' writes nothing to disk",
        ),
    ],
)
def test_a_fault_of_a_disk_that_cannot_have_it_is_refused(fault: Fault, changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scenario(fault, **changes)


def test_a_live_session_refuses_it_too() -> None:
    simulation = scenario(fsync=0.0).start(1)
    for act in (lambda: simulation.slow_disk("n0", 2.0), lambda: simulation.stall_disk("n0", True)):
        with pytest.raises(ValueError, match="the disk of n0 takes no time"):
            act()
    simulation.slow_disk("n0", 1.0)


def test_damage_may_strike_when_something_happens() -> None:
    one = scenario(DamagedDisk("there", at=OnEvent("crash")), Crash("n0", at=1.05, down=0.1))
    assert [len(boot["damaged"]) for boot in boots(one)] == [0, 1]
