"""EPaxos and EPaxos*: execution order, exact costs, storms, schedules of the explorer, refused settings, a trace."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Scenario
from sim.network import constant, matrix
from sim.protocols import EPaxos, EPaxosStar
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.epaxos.execution import execution_order
from sim.protocols.consensus.epaxos.messages import ACCEPTED, COMMITTED, Instance
from sim.protocols.consensus.epaxos_star.messages import Deps, PreAccept, Recover, RecoverOk, Validate
from sim.protocols.consensus.epaxos_star.node import EPaxosStarNode
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms
from tests.protocols.epaxos.explorer import explore

DELTA = 0.01


# Execution order


@st.composite
def graphs(draw: Any) -> tuple[dict[Instance, list[Instance]], dict[Instance, int]]:
    """Every two commands depend on each other one way, or both ways, as those that interfere do."""
    count = draw(st.integers(1, 7))
    nodes = [(i, 1) for i in range(count)]
    deps: dict[Instance, list[Instance]] = {node: [] for node in nodes}
    for a, b in itertools.combinations(nodes, 2):
        which = draw(st.integers(0, 2))
        if which != 1:
            deps[a].append(b)
        if which != 0:
            deps[b].append(a)
    return deps, {node: draw(st.integers(1, 3)) for node in nodes}


def reach(deps: dict[Instance, list[Instance]], start: Instance) -> set[Instance]:
    found, todo = {start}, [start]
    while todo:
        for other in deps[todo.pop()]:
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


@given(graphs(), st.data())
def test_dependencies_go_first_components_stay_together_and_inside_them_seq_decides(
    graph: Any, data: Any
) -> None:
    deps, seq = graph
    start = data.draw(st.sampled_from(sorted(deps)))
    order = execution_order(start, lambda i: deps[i], lambda i: seq[i])
    assert isinstance(order, list)
    assert set(order) == reach(deps, start)
    place = {instance: i for i, instance in enumerate(order)}
    reached = {i: reach(deps, i) for i in order}
    for a, b in itertools.permutations(order, 2):
        mutual = b in reached[a] and a in reached[b]
        if mutual:
            assert (place[a] < place[b]) == ((seq[a], a) < (seq[b], b))
        elif b in reached[a]:
            assert place[b] < place[a]


@given(graphs(), st.data())
def test_the_order_does_not_depend_on_where_one_starts_or_on_the_order_of_dependencies(
    graph: Any, data: Any
) -> None:
    deps, seq = graph
    shuffled = {i: data.draw(st.permutations(d)) for i, d in deps.items()}
    executed: list[list[Instance]] = []
    for graph_, starts in ((deps, sorted(deps)), (shuffled, sorted(deps, reverse=True))):
        done: list[Instance] = []
        for start in starts:
            if start not in done:

                def left(i: Instance, g: Any = graph_, d: Any = done) -> Iterable[Instance]:
                    return [x for x in g[i] if x not in d]

                found = execution_order(start, left, lambda i: seq[i])
                assert isinstance(found, list)
                done.extend(found)
        executed.append(done)
    assert executed[0] == executed[1]


def test_what_is_not_committed_blocks() -> None:
    deps: dict[Instance, list[Instance] | None] = {(0, 1): [(1, 1)], (1, 1): [(2, 1)], (2, 1): None}
    assert execution_order((0, 1), lambda i: deps[i], lambda i: 1) == (2, 1)


# Costs


def scenario(system: Any, where: str, operations: int = 20) -> Scenario:
    return Scenario(
        system=dataclasses.replace(system, heartbeat=100.0, detection=1000.0),
        network=constant(DELTA),
        workload=ClosedLoop(clients={where: 1}, operations=operations, reads=0.0, keys=UniformKeys(1000)),
        duration=6.0,
        trace=True,
    )


def between_replicas(run: Any) -> int:
    """How many messages replicas have sent to others."""
    messages = run.messages
    here = messages["src"].str.startswith("n") & messages["dst"].str.startswith("n")
    return int((here & (messages["src"] != messages["dst"])).sum())


@pytest.mark.parametrize(("nodes", "size"), [(3, 2), (5, 3), (7, 5), (9, 6)])
def test_the_optimised_fast_quorum_has_f_and_half_of_f_plus_1(nodes: int, size: int) -> None:
    f = (nodes - 1) // 2
    assert EPaxosStar(nodes=nodes).fast_quorum_size == size == f + (f + 1) // 2
    assert EPaxos(nodes=nodes).fast_quorum_size == 2 * f


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
@pytest.mark.parametrize("nodes", [3, 5, 7, 9])
@pytest.mark.parametrize(("where", "delays"), [("lan", 4), ("n0", 2)])
def test_the_fast_path_costs_2_delays_at_the_leader_and_4_away_from_all(
    system_class: Any, nodes: int, where: str, delays: int
) -> None:
    run = scenario(system_class(nodes=nodes), where).run(seed=1)
    assert run.operations["latency"].to_numpy() == pytest.approx(delays * DELTA)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
@pytest.mark.parametrize("nodes", [3, 5, 7, 9])
@pytest.mark.parametrize("thrifty", [False, True])
def test_a_fast_command_costs_2_fq_minus_1_messages_thrifty_or_to_all_and_the_commits(
    system_class: Any, nodes: int, thrifty: bool
) -> None:
    system = system_class(nodes=nodes, thrifty=thrifty)
    run = scenario(system, "n0").run(seed=1)
    asked = system.fast_quorum_size - 1 if thrifty else nodes - 1
    assert between_replicas(run) == 20 * (2 * asked + nodes - 1)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
@pytest.mark.parametrize("thrifty", [False, True])
def test_three_replicas_commit_in_one_round_trip_whatever_interferes(
    system_class: Any, thrifty: bool
) -> None:
    """SOSP 2013, figure 4 left: three sites commit as fast with 100 % interference as without any."""
    run = Scenario(
        system=system_class(nodes=3, thrifty=thrifty, record_commits=True, heartbeat=100.0, detection=1000.0),
        network=constant(DELTA),
        workload=ClosedLoop(
            clients={"n0": 2, "n1": 2, "n2": 2}, operations=20, reads=0.0, keys=UniformKeys(1)
        ),
        duration=6.0,
        trace=True,
    ).run(seed=1)
    details = run.events[run.events["event"] == "committed"]["detail"]
    assert [d["latency"] for d in details] == pytest.approx([2 * DELTA] * 120)
    assert set(run.messages["kind"]) == {"Request", "Reply", "PreAccept", "PreAcceptOk", "Commit"}
    assert between_replicas(run) == 120 * (2 * (1 if thrifty else 2) + 2)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
@pytest.mark.parametrize("keys", [1, 1_000_000])
def test_three_sites_commit_in_the_round_trip_to_the_nearest_with_and_without_interference(
    system_class: Any, keys: int
) -> None:
    """The sites of SOSP 2013, figure 4 left: California, Virginia, Ireland, with the round trips printed there."""
    sites = ("CA", "VA", "EU")
    rtt = {("CA", "VA"): 0.085, ("VA", "EU"): 0.090, ("CA", "EU"): 0.156}
    one_way = [[0.0 if a == b else rtt.get((a, b), rtt.get((b, a), 0.0)) / 2 for b in sites] for a in sites]
    run = Scenario(
        system=system_class(nodes=3, record_commits=True),
        network=matrix(sites, one_way),
        workload=ClosedLoop(clients={"n0": 1, "n1": 1, "n2": 1}, reads=0.0, keys=UniformKeys(keys)),
        duration=6.0,
    ).run(seed=1)
    events = run.events[(run.events["event"] == "committed") & (run.events["time"] > 1.0)]
    latency = events["detail"].map(lambda detail: detail["latency"]).groupby(events["node"])
    nearest = {"n0": 0.085, "n1": 0.085, "n2": 0.090}  # n2's next in the ring is 156 ms away
    assert latency.median().to_dict() == pytest.approx(nearest)
    assert latency.max().to_dict() == pytest.approx(nearest)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
def test_when_the_partner_of_three_is_down_one_command_is_slow_and_the_next_has_another_partner(
    stage: Any, system_class: Any
) -> None:
    world = stage(system_class(nodes=3), beside="n0")
    world.crash("n1")
    world.ask("n0", value=1, session=1)
    world.run(1.0)
    world.ask("n0", value=2, session=2)
    world.run(1.0)
    first, second = world.client.answered
    assert first == pytest.approx(0.05 + 2 * DELTA)  # timeout, then a round of Accepts
    assert second == pytest.approx(1.0 + 2 * DELTA)


def rivals(world: Any) -> None:
    """n0's successors in the ring know each of a command on the key that nobody else has heard of."""
    for row in range(1, 3):
        name, rival = f"n{row}", Command(90 + row, 1, "put", "x", "rival")
        if isinstance(world.system, EPaxos):
            world.node(name).learn((row, 1), 1, rival, 5, (), Ballot(0, name))
        else:
            nothing = Deps((0,) * world.system.nodes, ())
            world.node(name).preaccepted((row, 1), rival, nothing, nothing)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
