"""Egalitarian Paxos: execution order, exact costs, mutants that its laws catch, storms, refused settings, a trace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Scenario
from sim.lab import chaos, chaos_scenario
from sim.network import constant
from sim.protocols import EPaxos
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.epaxos import EPaxosNode
from sim.protocols.consensus.epaxos_execution import execution_order
from sim.protocols.consensus.epaxos_messages import Instance, PreAccept
from sim.system import Member, SafetyViolation
from sim.workload import ClosedLoop, Uniform

DELTA = 0.01
BATCH = 10


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


def scenario(
    nodes: int, where: str, thrifty: bool, keys: int = 1000, clients: int = 1, **options: Any
) -> Scenario:
    return Scenario(
        system=EPaxos(nodes=nodes, thrifty=thrifty, heartbeat=100.0, detection=1000.0, **options),
        network=constant(DELTA),
        workload=ClosedLoop(clients={where: clients}, operations=20, reads=0.0, keys=Uniform(keys)),
        duration=6.0,
        trace=True,
    )


@pytest.mark.parametrize("nodes", [3, 5, 7])
@pytest.mark.parametrize(("where", "delays"), [("lan", 4), ("n0", 2)])
def test_the_fast_path_costs_2_delays_at_the_leader_and_4_away_from_all(
    nodes: int, where: str, delays: int
) -> None:
    run = scenario(nodes, where, False).run(seed=1)
    assert run.operations["latency"].to_numpy() == pytest.approx(delays * DELTA)


@pytest.mark.parametrize("nodes", [3, 5, 7])
@pytest.mark.parametrize("thrifty", [False, True])
def test_a_fast_command_costs_2_fq_minus_1_messages_thrifty_and_the_commits(
    nodes: int, thrifty: bool
) -> None:
    run = scenario(nodes, "n0", thrifty).run(seed=1)
    f = (nodes - 1) // 2
    asked = max(2 * f - 1, 1) if thrifty else nodes - 1
    replicas = run.messages[run.messages["src"].str.startswith("n") & run.messages["dst"].str.startswith("n")]
    between = replicas[replicas["src"] != replicas["dst"]]
    assert len(between) == 20 * (2 * asked + nodes - 1)


@pytest.mark.parametrize("nodes", [5, 7])
def test_the_slow_path_costs_4_delays_at_the_leader(stage: Any, nodes: int) -> None:
    world = stage(EPaxos(nodes=nodes), beside="n0")
    rival = world.node("n1")
    # n1 knows a command on the key that nobody else has heard of, so its attributes differ from the others'.
    rival.learn((1, 1), 1, command("rival"), 5, (), Ballot(0, "n1"))
    world.ask("n0", value=1)
    world.run(0.039)
    assert world.node("n0").instances[0, 1].status == 2
    world.run(0.002)
    record = world.node("n0").instances[0, 1]
    assert record.status == 3
    assert record.deps == ((1, 1),)


def command(text: str) -> Any:
    from sim.protocols.kv import Command

    return Command(99, 1, "put", "x", text)


def test_commit_and_execution_latency_are_recorded_when_asked_for() -> None:
    run = scenario(5, "n0", False, record_commits=True).run(seed=1)
    for event in ("committed", "executed"):
        details = run.events[run.events["event"] == event]["detail"]
        assert [d["latency"] for d in details] == pytest.approx([2 * DELTA] * 20)


# Mutants


class BySeqOnly(EPaxosNode):
    """EP5: executes by seq, without regard to what depends on what, and without waiting."""

    def execute(self, instance: Instance) -> None:
        ready = [i for i, r in self.instances.items() if r.status == 3 and i not in self.executed]
        for one in sorted(ready, key=lambda i: (self.instances[i].seq, i)):
            self.apply(one)


class DeafAcceptor(EPaxosNode):
    """Answers PreAccept with the leader's attributes, whatever it knows."""

    def on_pre_accept(self, src: str, msg: PreAccept) -> None:
        seen_by = self.interference.seen_by
        self.interference.seen_by = lambda command, itself: (1, [])  # type: ignore[method-assign]
        super().on_pre_accept(src, msg)
        self.interference.seen_by = seen_by  # type: ignore[method-assign]


