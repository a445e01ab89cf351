"""Durable before send: what leaves a node rests on what is on its disk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.node import Node, durable, durable_log, durable_map, message
from sim.system import Member


@message
class Put:
    value: int


@message
class Ack:
    value: int


class Store(Node):
    value = durable(0)
    log = durable_log()
    table = durable_map()

    def on_start(self) -> None:
        self.acks: list[tuple[float, int]] = []

    def on_put(self, src: str, msg: Put) -> None:
        self.value = msg.value
        self.send(src, Ack(msg.value))

    def on_ack(self, src: str, msg: Ack) -> None:
        self.acks.append((round(self.now, 9), msg.value))


def cluster(fsync: float, seed: int = 1) -> Cluster:
    made = Cluster(constant(0.0), seed=seed)
    for name in ("a", "b"):
        made.add(Member(name, Store), place="lan", profile=Machine(disk=Disk(fsync=fsync)))
    made.boot()
    return made


def test_a_reply_waits_until_what_its_handler_wrote_is_synced() -> None:
    made = cluster(fsync=0.01)
    a: Any = made.nodes["a"]
    a.send("b", Put(1))
    made.env.run(until=1.0)
    assert a.acks == [(0.01, 1)]


def test_a_reply_waits_for_writes_of_earlier_handlers_too_and_order_is_kept() -> None:
    class Relay(Store):
        def on_put(self, src: str, msg: Put) -> None:
            if msg.value == 1:
                self.value = 1
            self.send(
                src, Ack(msg.value)
            )  # the second writes nothing, yet may depend on what the first wrote

    made = Cluster(constant(0.0), seed=1)
    for name, kind in (("a", Store), ("b", Relay)):
        made.add(Member(name, kind), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
    made.boot()
    a: Any = made.nodes["a"]
    a.send("b", Put(1))
    a.send("b", Put(2))
    made.env.run(until=1.0)
    assert a.acks == [(0.01, 1), (0.01, 2)]


def test_hold_false_leaves_at_once() -> None:
    class Hasty(Store):
        def on_put(self, src: str, msg: Put) -> None:
            self.value = msg.value
            self.send(src, Ack(msg.value), hold=False)

    made = Cluster(constant(0.0), seed=1)
    for name, kind in (("a", Store), ("b", Hasty)):
        made.add(Member(name, kind), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
    made.boot()
    a: Any = made.nodes["a"]
    a.send("b", Put(1))
    made.env.run(until=1.0)
    assert a.acks == [(0.0, 1)]


def test_writes_during_a_sync_share_the_next_one() -> None:
    made = cluster(fsync=0.01)
    a: Any = made.nodes["a"]
    for value in range(1, 11):
        made.env.call_at(0.001 * value, lambda v: made.nodes["a"].send("b", Put(v)), value)
    made.env.run(until=1.0)
    # The first sync runs from 1 ms to 11 ms; the nine others share the one from 11 ms to 21 ms.
    assert a.acks == [(0.011, 1)] + [(0.021, v) for v in range(2, 11)]
    assert made.hosts["b"].disk.syncs == 2


def test_self_sends_wait_too() -> None:
    class Voter(Store):
        def on_put(self, src: str, msg: Put) -> None:
            self.value = msg.value
            self.send(self.name, Ack(msg.value))

    made = Cluster(constant(0.0), seed=1)
    made.add(Member("a", Voter), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
    made.boot()
    made.hosts["a"].receive("a", Put(3))
    made.env.run(until=1.0)
    assert made.nodes["a"].acks == [(0.01, 3)]  # type: ignore[attr-defined]


class Journal(Node):
    value = durable(0)
    log = durable_log()
    table = durable_map()

    def on_put(self, src: str, msg: Put) -> None:
        self.value = msg.value
        self.log.append(msg.value)
        self.table[msg.value] = msg.value


@given(
    writes=st.lists(st.floats(0.0, 0.05), min_size=1, max_size=12),
    crash=st.floats(0.0, 0.08),
    seed=st.integers(0, 50),
)
def test_a_crash_leaves_a_prefix_of_whole_records_that_contains_all_that_was_synced(
    writes: list[float], crash: float, seed: int
) -> None:
    made = Cluster(constant(0.0), seed=seed)
    host = made.add(Member("a", Journal), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
    made.boot()
    for number, at in enumerate(sorted(writes), start=1):
        made.env.call_at(at, lambda n: host.receive("x", Put(n)), number)
    made.env.call_at(crash, lambda _: made.crash("a"))
    if crash > 0:
        made.env.run(until=crash)
    synced = len(host.disk.durable("log", ()))
    written = sum(1 for at in writes if at < crash)
    made.env.run(until=crash + 1e-9)
    made.restart("a")
    reborn: Any = made.nodes["a"]
    survived = len(reborn.log)
    assert synced <= survived <= written + writes.count(crash)
    assert list(reborn.log) == list(range(1, survived + 1))
    assert reborn.value == survived  # all that one handler wrote is kept or lost together
    assert list(reborn.table) == list(range(1, survived + 1))


def test_a_barrier_splits_what_one_handler_writes() -> None:
    class Careful(Node):
        first = durable(0)
        second = durable(0)

        def on_put(self, src: str, msg: Put) -> None:
            self.first = msg.value
            self.barrier()
            self.second = msg.value

    outcomes = set()
    for seed in range(40):
        made = Cluster(constant(0.0), seed=seed)
        host = made.add(Member("a", Careful), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
        made.boot()
        host.receive("x", Put(1))
        made.crash("a")
        made.restart("a")
        reborn: Any = made.nodes["a"]
        outcomes.add((reborn.first, reborn.second))
    assert outcomes == {(0, 0), (1, 0), (1, 1)}


def test_without_a_barrier_the_writes_of_one_handler_are_kept_or_lost_together() -> None:
    class Whole(Node):
        first = durable(0)
        second = durable(0)

        def on_put(self, src: str, msg: Put) -> None:
            self.first = msg.value
            self.second = msg.value

    outcomes = set()
    for seed in range(40):
        made = Cluster(constant(0.0), seed=seed)
        host = made.add(Member("a", Whole), place="lan", profile=Machine(disk=Disk(fsync=0.01)))
        made.boot()
        host.receive("x", Put(1))
        made.crash("a")
        made.restart("a")
        reborn: Any = made.nodes["a"]
        outcomes.add((reborn.first, reborn.second))
    assert outcomes == {(0, 0), (1, 1)}


def test_a_mutable_value_is_refused_as_durable() -> None:
    with pytest.raises(TypeError, match="mutable"):

        class Wrong(Node):
            items = durable([])

    made = cluster(fsync=0.0)
    with pytest.raises(TypeError, match=r"durable field 'value': \[1\] is mutable"):
        made.nodes["a"].value = [1]  # type: ignore[attr-defined]


def test_bytes_written_count_and_take_time_at_the_disks_bandwidth() -> None:
    made = Cluster(constant(0.0), seed=1)
    disk = Disk(fsync=0.01, bandwidth=800.0)
    for name in ("a", "b"):
        made.add(Member(name, Store), place="lan", profile=Machine(disk=disk))
    made.boot()
    a: Any = made.nodes["a"]
    a.send("b", Put(1))
    made.env.run(until=1.0)
    assert a.acks == [(0.02, 1)]  # 10 ms of sync and 8 bytes at 800 bytes/s
    assert made.hosts["b"].disk.bytes == 8


@pytest.mark.parametrize(
    ("field", "write"), [("log", r"self\.log\.append"), ("table", r"self\.table\[key\] = ")]
)
def test_an_assignment_to_a_log_or_a_map_is_refused_at_once(field: str, write: str) -> None:
    node: Any = cluster(fsync=0.0).nodes["a"]
    with pytest.raises(
        TypeError, match=f"durable field '{field}' is changed in place, not assigned.*write {write}"
    ):
        setattr(node, field, ["volatile"])
    assert not getattr(node, field)


def test_a_log_that_was_replaced_behind_its_back_is_found_at_the_latest_when_its_node_crashes() -> None:
    made = cluster(fsync=0.0)
    made.nodes["a"].__dict__["log"] = ["volatile"]
    with pytest.raises(TypeError, match="durable field 'log' is changed in place, not assigned"):
        made.crash("a")


def test_a_map_takes_an_update_in_place_and_writes_it() -> None:
    made = cluster(fsync=0.0)
    node: Any = made.nodes["a"]
    node.table |= {"k": 1}
    node.table.replace(node.table)
    made.crash("a")
    made.restart("a")
    assert made.nodes["a"].table == {"k": 1}  # type: ignore[attr-defined]