@pytest.mark.parametrize("nodes", [5, 7])
@pytest.mark.parametrize("thrifty", [False, True])
def test_the_slow_path_costs_4_delays_at_the_leader_and_a_round_of_messages(
    stage: Any, system_class: Any, nodes: int, thrifty: bool
) -> None:
    system = system_class(nodes=nodes, thrifty=thrifty, heartbeat=100.0, detection=1000.0)
    world = stage(system, beside="n0")
    rivals(world)
    world.ask("n0", value=1)
    world.run(4 * DELTA - 0.001)
    assert world.node("n0").instances[0, 1].status == ACCEPTED
    world.run(0.011)
    record = world.node("n0").instances[0, 1]
    assert record.status == COMMITTED
    assert list(getattr(record.deps, "others", record.deps)) == [(1, 1), (2, 1)]
    first = system.fast_quorum_size - 1 if thrifty else nodes - 1
    second = (nodes - 1) // 2 if thrifty else nodes - 1
    assert len(world.messages()) == 2 * first + 2 * second + nodes - 1
    assert thrifty or len(world.messages()) == 5 * (nodes - 1)


@pytest.mark.parametrize(("beside", "delays"), [("n4", 4), (None, 6)])
def test_on_the_slow_path_a_client_waits_4_delays_at_the_leader_and_6_away_from_all(
    stage: Any, beside: str | None, delays: int
) -> None:
    """n4 leads its command 5 ms after n2, of whose command all others hear first, and n4 last."""
    world = stage(EPaxosStar(nodes=5), beside=beside)
    world.ask("n2", value=1, session=1)
    world.run(0.015 if beside else 0.005)
    asked = world.now
    world.ask("n4", value=2, session=2)
    world.run(0.2)
    assert world.node("n4").instances[4, 1].deps.others == ((2, 1),)
    answered = {reply.session: time for time, _, reply in world.client.heard}
    assert answered[2] - asked == pytest.approx(delays * DELTA)


