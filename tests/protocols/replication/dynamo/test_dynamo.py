"""Dynamo: exact costs, stand-ins, messages of repair and anti-entropy, refusals and claims."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.analysis.checks import check
from sim.cluster import Clock, Machine
from sim.faults import Crash, Partition
from sim.network import constant
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.protocols.quorums import Columns, Rows, Weighted
from sim.protocols.replication.dynamo import Stamped
from sim.workload import ClosedLoop, UniformKeys

DELTA = 0.01
QUIET = Dynamo(nodes=5, n=3, sync_every=None, repair="off")
Play = Callable[..., Scenario]


def key_where(system: Dynamo, holds: Callable[[tuple[str, ...]], bool]) -> str:
    """A key whose nodes, in ring order, satisfy a condition."""
    return next(key for key in (f"k{i}" for i in range(10_000)) if holds(system.order(key)))


HOME = key_where(QUIET, lambda order: order[0] == "n0")  # n0 is the nearest node: distances are equal
AWAY = key_where(QUIET, lambda order: "n0" not in order[:3])


def between_replicas(run: Any, *, since: float = 0.0, client: str = "c") -> Any:
    """The messages between nodes, self-sends left out."""
    m = run.messages
    outside = m["src"].str.startswith(client) | m["dst"].str.startswith(client) | (m["src"] == m["dst"])
    return m[~outside & (m["sent"] >= since)]


@pytest.mark.parametrize("kind", ["put", "get", "delete"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("at_home", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_an_operation_costs_4_delays_and_2_if_the_coordinator_suffices(
    play: Play, kind: str, count: int, at_home: bool, beside: bool
) -> None:
    """4δ for a client away from its coordinator, 2δ less beside it; another 2δ less for W or R = 1 at a home."""
    system = dataclasses.replace(QUIET, r=count, w=count)
    key = HOME if at_home else AWAY
    run = play(system, [(0.1, kind, key, "n0" if beside else "lan")]).run(1)
    row = run.operations.iloc[0]
    assert (row["status"], row["node"]) == ("ok", "n0")
    inside = 0 if at_home and count == 1 else 2
    assert row["latency"] == pytest.approx((inside + (0 if beside else 2)) * DELTA)
    assert len(between_replicas(run)) == 2 * (system.n - at_home)


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_messages_are_2n_less_1_at_home_and_2n_away(play: Play, n: int) -> None:
    system = Dynamo(nodes=7, n=n, sync_every=None, repair="off", points=64)
    for at_home in (True, False):
        key = key_where(system, lambda order, home=at_home: ("n0" in order[:n]) == home)  # type: ignore[misc]
        run = play(system, [(0.1, "put", key, "lan"), (1.0, "get", key, "lan")]).run(1)
        assert list(run.operations["status"]) == ["ok", "ok"]
        assert len(between_replicas(run)) == 2 * 2 * (n - at_home)


def test_clients_that_ask_the_first_home_get_a_home_coordinator(play: Play) -> None:
    run = play(dataclasses.replace(QUIET, coordinator="home"), [(0.1, "put", AWAY, "lan")]).run(1)
    assert run.operations.iloc[0]["node"] == QUIET.homes(AWAY)[0]
    assert len(between_replicas(run)) == 4


def reading(play: Play, repair: str, r: int, newer: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """A read of a key of which the homes of these indices hold something newer; the simulation, its row, its run."""
    system = dataclasses.replace(QUIET, repair=repair, r=r)
    simulation = play(system, [(0.1, "get", AWAY, "lan")]).start(1)
    version = Stamped((0.05, 99, 1), "newer")
    for index in newer:
        simulation.nodes[QUIET.homes(AWAY)[index]].keep(AWAY, version)  # type: ignore[attr-defined]
    simulation.run()
    simulation.finish()
    row = simulation.recorder.frame("operations").iloc[0]
    messages = simulation.recorder.frame("messages")
    holding = [simulation.nodes[home].store.get(AWAY) == version for home in QUIET.homes(AWAY)]  # type: ignore[attr-defined]
    return row, messages, holding


@pytest.mark.parametrize(("r", "newer", "stale"), [(2, (0,), 1), (3, (0,), 2), (3, (0, 1), 1)])
def test_blocking_repair_costs_2_delays_and_2_messages_a_stale_home(
    play: Play, r: int, newer: tuple[int, ...], stale: int
) -> None:
    row, messages, holding = reading(play, "blocking", r, newer)
    assert (row["value"], row["latency"]) == ("newer", pytest.approx(6 * DELTA))
    assert len(messages) == 2 + 2 * 3 + 2 * stale
    assert sum(holding) >= r


def test_blocking_repair_does_not_wait_when_r_homes_hold_what_is_returned(play: Play) -> None:
    row, messages, _ = reading(play, "blocking", 2, (0, 2))
    assert (row["value"], row["latency"]) == ("newer", pytest.approx(4 * DELTA))
    assert len(messages) == 2 + 2 * 3 + 2


@pytest.mark.parametrize(("repair", "behind"), [("background", 0), ("off", 2)])
def test_background_repair_costs_no_time_and_reaches_all_stale_homes(
    play: Play, repair: str, behind: int
) -> None:
    row, messages, holding = reading(play, repair, 2, (0,))
    assert (row["value"], row["latency"]) == ("newer", pytest.approx(4 * DELTA))
    assert holding.count(False) == behind
    assert len(messages) == 2 + 2 * 3 + 2 * (2 - behind)


def test_reads_that_agree_repair_nothing(play: Play) -> None:
    for repair in ("background", "blocking"):
        _, messages, _ = reading(play, repair, 2, (0, 1, 2))
        assert len(messages) == 2 + 2 * 3


# Those who stand in


CUT = [Partition((("n1",),), at=0.0, duration=2.0)]
WITH_N1 = key_where(QUIET, lambda order: order[0] == "n0" and "n1" in order[:3])


def test_sloppy_quorums_wait_once_for_a_silent_home_and_then_go_to_the_next_node(play: Play) -> None:
    system = dataclasses.replace(QUIET, w=3, sloppy=True)
    steps = [(0.1, "put", WITH_N1, "lan"), (1.0, "put", WITH_N1, "lan")]
    simulation = play(system, steps, faults=CUT).start(1)
    simulation.run(until=1.9)
    rows = simulation.recorder.frame("operations")
    assert rows["latency"].tolist() == pytest.approx([0.5 + 4 * DELTA, 4 * DELTA])
    hints = {n: dict(simulation.nodes[n].handoff.hints) for n in QUIET.names}  # type: ignore[attr-defined]
    keeper = QUIET.order(WITH_N1)[3]
    assert [n for n, kept in hints.items() if kept] == [keeper]
    ((home, version, _),) = hints[keeper][WITH_N1]
    assert (home, version.stamp) == ("n1", (1.0, *version.stamp[1:]))
    simulation.run(until=2.0 + system.handoff_every + 0.5)
    assert simulation.nodes["n1"].store[WITH_N1] == version  # type: ignore[attr-defined]
    assert not simulation.nodes[keeper].handoff.hints  # type: ignore[attr-defined]
    assert not simulation.nodes["n0"].coordinator.suspected  # type: ignore[attr-defined]


def test_strict_quorums_keep_hints_and_do_not_count_them(play: Play) -> None:
    """With W = 3 and a home cut off, the write is on two homes and in a hint, and is not answered until it heals."""
    system = dataclasses.replace(QUIET, w=3)
    run = play(system, [(0.1, "put", WITH_N1, "lan")], faults=CUT).run(1)
    row = run.operations.iloc[0]
    assert row["status"] == "ok"
    assert row["returned"] > 2.0
    assert run.violation is None
    kept = run.messages[(run.messages["kind"] == "Put") & (run.messages["dst"] == QUIET.order(WITH_N1)[3])]
    assert len(kept)


def test_a_coordinator_with_too_few_answers_says_so_and_the_next_one_is_asked(play: Play) -> None:
    """n0 is cut off from all nodes, but not from its client; operations on other keys still begin at n0."""
    system = dataclasses.replace(QUIET, n=5, handoff=False)
    steps = [(0.1, "put", "x", "lan"), (0.65, "put", "y", "lan")]
    faults = [Partition((("n0",), tuple(n for n in system.names if n != "n0")), at=0.0, duration=3.0)]
    retry = Retry(timeout=2.0, backoff=0.0)
    run = play(system, steps, faults=faults, retry=retry).run(1)
    rows = run.operations.sort_values("called")
    assert list(rows["attempts"]) == [2, 2]
    assert list(rows["node"]) == ["n1", "n1"]
    assert rows["latency"].tolist() == pytest.approx([0.5 + 6 * DELTA] * 2)
    assert (run.messages["kind"] == "Unavailable").sum() == 2 * 3  # each round of waiting says so


def test_without_handoff_no_other_node_is_asked(play: Play) -> None:
    system = dataclasses.replace(QUIET, handoff=False)
    run = play(system, [(0.1, "put", WITH_N1, "lan")], faults=CUT).run(1)
    asked = run.messages.loc[run.messages["kind"] == "Put", "dst"]
    # The coordinator is one of the homes; what it asks of itself is no message.
    assert {*asked, *run.operations["node"].dropna()} == set(QUIET.homes(WITH_N1))


def test_blocking_repair_reaches_stand_ins_so_that_sloppy_reads_stay_available(play: Play) -> None:
    """One home has the value, the others are cut off; a stand-in that has nothing is given a hint before the reply."""
    system = dataclasses.replace(QUIET, sloppy=True, repair="blocking")
    homes = system.homes(HOME)
    steps = [(0.1, "put", HOME, "n0"), (1.0, "get", HOME, "n0"), (2.0, "get", HOME, "n0")]
    rest = tuple(n for n in system.names if n not in homes[1:])
    simulation = play(system, steps, faults=[Partition((homes[1:], rest), at=0.5, duration=2.0)]).start(1)
    simulation.run(until=2.4)
    reads = simulation.recorder.frame("operations").sort_values("called").iloc[1:]
    assert list(reads["value"]) == [1, 1]
    assert reads["latency"].tolist() == pytest.approx([0.5 + 4 * DELTA, 2 * DELTA])
    kept = [home for n in rest for home, *_ in simulation.nodes[n].handoff.hints.get(HOME, ())]  # type: ignore[attr-defined]
    assert set(kept) <= set(homes[1:])
    assert kept


def test_a_hint_keeps_the_version_and_the_time_it_came_first(play: Play) -> None:
    system = dataclasses.replace(QUIET, nodes=5)
    simulation = play(system, [(0.1, "put", "k0", "lan")], duration=3.0).start(1)
    keeper: Any = simulation.nodes["n4"]
    old, new = Stamped((1.0, 7, 1), "old"), Stamped((2.0, 7, 2), "new")
    keeper.handoff.add("n1", "x", old)
    simulation.run(until=0.25)
    keeper.handoff.add("n1", "x", old)
    assert keeper.handoff.hints["x"] == (("n1", old, 0.0),)
    keeper.handoff.add("n2", "x", old)
    keeper.handoff.add("n1", "x", new)
    keeper.handoff.add("n1", "x", old)
    assert keeper.handoff.hints["x"] == (("n2", old, 0.25), ("n1", new, 0.25))
    assert keeper.handoff.held("x") == new


def test_hints_of_many_keys_go_home_in_batches(play: Play) -> None:
    scenario = play(QUIET, [(0.1, "put", "k0", "lan")], duration=3.0)
    simulation = dataclasses.replace(scenario, check=False).start(
        1
    )  # invariants would say that nobody wrote them
    for i in range(150):
        simulation.nodes["n4"].handoff.add("n1", f"x{i}", Stamped((1.0, 7, i), i))  # type: ignore[attr-defined]
    simulation.run()
    simulation.finish()
    messages = simulation.recorder.frame("messages")
    assert (messages["kind"] == "Handoff").sum() == 3
    assert len([key for key in simulation.nodes["n1"].store if key.startswith("x")]) == 150  # type: ignore[attr-defined]


# Anti-entropy


def synced(play: Play, **stores: dict[str, Any]) -> Any:
    """The messages of two nodes that compare once, and what they hold then."""
    system = Dynamo(nodes=2, n=2, sync_every=100.0, fanout=2, depth=3, repair="off")
    simulation = play(system, [(0.1, "get", "x", "lan")], duration=1.0).start(1)
    for name, versions in stores.items():
        for key, version in versions.items():
            simulation.nodes[name].keep(key, version)  # type: ignore[attr-defined]
    simulation.cluster.hosts["n0"].step(simulation.nodes["n0"].anti_entropy.on_sync_timeout, ())  # type: ignore[attr-defined]
    simulation.run()
    simulation.finish()
    kinds = simulation.recorder.frame("messages")["kind"]
    counts = {kind: int((kinds == kind).sum()) for kind in ("Tree", "Leaves")}
    return counts, [dict(simulation.nodes[n].store) for n in ("n0", "n1")]  # type: ignore[attr-defined]


def test_equal_trees_cost_one_message(play: Play) -> None:
    same = {f"k{i}": Stamped((1.0, 1, i), i) for i in range(20)}
    counts, (first, second) = synced(play, n0=same, n1=same)
    assert counts == {"Tree": 1, "Leaves": 0}
    assert first == second == same


@pytest.mark.parametrize(
    ("mine", "theirs", "leaves"), [(1, None, 1), (None, 1, 2), (1, 2, 2), (2, 1, 1)], ids=str
)
def test_a_difference_costs_a_message_a_level_and_one_or_two_with_versions(
    play: Play, mine: int | None, theirs: int | None, leaves: int
) -> None:
    """n0 begins. With depth 3 it is n0 that sees the hashes of the leaves, and tells first what it has there."""
    same = {f"k{i}": Stamped((1.0, 1, i), i) for i in range(20)}
    more = [{} if t is None else {"x": Stamped((float(t), 2, 1), t)} for t in (mine, theirs)]
    counts, (first, second) = synced(play, n0={**same, **more[0]}, n1={**same, **more[1]})
    assert counts == {"Tree": 3 + 1, "Leaves": leaves}
    assert first == second
    assert first["x"].value == max(t for t in (mine, theirs) if t)


# What is refused, and what is claimed


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"nodes": 3, "n": 4}, "nodes must be an integer of at least 4, not 3"),
        ({"r": 4}, "r=4 of n=3: a quorum of 4 members cannot be had from 3"),
        ({"w": 4}, "w=4 of n=3"),
        ({"r": 0}, "r=0 of n=3: .*size must be an integer of at least 1, not 0"),
        ({"w": 0}, "w=0 of n=3"),
        ({"w": -1}, "w=-1 of n=3"),
        ({"r": Rows(2, 2)}, "holds 4 members"),
        ({"fanout": 1024, "depth": 3}, "fanout=1024 and depth=3"),
        ({"versions": "siblings", "stamps": "coordinator"}, "siblings carry what clients have seen"),
        ({"hint_expiry": 120.0}, "hints that expire after 120.0 s would bring back"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Dynamo(**settings)


def test_hints_that_outlive_tombstones_are_a_matter_of_safety_and_claim_nothing() -> None:
    system = Dynamo(hint_expiry=200.0, unsafe=True)
    assert system.consistency is None
    assert "UNSAFE" in system.label


@pytest.mark.parametrize(
    ("settings", "claim"),
    [
        ({}, "regular"),
        ({"repair": "blocking"}, "linearizable"),
        ({"r": 1, "w": 3, "repair": "blocking"}, "regular"),  # two reads need not meet
        ({"r": 1, "w": 2}, "eventual"),
        ({"r": 1, "w": 1, "repair": "blocking"}, "eventual"),
        ({"nodes": 5, "sloppy": True}, "eventual"),
        ({"versions": "siblings"}, "eventual"),
        ({"stamps": "coordinator"}, "eventual"),
        ({"r": 1, "w": 1, "sync_every": None}, None),
        ({"r": Weighted((2, 1, 1)), "w": Weighted((2, 1, 1))}, "regular"),
        ({"nodes": 4, "n": 4, "r": Rows(2, 2), "w": Columns(2, 2), "repair": "blocking"}, "regular"),
    ],
)
def test_claims_follow_from_the_quorums(settings: Any, claim: str | None) -> None:
    assert Dynamo(**settings).consistency == claim


def test_it_serves_the_ordinary_workload_with_proxies_that_store_nothing() -> None:
    scenario = Scenario(
        system=Dynamo(nodes=4, n=3, proxies=2),
        network=constant(0.001),
        workload=ClosedLoop(clients={"p0": 2, "p1": 1}, keys=UniformKeys(20), think=0.01),
        retry=Retry(timeout=1.0),
        duration=2.0,
        check=True,
    )
    simulation = scenario.start(1)
    simulation.run()
    rows = simulation.recorder.frame("operations")
    assert set(rows["node"].dropna()) == {"p0", "p1"}
    assert not simulation.nodes["p0"].store  # type: ignore[attr-defined]
    assert scenario.run(1).check().ok


# Versions


@pytest.mark.parametrize(("stamps", "last"), [("client", 3), ("coordinator", 2)])
def test_a_write_that_is_tried_again_takes_effect_once(play: Play, stamps: str, last: int) -> None:
    """The first attempt is stored, its answer lost, another write comes between: the second attempt must not win."""
    system = Dynamo(nodes=3, stamps=stamps, coordinator="home", sync_every=None)
    first = system.homes("x")[0]
    steps = [(0.1, "put", "x", "lan"), (0.5, "put", "x", first), (4.0, "get", "x", first)]
    simulation = play(system, steps, retry=Retry(timeout=1.0, backoff=0.0)).start(1)
    simulation.run(until=0.105)
    unanswered = [(name, "c0") for name in system.names]
    simulation.cut(unanswered)
    simulation.run(until=1.0)
    simulation.heal(unanswered)
    simulation.run()
    simulation.finish()
    rows = simulation.recorder.frame("operations").sort_values("called")
    assert list(rows["attempts"]) == [2, 1, 1]
    assert rows.iloc[-1]["value"] == last  # the remote client writes 2, the other 3


@pytest.mark.parametrize(("stamps", "verdict"), [("client", "valid"), ("coordinator", "invalid")])
def test_a_request_that_the_network_delivers_twice_takes_effect_once(
    play: Play, stamps: str, verdict: str
) -> None:
    """Why coordinators' timestamps claim nothing: the second delivery comes after another write, and wins."""
    system = Dynamo(nodes=3, stamps=stamps, coordinator="home", sync_every=None)
    first = system.homes("x")[0]
    steps = [(0.1, "put", "x", "lan"), (0.5, "put", "x", first), (4.0, "get", "x", first)]
    simulation = play(system, steps).start(1)
    client = simulation.nodes["c0"]
    send, sent = client.send, []
    client.__dict__["send"] = lambda dst, msg, hold=True: (sent.append((dst, msg)), send(dst, msg))
    simulation.run(until=1.0)
    send(*sent[0])
    simulation.run()
    simulation.finish()
    rows = simulation.recorder.frame("operations")
    assert set(rows["attempts"]) == {1}
    assert check(rows, "regular").status == verdict


