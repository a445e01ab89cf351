"""Labels say in what systems differ; two systems that differ never have the same label."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim.protocols
from sim import Scenario, System, compare
from sim.lab import sweep
from sim.lab.labels import describe, label_all, same
from sim.lab.seeds import seed_list
from sim.network import constant
from sim.protocols import Dynamo, MultiPaxos, Paxos, PrimaryBackup, Raft
from sim.protocols.balancing import Balanced, BalancedStore, LeastConnections, PowerOfChoices, Random
from sim.protocols.replica import Replica
from sim.workload import OpenLoop

SYSTEMS = [
    found
    for name in sim.protocols.__all__
    if isinstance(found := getattr(sim.protocols, name), type) and issubclass(found, System)
]


@pytest.mark.parametrize(
    ("systems", "labels", "shared"),
    [
        ([Raft(), MultiPaxos()], ["Raft", "Multi-Paxos"], []),
        ([Raft(nodes=3), MultiPaxos(nodes=3)], ["Raft", "Multi-Paxos"], ["3 nodes"]),
        ([Raft(nodes=3), Raft(nodes=5)], ["Raft, 3 nodes", "Raft, 5 nodes"], []),
        ([Raft(nodes=3), MultiPaxos(nodes=5)], ["Raft, 3 nodes", "Multi-Paxos, 5 nodes"], []),
        ([Raft(), Raft(pre_vote=True)], ["Raft", "Raft, pre vote"], []),
        (
            [Raft(heartbeat=0.05, detection=0.5), Raft(heartbeat=0.1, detection=1.0)],
            ["Raft, heartbeat 50 ms, detection 500 ms", "Raft, heartbeat 100 ms, detection 1 s"],
            [],
        ),
        (
            [PrimaryBackup(nodes=5, mode="sync"), PrimaryBackup(nodes=5, mode="async")],
            ["Primary-Backup, mode sync", "Primary-Backup, mode async"],
            ["5 nodes"],
        ),
        (
            [
                Balanced(policy=Random()),
                Balanced(policy=LeastConnections()),
                Balanced(policy=PowerOfChoices()),
            ],
            [
                "Balanced, policy random",
                "Balanced, policy least connections",
                "Balanced, policy power of choices",
            ],
            [],
        ),
        (
            [BalancedStore(store=Raft(nodes=3)), BalancedStore(store=Raft(nodes=7))],
            ["Balanced Store, store (Raft, 3 nodes)", "Balanced Store, store (Raft, 7 nodes)"],
            [],
        ),
        (
            [Paxos(nodes=4, phase1=2, phase2=2, unsafe=True)],
            ["UNSAFE Paxos, 4 nodes, phase1 2, phase2 2"],
            [],
        ),
    ],
)
def test_a_label_says_in_what_systems_differ_and_equal_settings_stand_in_the_title(
    systems: list[System], labels: list[str], shared: list[str]
) -> None:
    found = label_all(systems)
    assert list(found.each) == labels
    assert list(found.shared) == shared


def other_values(system: System) -> list[System]:
    """The system with one field changed, for every field that takes one of a few values of its kind."""
    changed = []
    for f in dataclasses.fields(system):
        value = getattr(system, f.name)
        tries: list[Any] = [not value] if isinstance(value, bool) else []
        if isinstance(value, int | float) and not isinstance(value, bool):
            tries = [value + 2, value * 2]
        if value is None:
            tries = [0.25, 2.0, 3, "n0"]
        for other in tries:
            try:
                changed.append(dataclasses.replace(system, **{f.name: other}))
            except (ValueError, TypeError, AttributeError):
                continue
    return changed


@pytest.mark.parametrize("kind", SYSTEMS, ids=lambda kind: kind.__name__)
def test_no_two_systems_have_one_label_whatever_they_differ_in(kind: type[System]) -> None:
    base = kind(store=Raft()) if kind is BalancedStore else kind()  # type: ignore[call-arg]
    several = [base]
    for system in other_values(base):
        if not any(same(system, other) for other in several):
            several.append(system)
    assert len(several) > 2
    labels = label_all([*several, Dynamo(nodes=9)]).each
    assert len(set(labels)) == len(labels)
    for system in several[1:]:
        assert len(set(label_all([base, system]).each)) == 2
    with pytest.raises(ValueError, match="the same system is given twice"):
        label_all([base, several[1], kind(store=Raft()) if kind is BalancedStore else kind()])  # type: ignore[call-arg]


class Mute:
    """A value that is written like every other of its class."""

    def __repr__(self) -> str:
        return "Mute"


@dataclass(frozen=True, kw_only=True)
class Odd(System):
    """A system of somebody's own, with fields of any kind."""

    name: str = ""
    number: float = 0.0
    anything: Any = None
    array: Any = field(default_factory=lambda: np.zeros(2))


values = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(-1, 1), st.text("a1 ,", max_size=2),
                   st.builds(Mute), st.tuples(st.integers(0, 1)))  # fmt: skip
odd = st.builds(
    Odd,
    name=st.text("ab", max_size=2),
    number=st.sampled_from([0.0, 0.1, 0.1 + 1e-12]),
    anything=values,
    array=st.sampled_from([0.0, 1.0]).map(lambda x: np.full(2, x)),
)


@given(st.lists(odd, min_size=2, max_size=5))
def test_distinct_systems_get_distinct_labels_and_equal_ones_are_refused(systems: list[System]) -> None:
    twice = any(same(a, b) for i, a in enumerate(systems) for b in systems[:i])
    if twice:
        with pytest.raises(ValueError, match="given twice"):
            label_all(systems)
    else:
        labels = label_all(systems).each
        assert len(set(labels)) == len(systems)


class Store(Replica):
    """A node of a first protocol, with two settings."""

    def order(self, command: Any) -> None:
        self.cluster_setting = (self.settings.quorum, self.settings.hurry)


class Depot(Replica):
    """Another one."""

    def order(self, command: Any) -> None:
        self.cluster_setting = self.settings.quorum


def test_a_system_made_of_a_node_class_has_its_name_and_its_settings_in_labels() -> None:
    store = System.of(Store, consistency="linearizable", quorum=2)
    assert label_all([store, Raft(nodes=3)]).each == ("Store, quorum 2", "Raft")
    assert label_all([store, System.of(Depot, quorum=2)]).each == ("Store", "Depot")
    settings = [{"quorum": 2}, {"quorum": 3}, {"quorum": 2, "hurry": True}, {"quorum": 2, "nodes": 5}]
    assert label_all([System.of(Store, **given) for given in settings]).each == (  # type: ignore[arg-type]
        "Store, 3 nodes, quorum 2",
        "Store, 3 nodes, quorum 3",
        "Store, 3 nodes, quorum 2, hurry",
        "Store, 5 nodes, quorum 2",
    )
    shown = store._repr_html_()
    assert "quorum" in shown
    assert "node_class" not in shown


def test_a_subclass_does_not_pass_for_its_base() -> None:
    class Hasty(MultiPaxos):
        pass

    assert describe(Hasty()) == "Hasty"
    assert len(set(label_all([MultiPaxos(), Hasty()]).each)) == 2


def world(**changes: Any) -> Scenario:
    return Scenario(
        **{
            "system": Raft(nodes=3),
            "network": constant(0.01),
            "workload": OpenLoop(rate=40.0),
            "duration": 1.0,
            **changes,
        }
    )