@pytest.mark.parametrize("system_class", [EPaxos, EPaxosStar])
def test_commit_and_execution_latency_are_recorded_when_asked_for(system_class: Any) -> None:
    run = scenario(system_class(nodes=5, record_commits=True), "n0").run(seed=1)
    for event in ("committed", "executed"):
        details = run.events[run.events["event"] == event]["detail"]
        assert [d["latency"] for d in details] == pytest.approx([2 * DELTA] * 20)


def test_a_command_is_executed_later_than_it_is_committed_when_it_waits_for_another(stage: Any) -> None:
    world = stage(EPaxosStar(nodes=5, record_commits=True), beside="n0")
    rivals(world)
    world.ask("n0", value=1)
    world.run(3.0)
    ((committed, *_),) = [e for e in world.events("committed") if e[1] == "n0"]
    ((executed, *_),) = [e for e in world.events("executed") if e[1] == "n0"]
    assert committed == pytest.approx(4 * DELTA)
    assert executed > committed + 0.5  # the rivals' leaders have not led them: somebody recovers them first


# Storms

SYSTEMS = [
    EPaxos(nodes=5),
    EPaxos(nodes=5, thrifty=True),
    EPaxos(nodes=3),
    EPaxos(nodes=7),
    EPaxosStar(nodes=5),
    EPaxosStar(nodes=5, thrifty=True),
    EPaxosStar(nodes=3),
    EPaxosStar(nodes=7),
]
MORE_SYSTEMS = [*SYSTEMS, EPaxos(nodes=3, thrifty=True), EPaxosStar(nodes=3, thrifty=True)]


@storms(2, 1.2)
@pytest.mark.parametrize("system", MORE_SYSTEMS, ids=lambda s: s.label)
def test_it_is_safe_in_every_storm_and_goes_on_after_it(system: Any, seeds: range, length: float) -> None:
    for seed in seeds:
        survive(system, seed, length)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_it_is_safe_in_schedules_of_the_explorer(system: Any) -> None:
    met = explore(system, range(40))
    assert met["recoveries"] > 25


@pytest.mark.nightly
@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("system", MORE_SYSTEMS, ids=lambda s: s.label)
def test_it_is_safe_in_many_schedules_of_the_explorer(system: Any, keys: int) -> None:
    explore(system, range(10_000, 30_000), keys=keys)


# Starvation, catching up


@pytest.mark.parametrize("system", [EPaxos(nodes=5), EPaxosStar(nodes=5)], ids=lambda s: s.label)
def test_a_command_that_its_leader_left_behind_is_recovered_though_others_keep_coming(
    stage: Any, system: Any
) -> None:
    world = stage(system)
    world.ask("n0", value=1)
    world.run(0.025)
    world.crash("n0")
    for second in range(2, 42):  # one every 50 ms, all of which depend on the command of n0
        world.ask("n1", value=second, session=second)
        world.run(0.05)
    assert len(world.replies) > 10
    assert world.node("n1").instances[0, 1].status == COMMITTED