@pytest.mark.parametrize(("skew", "verdict"), [(0.0, "valid"), (-1.0, "invalid")])
def test_a_coordinator_whose_clock_is_behind_loses_what_it_acknowledges(
    play: Play, skew: float, verdict: str
) -> None:
    system = Dynamo(nodes=3, stamps="coordinator")
    steps = [(2.0, "put", "x", "n0"), (2.5, "put", "x", "n1"), (3.0, "get", "x", "n2")]
    hosts = {"n1": Machine(clock=Clock(offset=skew)), "*": Machine()}
    run = play(system, steps, machines=hosts).run(1)
    assert run.check("regular").status == verdict
    assert run.operations.iloc[-1]["value"] == (3 if skew else 4)


def test_gauges_tell_of_hints_suspicions_tombstones_and_siblings(play: Play) -> None:
    steps = [
        *((0.1, "put", WITH_N1, "n0"), (0.1, "put", WITH_N1, QUIET.homes(WITH_N1)[2])),
        (1.0, "delete", AWAY, "n0"),
    ]
    system = dataclasses.replace(QUIET, versions="siblings")
    run = play(system, steps, faults=CUT, sample_every=0.5).run(1)
    peaks = run.samples.groupby("gauge")["value"].max()
    assert peaks["hints"] >= 2
    assert peaks["suspected"] >= 1
    assert (peaks["tombstones"], peaks["siblings"]) == (1, 1)