def test_one_system_and_a_number_of_seeds_are_taken_as_meant() -> None:
    one = compare(Raft(), world(), seeds=3, workers=1, progress=None)
    assert [run.seed for run in one.runs] == [0, 1, 2]
    assert list(one.scenarios) == ["Raft, 3 nodes"]
    named = compare({"mine": Raft(), "theirs": MultiPaxos()}, world(), seeds=1, workers=1, progress=None)
    assert list(named.table()["system"]) == ["mine", "theirs"]
    mapped = world().sweep({"workload__rate": [20.0, 40.0]}, seeds=2, workers=1, progress=None)
    assert mapped.summaries["workload__rate"].tolist() == [20.0, 20.0, 40.0, 40.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: compare([Raft], world()), r"only systems can be compared, not .*; write Raft\(\)"),
        (lambda: compare(world(), [Raft()]), "is no system"),  # type: ignore[arg-type]
        (lambda: compare("Raft", world()), "'Raft' is no system"),  # type: ignore[arg-type]
        (lambda: compare([Raft()], [world()]), "systems and then the scenario, not"),  # type: ignore[arg-type]
        (lambda: compare([Raft(), Raft(nodes=3)], world()), "given twice: Raft, 3 nodes"),
        (lambda: compare([Raft()], world(), seeds=[4, 5, 4]), "seed 4 is given twice"),
        (lambda: compare([Raft()], world(), seeds=0), "seeds must be at least 1"),
        (lambda: compare([Raft()], world(), seeds=[1, -2]), "a seed is an integer >= 0, not -2"),
        (lambda: compare([Raft()], world(), seeds="12"), "seeds must be a number of seeds or a list"),  # type: ignore[arg-type]
        (lambda: world().sweep(duration=[1.0, 2.0, 1]), "duration: the value 1 is given twice"),
        (lambda: world().sweep(duration=2.0), r"the values of duration must be a list, not 2.0"),  # type: ignore[arg-type]
        (lambda: world().sweep(system__mode="ab"), "the values of system__mode must be a list, not 'ab'"),
        (lambda: world().sweep({"duration": [1.0]}, duration=[2.0]), "duration is given twice"),
        (lambda: world().sweep(duration=[1.0], seeds=[1, 1]), "seed 1 is given twice"),
        (lambda: world().sweep(system=[Raft(), Raft(nodes=3)]), "given twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_value(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_seeds_may_be_numpy_integers() -> None:
    assert seed_list(np.arange(3)) == [0, 1, 2]
    assert seed_list(np.int64(2)) == [0, 1]


def test_a_difference_takes_a_system_as_given_or_its_label() -> None:
    comparison = compare([Raft(), Raft(pre_vote=True)], world(), seeds=2, workers=1, progress=None)
    by_value = comparison.difference(Raft())
    assert by_value.equals(comparison.difference("Raft"))
    for stranger in (MultiPaxos(), "MultiPaxos"):
        with pytest.raises(ValueError, match="is none of the systems compared: Raft, Raft, pre vote"):
            comparison.difference(stranger)  # type: ignore[arg-type]


def test_a_swept_grid_is_compared_with_a_baseline_at_each_point() -> None:
    systems = [Raft(), MultiPaxos()]
    done = sweep(
        world(), {"system": systems, "workload.rate": [20.0, 40.0]}, seeds=2, workers=1, progress=None
    )
    ratio = done.ratio(MultiPaxos(), ["p50"])
    assert ratio[["system", "workload__rate", "n"]].values.tolist() == [["Raft", 20.0, 2], ["Raft", 40.0, 2]]
    assert ratio["text"].str.endswith("times Multi-Paxos").all()
    by_rate = done.difference({"workload.rate": 20}, ["p50"])
    assert by_rate[["system", "workload__rate"]].values.tolist() == [["Raft", 40.0], ["Multi-Paxos", 40.0]]
    p50 = done.summaries.pivot(index="seed", columns=["system", "workload__rate"], values="p50")
    expected = (p50["Raft", 40.0] - p50["Raft", 20.0]).mean()
    assert by_rate["value"].iloc[0] == pytest.approx(expected)
    for baseline, message in (
        (Raft(pre_vote=True), "system was not .* anywhere; it was Raft, Multi-Paxos"),
        ({"workload.rate": 30}, "workload__rate was not 30 anywhere; it was 20.0, 40.0"),
        ({"duration": 1.0}, "duration was not swept; system, workload__rate were"),
        ({}, "the baseline names no value"),
    ):
        with pytest.raises(ValueError, match=message):
            done.difference(baseline)  # type: ignore[arg-type]
    rates = sweep(world(), {"workload.rate": [20.0, 40.0]}, workers=1, progress=None)
    with pytest.raises(
        ValueError, match=r"no systems were swept, but workload__rate; name values, such as \{'workl"
    ):
        rates.ratio("Raft")


def test_swept_systems_are_labelled_and_made_equal_like_compared_ones() -> None:
    done = sweep(
        world(network=constant(0.01), system=Raft()),
        {"system": [Raft(), PrimaryBackup()], "workload__rate": [20.0, 40.0]},
        workers=1,
        progress=None,
    )
    assert done.summaries["run"].tolist() == [
        "Raft",
        "Raft",
        "Primary-Backup",
        "Primary-Backup",
    ]
    assert {len(scenario.system.members()) for scenario in done.scenarios} == {
        5,
        6,
    }  # a view service is no replica
    table = done.table(["p50"])
    assert table["system"].tolist() == done.summaries["run"].tolist()
    text = done.text()
    assert "p50 [ms]" in text
    assert "checked" in text
    assert "nan" not in text.lower()