class HastyLeader(EPaxosNode):
    """Takes the fast path with a majority."""

    @property
    def fast_others(self) -> int:
        return self.f


class Forgetful(EPaxosNode):
    """Starts numbering anew after a crash, in memory."""

    def on_start(self) -> None:
        super().on_start()
        self.next_number = 1


def mutated(mutant: type[EPaxosNode]) -> type[EPaxos]:
    @dataclass(frozen=True, kw_only=True)
    class Broken(EPaxos):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(name, mutant) for name in self.names)

    return Broken


@pytest.mark.parametrize(
    ("mutant", "laws"),
    [
        (BySeqOnly, ("one order",)),
        (DeafAcceptor, ("one order", "exactly once")),
        (Forgetful, ("one outcome", "executed means committed", "one order", "exactly once")),
    ],
)
def test_a_mutant_is_caught_in_a_storm(mutant: type[EPaxosNode], laws: tuple[str, ...]) -> None:
    for seed in range(60):
        system = mutated(mutant)(nodes=5)
        run = chaos(system, seed, scenario=chaos_scenario(system, seed, storm=4.0, keys=1, clients=6))
        if isinstance(run.violation, SafetyViolation):
            assert any(law in run.violation.law for law in laws), run.violation
            return
    pytest.fail(f"{mutant.__name__} broke nothing")


def test_a_fast_path_with_a_majority_commits_what_a_recovery_cannot_find_again(stage: Any) -> None:
    def schedule(mutant: type[EPaxosNode] | None) -> Any:
        world = stage(EPaxos(nodes=5), mutant=mutant)
        cut = world.cluster.network.cut
        cut([("n0", "n3"), ("n0", "n4")])
        world.ask("n0", value=1)
        world.run(0.025)  # n1 and n2 have answered; what n0 makes of it reaches nobody
        cut([("n0", "n1"), ("n0", "n2")])
        world.run(0.01)
        world.crash("n0")
        world.crash("n2")
        world.ask("n3", value=2, session=2)
        world.run(5.0)
        return world

    world = schedule(None)
    assert [reply.session for reply in world.replies] == [2]
    with pytest.raises(SafetyViolation, match="one outcome per instance"):
        schedule(HastyLeader)


# Storms


def storms(seeds: range, storm: float, weather: Callable[..., None]) -> None:
    for seed in seeds:
        weather(EPaxos(nodes=3 + 2 * (seed % 2), thrifty=seed % 3 == 0), seed, storm)


@pytest.mark.parametrize("first", range(0, 60, BATCH))
def test_it_is_safe_in_every_storm_and_goes_on_after_it(weather: Any, first: int) -> None:
    storms(range(first, first + BATCH), 4.0, weather)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(1000, 2000, BATCH))
def test_a_thousand_storms(weather: Any, first: int) -> None:
    storms(range(first, first + BATCH), 8.0, weather)


# Settings, trace


@pytest.mark.parametrize("nodes", [0, 4, True])
def test_numbers_of_replicas_that_cannot_work_are_refused(nodes: int) -> None:
    with pytest.raises(ValueError, match=f"EPaxos: nodes must be .*{nodes}"):
        EPaxos(nodes=nodes)


def test_golden_trace_of_two_commands_that_interfere(stage: Any, golden: Callable[[str, str], None]) -> None:
    world = stage(EPaxos(nodes=3))
    world.ask("n0", value=1, session=1)
    world.ask("n2", value=2, session=2)
    world.run(0.09)
    assert len(world.replies) == 2
    assert [list(world.node(n).executed) for n in ("n0", "n1", "n2")] == [list(world.node("n0").executed)] * 3
    golden("epaxos_conflict.txt", world.trace())
