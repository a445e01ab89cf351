"""Values of every class come back from their written form equal: as plain data, as JSON, as TOML."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import scipy.stats
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import sim
from sim import Clock, Disk, Machine, Retry, Scenario
from sim.distributions import Constant, Distribution, Empirical, LogNormal, Mixture, PercentileTable, Scipy
from sim.distributions import Exponential as ExponentialTime
from sim.faults import Act, Administer, Crash, Fault, OnEvent, Partition, RandomCrashes, Repeated, Strike
from sim.measure import Measure, Sampled
from sim.network import Fate, GilbertElliott, Quiet, Topology, constant, lan, matrix, wan
from sim.network.playback import Recording
from sim.placement import Copysets
from sim.prices import CostOf, Prices
from sim.protocols import Balanced, MultiPaxos, MultiPrimary, Raft, ShardedRaft
from sim.protocols.admin import Join, Reconfigure, Transfer
from sim.protocols.balancing import BalancedStore, BoundedLoad, Codel, Hedge, RingHash, Server
from sim.protocols.consensus.raft import RaftNode
from sim.protocols.of_node import NodeSystem
from sim.protocols.quorum_plans import QuorumPlan, Resilient
from sim.protocols.quorums import Explicit, Majority, Weighted
from sim.protocols.sharding import ShardedSystem
from sim.settings import Value
from sim.system import System
from sim.workload import (
    Arrival,
    ClosedLoop,
    HotSpot,
    Latest,
    Mix,
    NoLoad,
    OpenLoop,
    ReadAfterWrite,
    Script,
    ScriptedCall,
    Trace,
    UniformKeys,
    Workload,
    Zipf,
)
from sim.written import from_dict, from_json, from_toml, to_dict, to_json, to_toml
from sim.written.hints import keywords, options
from sim.written.texts import toml_of

for found in pkgutil.walk_packages(sim.__path__, "sim."):
    if found.name != "sim.__main__":
        importlib.import_module(found.name)


def below(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


def classes() -> list[type]:
    """Every value class of the library."""
    found = {
        f"{c.__module__}:{c.__qualname__}": c for c in below(Value)
    }  # slots make a second class: the last counts
    ours = {
        name: c
        for name, c in found.items()
        if c.__module__.startswith("sim.") and dataclasses.is_dataclass(c) and c is not ShardedSystem
    }
    return [ours[name] for name in sorted(ours)]


def check(value: Any) -> None:
    """Both texts hold the same tree, and each gives the value back."""
    tree = to_dict(value)
    for back in (from_dict(tree, type(value)), from_json(to_json(value)), from_toml(to_toml(value))):
        assert back == value
        assert to_dict(back) == tree
        if isinstance(value, System):
            assert back.given == value.given


SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "operations": st.none() | st.integers(1, 9),
    "target": st.sampled_from(["leader", "n0", "random"]),
}
NUMBERS = st.floats(0.001, 100) | st.integers(1, 9)


def drawn(hint: Any, name: str) -> st.SearchStrategy[Any]:
    """What might stand in a field: most of it is accepted, the rest is assumed away."""
    if name in SPECIAL:
        return SPECIAL[name]
    return st.one_of([_one(option) for option in options(hint)])


def _one(hint: Any) -> st.SearchStrategy[Any]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(drawn(parts[0], ""), min_size=1, max_size=2).map(tuple)
    known: dict[Any, st.SearchStrategy[Any]] = {
        float: NUMBERS | st.floats(0, 1),
        int: st.integers(0, 9),
        bool: st.booleans(),
        str: st.sampled_from(["n0", "x y", "é\n\"#'", "get", ""]),
        type(None): st.none(),
        Distribution: st.sampled_from([Constant(0.1), ExponentialTime(0.01, shift=0.2)]),
    }
    return known.get(hint, st.nothing() if hint is Any or isinstance(hint, type) else st.none())


EXAMPLES: tuple[Any, ...] = (
    Scipy(scipy.stats.lognorm(0.5, scale=0.1)),
    ExponentialTime(0.1, shift=0.5),
    LogNormal(median=0.2, sigma=1),
    Mixture(((0.25, Constant(1)), (0.75, Constant(2.0)))),
    Administer(Join("n3", voter=False), at=1),
    Repeated(Crash("n0", at=OnEvent("elected", nth=2), down=1.0), count=3, pause=0.5),
    Act("restart", ("n0",), after=0.5, options={"wiped": True}),
    Strike(
        (Act("cut", ((("n0", "n1"),), "n0->n1")), Act("record", ("n0", "x", {"y": 1.0}))),
        at=OnEvent("elected"),
    ),
    Quiet(lan(Constant(0.01)), fates=(Fate("n0", "n1", "Append", 3, lost=True),)),
    Script(of=ClosedLoop(clients=2), calls=(ScriptedCall("c0", 0.5, "put", "x", 1, nth=2),), clients=("c0",)),
    Scenario(system=Raft()),
    wan("oregon", "oregon", "tokyo"),
    Recording(pairs=(("a", "b", (0.0, 1.0), (0.02, 0.5), (0.0, 1.0)),), start=0.5, end=2.0, after="hold"),
    BalancedStore(store=Raft(nodes=3)),
    Measure("log_lag", Sampled("lag", "max"), unit="entries", better="lower"),
    CostOf(Prices(machine={"virginia": 0.1, "*": 0.2}, between=0.02), "month"),
    Trace(arrivals=(Arrival(0.1, "put", "a"),), until=4),
    QuorumPlan(((("n0", "n1"), 0.25), (("n1", "n2"), 0.75)), ((("n1",), 1.0),)),
    Resilient(Majority(), 1),
)
"""Values of classes whose fields are too particular to be drawn."""


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_of_a_particular_class_comes_back_equal(value: Any) -> None:
    check(value)


NOT_WRITTEN = (NodeSystem,)
"""Classes whose values hold what has no written form: a class of nodes. They are refused with the path."""

DRAWN = [
    cls for cls in classes() if cls not in NOT_WRITTEN and not any(type(value) is cls for value in EXAMPLES)
]


def test_a_system_made_of_a_class_of_nodes_is_refused_with_its_path() -> None:
    with pytest.raises(ValueError, match=r"node_class: .*RaftNode.* has no written form"):
        to_dict(System.of(RaftNode, nodes=3))


@pytest.mark.parametrize("cls", DRAWN, ids=lambda c: f"{c.__module__}:{c.__qualname__}")
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_of_any_class_comes_back_equal(cls: type, data: st.DataObject) -> None:
    known = keywords(cls)
    chosen = {}
    for name, (hint, default) in known.items():
        strategy = drawn(hint, name)
        if not strategy.is_empty and (default is dataclasses.MISSING or data.draw(st.booleans())):
            chosen[name] = data.draw(strategy)
    try:
        value = cls(**chosen)
    except (ValueError, TypeError, OSError):
        assume(False)
        return
    check(value)


TRACE = "time,op,key\n0.5,put,a\n1.0,get,a\n"

SCENARIOS: dict[str, Scenario] = {
    "default": Scenario(system=Raft()),
    "explicit None": Scenario(system=MultiPaxos(nodes=3, lease=None, heartbeat=None), sample_every=None),
    "given but default": Scenario(system=Raft(nodes=5, unsafe=False)),
    "nested systems": Scenario(
        system=BalancedStore(store=Raft(nodes=3), policy=BoundedLoad(RingHash(points=10)))
    ),
    "sharded": Scenario(system=ShardedRaft(groups=2)),
    "placed": Scenario(system=ShardedRaft(groups=2, servers=9, placement=Copysets(3, 2), placement_seed=4)),
    "servers": Scenario(
        system=Balanced(
            servers=(Server(service=ExponentialTime(0.01), workers=1, codel=Codel()), Server()),
            resilience=(Hedge(),),
        )
    ),
    "resolver": Scenario(system=MultiPrimary(conflicts="siblings", resolver=max)),
    "quorums": Scenario(
        system=MultiPaxos(nodes=3, phase1=Weighted((2.0, 1.0, 1.0)), phase2=Weighted((2.0, 1.0, 1.0)))
    ),
    "explicit quorums": Scenario(
        system=MultiPaxos(nodes=3, phase1=Explicit((("n0", "n1"),)), phase2=Explicit((("n1", "n2"),)))
    ),
    "wan": Scenario(
        system=Raft(nodes=3), network=wan("virginia", "tokyo", loss=0.01, transport="stream"), leader="tokyo"
    ),
    "matrix": Scenario(
        system=Raft(nodes=3),
        network=matrix(
            ("a", "b"), ((0.001, [0.01, 0.02, 0.02]), (PercentileTable({0.5: 0.01, 1.0: 0.1}), 0.002))
        ),
    ),
    "bursts": Scenario(system=Raft(nodes=3), network=lan(0.001, burst=GilbertElliott(0.01, 0.5))),
    "mixture": Scenario(
        system=Raft(nodes=3), network=lan(Mixture(((0.9, Constant(0.001)), (0.1, ExponentialTime(0.01)))))
    ),
    "scipy": Scenario(system=Raft(nodes=3), network=lan(scipy.stats.gamma(2.0, scale=0.001))),
    "affine": Scenario(system=Raft(nodes=3), network=lan(ExponentialTime(0.001).shifted(0.001))),
    "closed loop": Scenario(
        system=Raft(),
        workload=ClosedLoop(clients={"lan": 2}, think=ExponentialTime(0.1), keys=HotSpot(10), operations=3),
    ),
    "mix": Scenario(
        system=Raft(),
        workload=OpenLoop(
            mix=Mix({"get": 1, "put": 2.0}, Latest(7), value_bytes=Empirical([1, 2, 3])), rate=5
        ),
    ),
    "ycsb": Scenario(system=Raft(), workload=OpenLoop(mix="A", keys=Zipf(9, 1.1), arrivals="constant")),
    "uniform keys": Scenario(system=Raft(), workload=OpenLoop(keys=UniformKeys(3), reads=0.1)),
    "idle": Scenario(system=Raft(), workload=NoLoad()),
    "probe": Scenario(
        system=Raft(), workload=ReadAfterWrite(writer="lan", reader="lan", waits=(0.1,), trials=2)
    ),
    "arrivals": Scenario(
        system=Raft(), workload=Trace(arrivals=(Arrival(0.1, "put", "a"), Arrival(0.2, "get", "b", "lan")))
    ),
    "faults": Scenario(
        system=Raft(nodes=3),
        faults=[
            Crash("leader", at=1.0, down=2.0),
            Partition((("n0",), ("n1", "n2")), at=3),
            RandomCrashes(mttf=9, mttr=1),
        ],
    ),
    "administration": Scenario(
        system=Raft(nodes=3, spares=1, membership="joint", transfer=True),
        faults=[
            Administer(Join("n3"), at=1.0),
            Administer(Reconfigure(("n0", "n1", "n3")), at=4.0),
            Administer(Transfer(), at=6.0),
        ],
    ),
    "machines": Scenario(
        system=Raft(nodes=3),
        machines={
            "n0": Machine(
                cores=2, disk=Disk(fsync=0.001, fsync_of={"log": Constant(0.002)}), clock=Clock(drift=1e-5)
            ),
            "*": Machine(per_message=1e-6),
        },
    ),
    "the rest": Scenario(
        system=Raft(nodes=3),
        retry=Retry(timeout=2, deadline=9.0),
        duration=5,
        warmup=1.0,
        check=True,
        trace=True,
        sample_every=0.5,
        name='é "x"\n\x7f',
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_of_each_kind_comes_back_equal(name: str) -> None:
    scenario = SCENARIOS[name]
    tree = scenario.to_dict()
    allow = ("builtins",) if name == "resolver" else ()
    for back in (
        Scenario.from_dict(tree, allow=allow),
        Scenario.from_json(scenario.to_json(), allow=allow),
        Scenario.from_toml(scenario.to_toml(), allow=allow),
    ):
        assert back == scenario
        assert back.system.given == scenario.system.given
        assert back.to_dict() == tree


@pytest.mark.parametrize("name", ["matrix", "scipy", "servers", "administration", "mix"])
def test_a_scenario_that_came_back_runs_alike(name: str) -> None:
    scenario = dataclasses.replace(SCENARIOS[name], duration=7.0)
    back = Scenario.from_toml(Scenario.from_json(scenario.to_json()).to_toml())
    assert back.run(seed=3).digest() == scenario.run(seed=3).digest()


def test_a_trace_is_written_as_its_file_and_the_digest_of_that(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    scenario = Scenario(system=Raft(nodes=3), workload=Trace(file))
    back = Scenario.from_toml(scenario.to_toml())
    assert back == scenario
    assert back.to_dict() == scenario.to_dict()
    written = scenario.to_toml()
    file.write_text(TRACE.replace("1.0", "1.5"))
    assert scenario.to_toml() == written  # what the scenario was made of
    with pytest.raises(
        ValueError, match=r"^scenario\.workload: .*trace\.csv.* is not the file that was used"
    ):
        Scenario.from_toml(written)


def test_measurements_of_ones_own_stand_in_the_tree(tmp_path: Path) -> None:
    file = tmp_path / "rtt.csv"
    file.write_text(
        "src,dst,rtt_ms\n" + "".join(f"x,y,{10 + i}\nx,x,{1 + i / 9}\ny,y,2\n" for i in range(30))
    )
    network = wan(csv=file)
    file.unlink()
    check(network)


@pytest.mark.parametrize("kind", [System, Fault, Workload, Topology, Distribution])
def test_the_kinds_are_what_they_were_thought_to_be(kind: type) -> None:
    assert issubclass(kind, Value)


TREES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3)
    ),
    max_leaves=9,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), TREES, max_size=4))
def test_toml_holds_any_tree(tree: dict[str, Any]) -> None:
    import tomllib

    assert tomllib.loads(toml_of(tree)) == tree


def test_scipys_distributions_are_equal_by_what_they_are() -> None:
    assert Scipy(scipy.stats.gamma(2.0, scale=0.1)) == Scipy(scipy.stats.gamma(2.0, scale=0.1))
    assert Scipy(scipy.stats.gamma(2.0, scale=0.1)) != Scipy(scipy.stats.gamma(2.0, scale=0.2))
    assert constant(0.1) == constant(0.1)
