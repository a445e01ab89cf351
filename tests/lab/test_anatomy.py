"""The parts of a latency are the message delays that one counts by hand, under the names that people give them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot

from sim import Scenario, System, compare
from sim.analysis.anatomy import PARTS, anatomy, mean_anatomy
from sim.analysis.causes import Causes
from sim.cluster import Disk, Machine
from sim.faults import Crash
from sim.lab import Run
from sim.network import constant, matrix
from sim.protocols import Abd, ChainReplication, EPaxos, Mencius, MultiPaxos, PrimaryBackup, Raft
from sim.workload import ClosedLoop, Mix, UniformKeys

DELAY = 0.010  # seconds


def traced(system: System, *, clients: int = 1, keys: int = 100, **fields: Any) -> Run:
    base: dict[str, Any] = {
        "network": constant(DELAY),
        "workload": ClosedLoop(clients=clients, mix=Mix({"put": 1}, UniformKeys(keys))),
        "duration": 1.0,
    }
    return Scenario(system=system, trace="full", **{**base, **fields}).run(1)


def parts(row: pd.Series) -> dict[str, float]:
    """The parts that took time, in message delays."""
    return {name: round(float(row[name]) / DELAY, 6) for name in PARTS if row[name] > 0}


@pytest.mark.parametrize(
    ("system", "delays", "last"),
    [
        (Raft(nodes=3), {"client": 2, "quorum": 2}, {"n1", "n2"}),
        (MultiPaxos(nodes=3), {"client": 2, "quorum": 2}, {"n1", "n2"}),
        (PrimaryBackup(nodes=3, mode="sync"), {"client": 2, "quorum": 2}, {"n1", "n2"}),
        (ChainReplication(nodes=4), {"client": 2, "quorum": 3}, {"n3"}),
        (
            Abd(nodes=3),
            {"quorum": 4},
            {"n0", "n1", "n2"},
        ),  # its client asks the majority itself, twice for a write
        (EPaxos(nodes=3), {"client": 2, "quorum": 2}, {"n0", "n1", "n2"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, System) else "",
)
def test_a_write_alone_has_the_message_delays_of_its_paper(
    system: System, delays: dict[str, float], last: set[str]
) -> None:
    row = traced(system).anatomy().iloc[-1]
    assert parts(row) == delays
    assert row["last"] in last


def test_a_write_that_a_slower_one_precedes_waits_for_the_order() -> None:
    """Two clients at two replicas write one key: EPaxos executes both in one order, Mencius all slots in theirs."""
    for system in (EPaxos(nodes=5), Mencius(nodes=3)):
        rows = traced(system, clients=2, keys=1).anatomy()
        assert rows["order"].max() >= 0.9 * DELAY, system
    alone = traced(EPaxos(nodes=5), clients=1, keys=1).anatomy()
    assert alone["order"].max() == 0.0


def test_disk_and_cores_are_parts_of_their_own() -> None:
    machine = Machine(per_message=0.001, disk=Disk(fsync=0.004))
    row = traced(Raft(nodes=3), machines=machine).anatomy().iloc[-1]
    assert parts(row) == {"client": 2, "quorum": 2, "service": 0.3, "disk": 0.4}
    crowd = traced(Raft(nodes=3), machines=machine, clients=20).anatomy()
    assert crowd["core"].max() > 5 * 0.001


def test_the_replica_needed_last_is_the_nearer_one() -> None:
    far = [[0.0005, 0.010, 0.030], [0.010, 0.0005, 0.030], [0.030, 0.030, 0.0005]]  # round trips, seconds
    rows = traced(Raft(nodes=3), network=matrix(["a", "b", "c"], far), leader="a").anatomy()
    assert set(rows["last"].iloc[1:]) == {"n1"}


def test_an_attempt_that_was_redirected_or_timed_out_is_retry() -> None:
    """Nobody leads at first: the attempts before the last one are lost time, and the last one is like any other."""
    first = parts(traced(Raft(nodes=3)).anatomy().iloc[0])
    retry = first.pop("retry")
    assert first == {"client": 2, "quorum": 2}
    assert retry > 2
    crashed = traced(Raft(nodes=3), faults=[Crash("leader", at=0.4)], duration=4.0).anatomy()
    assert crashed["retry"].iloc[1:].max() > 10 * DELAY


def frames(
    steps: list[tuple[float, str, dict[str, Any]]], sent: list[tuple[str, str, str, float, float, int, str]]
) -> Causes:
    messages = pd.DataFrame(
        sent, columns=["kind", "src", "dst", "handed", "delivered", "step", "operations"]
    ).assign(ready=lambda frame: frame["handed"])
    made = pd.DataFrame(
        [(*step[:2], json.dumps(step[2])) for step in steps], columns=["time", "node", "cause"]
    )
    return Causes(messages, made)


def operation(**fields: Any) -> pd.DataFrame:
    row = {
        "process": 0,
        "sequence": 1,
        "client": "c",
        "kind": "put",
        "region": "x",
        "called": 1.0,
        "call_step": 0,
    }
    return pd.DataFrame([{**row, **fields}])


def test_a_request_that_is_passed_on_and_a_reply_that_comes_back_the_same_way_are_the_clients_way() -> None:
    own = "[[0,1]]"
    causes = frames(
        [
            (1.0, "c", {"kind": "timer", "name": "wake", "after": -1}),
            (2.0, "balancer", {"kind": "message", "id": 0}),
            (4.0, "server", {"kind": "message", "id": 1}),
            (7.0, "balancer", {"kind": "message", "id": 2}),
            (11.0, "c", {"kind": "message", "id": 3}),
        ],
        [
            ("Request", "c", "balancer", 1.0, 2.0, 0, own),
            ("Request", "balancer", "server", 2.0, 4.0, 1, own),
            ("Reply", "server", "balancer", 4.0, 7.0, 2, own),
            ("Reply", "balancer", "c", 7.0, 11.0, 3, own),
        ],
    )
    row = anatomy(causes, operation(returned=11.0, return_step=4)).iloc[0]
    assert (row["client"], row["latency"], row["last"]) == (10.0, 10.0, "")


def test_a_message_that_was_sent_before_the_operation_came_ends_a_wait_for_the_order() -> None:
    causes = frames(
        [
            (0.5, "b", {"kind": "start", "after": -1}),
            (1.0, "c", {"kind": "timer", "name": "wake", "after": -1}),
            (2.0, "a", {"kind": "message", "id": 1}),
            (8.0, "a", {"kind": "message", "id": 0}),
            (16.0, "c", {"kind": "message", "id": 2}),
        ],
        [
            ("Commit", "b", "a", 0.5, 8.0, 0, "[]"),
            ("Request", "c", "a", 1.0, 2.0, 1, "[[0,1]]"),
            ("Reply", "a", "c", 8.0, 16.0, 3, "[[0,1]]"),
        ],
    )
    row = anatomy(causes, operation(returned=16.0, return_step=4, call_step=1)).iloc[0]
    assert {name: row[name] for name in PARTS if row[name]} == {"client": 9.0, "order": 6.0}


def test_what_is_about_another_operation_is_order_until_a_message_about_this_one() -> None:
    own, other = "[[0,1]]", "[[7,3]]"
    causes = frames(
        [
            (1.0, "c", {"kind": "timer", "name": "wake", "after": -1}),
            (2.0, "a", {"kind": "message", "id": 0}),
            (4.0, "b", {"kind": "message", "id": 1}),
            (8.0, "a", {"kind": "message", "id": 2}),
            (16.0, "c", {"kind": "message", "id": 3}),
        ],
        [
            ("Request", "c", "a", 1.0, 2.0, 0, own),
            ("Accept", "a", "b", 2.0, 4.0, 1, other),
            ("Accepted", "b", "a", 4.0, 8.0, 2, "[]"),
            ("Reply", "a", "c", 8.0, 16.0, 3, own),
        ],
    )
    row = anatomy(causes, operation(returned=16.0, return_step=4)).iloc[0]
    assert {name: row[name] for name in PARTS if row[name]} == {"client": 9.0, "order": 6.0}


def test_means_add_up_to_the_mean_latency_and_weigh_as_they_are_told() -> None:
    rows = traced(Raft(nodes=3), clients=3).anatomy().assign(run="Raft")
    rows["weight"] = range(len(rows))
    (mean,) = mean_anatomy(rows).to_dict("records")
    assert mean["count"] == len(rows)
    assert mean["latency"] == pytest.approx((rows["latency"] * rows["weight"]).sum() / rows["weight"].sum())
    assert sum(mean[name] for name in PARTS) == pytest.approx(mean["latency"])
    assert mean["last"] in {"n1", "n2"}
    assert 0.5 <= mean["last_share"] <= 1.0


def test_the_bars_of_a_comparison_are_as_long_as_the_mean_latency_after_the_warm_up() -> None:
    scenario = Scenario(
        system=Raft(nodes=3),
        network=constant(DELAY),
        workload=ClosedLoop(clients=2),
        duration=1.0,
        warmup=0.5,
        trace="full",
    )
    both = compare([Raft(nodes=3), EPaxos(nodes=3)], scenario, seeds=[1, 2], workers=1, progress=None)
    ax = both.plot.anatomy()
    ends: dict[float, float] = {}
    for bar in ax.patches:
        place = round(bar.get_y() + bar.get_height() / 2, 6)  # type: ignore[attr-defined]
        ends[place] = max(ends.get(place, 0.0), bar.get_x() + bar.get_width())  # type: ignore[attr-defined]
    counted = both.operations[(both.operations["called"] >= 0.5) & both.operations["returned"].notna()]
    weighed = counted["latency"] * counted["weight"]
    for (_, end), run in zip(sorted(ends.items()), both.scenarios, strict=True):
        mine = counted["run"] == run
        assert end == pytest.approx(1e3 * weighed[mine].sum() / counted["weight"][mine].sum())
    assert [label.get_text() for label in ax.get_yticklabels()] == list(both.scenarios)
    pyplot.close("all")
    plain = compare([Raft()], dataclasses.replace(scenario, trace=True), seeds=[1], workers=1, progress=None)
    with pytest.raises(ValueError, match='there is no full trace: run the scenario with trace="full"'):
        plain.plot.anatomy()