def siblings(play: Play, steps: list[tuple[float, str, str, str]], **more: Any) -> Any:
    return play(Dynamo(nodes=3, versions="siblings"), steps, **more).run(1).operations


def test_writes_that_did_not_see_each_other_are_both_returned_until_one_replaces_them(play: Play) -> None:
    steps = [
        *((0.10, "put", "x", "n0"), (0.10, "put", "x", "n1")),  # concurrent
        (0.50, "get", "x", "n0"),
        (1.00, "put", "x", "n0"),  # has seen both
        *((1.50, "get", "x", "n0"), (1.50, "get", "x", "n2")),
    ]
    rows = siblings(play, steps)
    reads = rows[rows["kind"] == "get"].sort_values("called", kind="stable")
    assert sorted(reads.iloc[0]["value"]) == [3, 4]
    assert list(reads["value"])[1:] == [(6,), (6,)]


def test_a_blind_write_replaces_nothing_of_others_and_all_of_its_own(play: Play) -> None:
    steps = [
        (0.1, "put", "x", "n0"),
        (0.5, "put", "x", "n1"),
        (1.0, "put", "x", "n0"),
        (1.5, "get", "x", "n1"),
    ]
    rows = siblings(play, steps)
    assert sorted(rows.iloc[-1]["value"]) == [3, 4]  # the second of n0's client, and that of n1's