@pytest.mark.parametrize("system", [EPaxos(nodes=5), EPaxosStar(nodes=5)], ids=lambda s: s.label)
def test_a_replica_that_missed_many_commits_fetches_them_in_a_few_heartbeats(stage: Any, system: Any) -> None:
    world = stage(system)
    world.isolate("n4")
    for second in range(1, 151):
        world.ask("n0", value=second, session=second)
        world.run(0.05)
    assert len(world.node("n4").executed) == 0
    world.heal()
    world.ask("n0", value=0, session=1000)
    world.run(0.5)  # a dozen heartbeats; 150 recoveries one after the other would take a minute
    assert len(world.node("n4").executed) == 151


# Settings, trace


@pytest.mark.parametrize(
    "nodes",
    [
        4,
    ],
)
def test_numbers_of_replicas_that_cannot_work_are_refused(nodes: int) -> None:
    with pytest.raises(ValueError, match=f"EPaxos: nodes must be .*{nodes}"):
        EPaxos(nodes=nodes)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: EPaxos(nodes=5, fast_quorum=3), "fast quorum of 2F = 4 of 5, not 3"),
        (lambda: EPaxos(nodes=5, fast_quorum=2, unsafe=True), "at least 3, not 2"),
        (lambda: EPaxos(nodes=5, fast_quorum=6), "fast_quorum=6 is more than 5"),
        (lambda: EPaxosStar(nodes=4, faults=2), "faults=2 needs at least 5 nodes, not 4"),
        (lambda: EPaxosStar(nodes=7, fast_faults=3), "n - e = 4 of 7 nodes is too small"),
        (lambda: EPaxosStar(nodes=5, fast_faults=3), "fast_faults=3 is more than faults=2"),
    ],
)
def test_quorums_that_cannot_work_are_refused_with_the_value(make: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def test_what_is_refused_for_safety_runs_marked_unsafe() -> None:
    assert EPaxos(nodes=5, fast_quorum=3, unsafe=True).label == "UNSAFE EPaxos(fast_quorum=3)"
    assert EPaxosStar(nodes=7, fast_faults=3, unsafe=True).label.startswith("UNSAFE EPaxosStar(nodes=7")


@pytest.mark.parametrize("system", [EPaxos(nodes=5), EPaxosStar(nodes=5)], ids=repr)
def test_a_scan_is_ordered_with_every_write(stage: Any, system: Any) -> None:
    world = stage(system)
    world.ask("n0", value=1, key="a", session=1)
    world.ask("n1", "scan", 5, key="", session=2)
    world.ask("n2", value=2, key="b", session=3)
    world.run(0.2)
    scan, *puts = [next(i for i in world.node("n4").instances if i[0] == row) for row in (1, 0, 2)]
    for put in puts:  # the scan is ordered with each of the two, which are not with each other
        of_scan, of_put = (world.node("n4").instances[i].deps for i in (scan, put))
        assert put in of_scan or scan in of_put


def test_golden_trace_of_two_commands_that_interfere(stage: Any, golden: Callable[[str, str], None]) -> None:
    world = stage(EPaxos(nodes=3))
    world.ask("n0", value=1, session=1)
    world.ask("n2", value=2, session=2)
    world.run(0.09)
    assert len(world.replies) == 2
    assert [list(world.node(n).executed) for n in ("n0", "n1", "n2")] == [list(world.node("n0").executed)] * 3
    golden("epaxos_conflict.txt", world.trace())


def test_a_recovery_that_nobody_has_refused_keeps_its_ballot_so_that_late_answers_count() -> None:
    """On replicas that are slow to send, each higher ballot would come before the answers to the one before."""
    members = tuple(f"n{i}" for i in range(5))
    bench = Bench(EPaxosStarNode, "n0", members=members, settings=EPaxosStar(nodes=5), keep_own=True)
    instance: Instance = (4, 1)
    bench.deliver("n4", PreAccept(instance, Command(1, 1, "put", "x", 1), Deps((0,) * 5, ())))
    for _ in range(3):
        bench.fire("recover", instance)
    asked = bench.take(kind=Recover)
    assert [message.ballot for message in asked] == [Ballot(1, "n0")] * 4
    for peer in ("n1", "n2"):
        bench.deliver(peer, RecoverOk(instance, Ballot(1, "n0"), EPaxosStarNode.nothing))
    assert bench.take(kind=Validate)


@pytest.mark.parametrize("system", [EPaxos(nodes=3, thrifty=True), EPaxosStar(nodes=3, thrifty=True)])
def test_a_replica_that_was_not_asked_learns_the_last_command_of_a_row_although_its_commit_was_lost(
    stage: Callable[..., Any], system: EPaxos | EPaxosStar
) -> None:
    s = stage(system)
    s.run(0.1)
    s.cluster.network.hold(lambda src, dst, msg: dst == "n2" and type(msg).__name__ == "Commit")
    s.ask("n0", value=1)
    s.run(0.1)
    assert not s.node("n2").instances
    s.cluster.network.release(lambda held: False, stop=True)
    s.run(2.0)
    assert s.node("n2").prefix == s.node("n0").prefix == [1, 0, 0]
