"""Triggers: a fault acts directly after the n-th event, message or write that it names, in every kind of run."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import Crash, Cut, OnEvent, OnMessage, OnWrite, Pause
from sim.faults.fault import Fault
from sim.network import constant
from sim.node import Node, durable
from sim.protocols import PrimaryBackup, Raft, Swim
from sim.protocols.client import Request
from sim.system import System
from sim.workload import ClosedLoop, NoLoad, UniformKeys

FIRST = Crash("leader", at=1.0, down=0.5)


def scenario(*faults: Fault, **changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": Raft(nodes=3),
        "network": constant(0.005),
        "workload": ClosedLoop(clients=2, keys=UniformKeys(5), think=0.05),
        "duration": 3.0,
    }
    return Scenario(**{**base, **changes}, faults=faults)


def times(frame: Any, event: str, node: str | None = None) -> list[tuple[float, str]]:
    chosen = frame[(frame.event == event) & ((frame.node == node) | (node is None))]
    return list(chosen[["time", "node"]].itertuples(index=False, name=None))


KINDS: tuple[dict[str, Any], ...] = ({}, {"check": True}, {"trace": True}, {"trace": "full", "check": True})


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_a_fault_strikes_when_its_event_has_happened_so_often(how: dict[str, Any]) -> None:
    found = scenario(FIRST, Crash("there", at=OnEvent("elected", nth=2, delay=0.01)), **how).run(1).events
    (_, (elected, leader)) = times(found, "elected")[:2]
    assert times(found, "crash")[1] == (pytest.approx(elected + 0.01), leader)


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_a_fault_strikes_when_its_message_has_left_so_often(how: dict[str, Any]) -> None:
    sent = scenario(trace=True).run(1).messages
    chosen = sent[(sent.kind == "AppendEntries") & (sent.src == "n0") & (sent.dst == "n2")].sent
    node_class: Any = Raft().members()[0].node_class
    (append_entries,) = [kind for kind in node_class.takers() if kind.__name__ == "AppendEntries"]
    wanted = OnMessage(append_entries, src="n0", dst="n2", nth=7)
    assert wanted == OnMessage("AppendEntries", src="n0", dst="n2", nth=7)
    found = scenario(Pause("there", at=wanted, duration=0.1), **how).run(1).events
    assert times(found, "pause") == [(chosen.iloc[6], "n0")]


class Writer(Node):
    """Writes once a second."""

    written = durable(0)

    def on_start(self) -> None:
        self.set_timer("next", 1.0)

    def on_request(self, src: str, msg: Request) -> None:
        """Nobody asks."""

    def on_next_timeout(self) -> None:
        self.written += 1
        self.set_timer("next", 1.0)


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_a_crash_at_a_write_comes_before_its_sync(how: dict[str, Any]) -> None:
    """On a slow disk the write is lost or survives, as the seed draws; on an instant one it survives."""
    for fsync, survivors in ((0.0, {3}), (0.1, {2, 3})):
        one = scenario(
            Crash("n0", at=OnWrite(nth=3), down=0.5),
            system=System.of(Writer, nodes=1),
            workload=NoLoad(),
            machines=Machine(disk=Disk(fsync=fsync)),
            duration=4.0,
            **how,
        )
        found = set()
        for seed in range(12):
            simulation = one.start(seed)
            simulation.run(until=3.2)
            found.add(simulation.cluster.hosts["n0"].disk.durable("written"))
            assert [row[:3] for row in simulation.recorder.events] == [(3.0, "n0", "crash")]
        assert found == survivors


def test_only_the_node_that_is_named_counts_and_every_node_counts_if_none_is() -> None:
    faults = [
        Crash(name, at=at, down=0.2) for name, at in (("n1", 0.5), ("n2", 0.6), ("n1", 1.5), ("n2", 1.6))
    ]
    second = (
        scenario(*faults, Pause("n0", at=OnEvent("crash", nth=2, node="n2"), duration=0.01)).run(1).events
    )
    assert times(second, "pause") == [(1.6, "n0")]
    any_third = scenario(*faults, Pause("n0", at=OnEvent("crash", nth=3), duration=0.01)).run(1).events
    assert times(any_third, "pause") == [(1.5, "n0")]


def test_what_happens_while_nodes_boot_counts() -> None:
    run = scenario(Pause("there", at=OnEvent("role"), duration=0.1)).run(1).events
    assert times(run, "pause") == [(0.0, times(run, "role")[0][1])]


def test_a_trigger_that_is_never_reached_changes_nothing() -> None:
    for at in (OnEvent("elected", nth=99), OnMessage("RequestVote", nth=9999), OnWrite(nth=10**6)):
        assert scenario(FIRST, Crash("n0", at=at)).run(3).digest() == scenario(FIRST).run(3).digest()


def test_without_triggers_no_run_pays_for_them() -> None:
    simulation = scenario(FIRST).start(1)
    assert simulation.cluster.network.on_send is None
    assert simulation.cluster._on_event == []
    assert "write" not in vars(simulation.cluster.hosts["n0"].disk)


@pytest.mark.parametrize(
    ("at", "system", "message"),
    [
        (OnEvent("electd"), Raft(nodes=3), "has no event 'electd' (did you mean 'elected'?)"),
        (OnEvent("elected", node="n3"), Raft(nodes=3), "has no node 'n3'"),
        (
            OnMessage("AppendEntry"),
            Raft(nodes=3),
            "has no message 'AppendEntry' (did you mean 'AppendEntries'?)",
        ),
        (OnMessage("RequestVote", src="c9"), Raft(nodes=3), "has no node 'c9'"),
        (OnMessage("RequestVote"), PrimaryBackup(), "has no message 'RequestVote'"),
        (OnWrite(node="c0"), Raft(nodes=3), "has no node with durable fields 'c0'"),
        (OnEvent("crash", delay=3.0), Raft(nodes=3), "would never happen: it begins at 3.0 s"),
    ],
)
def test_a_trigger_that_cannot_be_reached_is_refused_with_the_scenario(
    at: Any, system: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        scenario(Crash("n0", at=at), system=system)


def test_events_with_computed_names_are_known() -> None:
    assert scenario(Pause("n0", at=OnEvent("suspect"), duration=0.1), system=Swim(), workload=NoLoad()).faults


def test_there_is_a_target_of_triggers_at_a_node_only() -> None:
    for at in (1.0, OnEvent("cut")):
        with pytest.raises(ValueError, match="there is no 'there'"):
            scenario(Cut("there", "n1", at=at))
    with pytest.raises(ValueError, match="src and dst are two nodes"):
        OnMessage("RequestVote", src="n1", dst="n1")


def test_a_trigger_of_no_fault_cannot_be_waited_for() -> None:
    with pytest.raises(LookupError, match="is not counted"):
        scenario().start(1).reached(OnEvent("elected"))