def test_a_deletion_takes_away_what_its_session_has_seen_and_no_more(play: Play) -> None:
    steps = [
        *((0.1, "put", "x", "n0"), (0.5, "get", "x", "n1"), (1.0, "put", "x", "n2")),
        *((1.5, "delete", "x", "n1"), (2.0, "get", "x", "n0")),
    ]
    rows = siblings(play, steps)
    assert rows.iloc[-1]["value"] == (5,)


def test_acknowledged_writes_that_no_node_has_are_counted(play: Play) -> None:
    """W = 1 with everything else cut off, and the only node that has it is lost with its disk."""
    system = dataclasses.replace(QUIET, nodes=3, r=1, w=1, handoff=False)
    simulation = play(system, [(0.1, "put", "x", "n0"), (0.3, "put", "x", "n0")], duration=1.0).start(1)
    simulation.cut([(a, b) for a in ("n0",) for b in ("n1", "n2")])
    simulation.run()
    assert simulation.acknowledged_lost == 0
    simulation.crash("n0")
    assert simulation.acknowledged_lost == 2


def test_a_node_that_was_down_gets_what_it_missed(play: Play) -> None:
    system = Dynamo(nodes=3, sync_every=0.5)
    run = play(
        system, [(0.5, "put", "x", "n0"), (3.0, "get", "x", "n2")], faults=[Crash("n2", at=0.2, down=0.5)]
    ).start(1)
    run.run(until=2.9)
    assert run.nodes["n2"].store["x"].value == 2  # type: ignore[attr-defined]
