"""A setting is dominated only where it is sure: intervals that overlap decide nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from sim.analysis.frontier import frontier, setting_label
from sim.analysis.plots.frontiers import frontier_chart


def summaries(values: dict[str, dict[str, tuple[float, ...]]]) -> pd.DataFrame:
    """Setting -> measure -> its values, one a seed."""
    rows = [
        {"run": run, "seed": seed, **{name: each[seed] for name, each in measures.items()}}
        for run, measures in values.items()
        for seed in range(len(next(iter(measures.values()))))
    ]
    return pd.DataFrame(rows)


def statuses(values: dict[str, dict[str, tuple[float, ...]]], *measures: str) -> dict[str, str]:
    found = frontier(summaries(values), measures or ("p99", "acknowledged_lost"))
    return dict(zip(found["run"], found["status"], strict=True))


GOOD = {"p99": (1.0, 1.1, 1.2), "acknowledged_lost": (0.0, 0.0, 0.0)}
SLOW = {"p99": (2.0, 2.1, 2.2), "acknowledged_lost": (0.0, 0.0, 0.0)}
LOSSY = {"p99": (0.5, 0.51, 0.52), "acknowledged_lost": (3.0, 4.0, 5.0)}
WIDE = {"p99": (1.0, 2.0, 3.0), "acknowledged_lost": (0.0, 0.0, 0.0)}


def test_what_is_surely_worse_in_one_measure_and_better_in_none_is_dominated() -> None:
    found = frontier(summaries({"good": GOOD, "slow": SLOW}), ("p99", "acknowledged_lost"))
    assert found["status"].tolist() == ["frontier", "dominated"]
    assert found["dominated_by"].tolist() == ["", "good"]
    assert found["p99"].tolist() == pytest.approx([1.1, 2.1])


def test_a_choice_between_two_goods_stays_on_the_frontier() -> None:
    assert statuses({"good": GOOD, "lossy": LOSSY}) == {"good": "frontier", "lossy": "frontier"}


def test_where_intervals_overlap_nothing_is_dominated() -> None:
    assert statuses({"good": GOOD, "wide": WIDE}) == {"good": "frontier", "wide": "frontier"}


def test_equal_settings_do_not_dominate_each_other() -> None:
    same = {"p99": (1.0, 1.0, 1.0), "acknowledged_lost": (0.0, 0.0, 0.0)}
    assert set(statuses({"one": same, "other": dict(same)}).values()) == {"frontier"}


def test_one_seed_proves_nothing() -> None:
    one = {name: values[:1] for name, values in GOOD.items()}
    other = {name: values[:1] for name, values in SLOW.items()}
    assert set(statuses({"one": one, "other": other}).values()) == {"frontier"}


def test_more_is_better_where_the_measure_says_so() -> None:
    busy = {"throughput": (100.0, 101.0, 102.0), "p99": (1.0, 1.0, 1.0)}
    idle = {"throughput": (50.0, 51.0, 52.0), "p99": (1.0, 1.0, 1.0)}
    assert statuses({"busy": busy, "idle": idle}, "throughput", "p99")["idle"] == "dominated"


def test_a_lower_bound_is_never_surely_better_and_may_be_surely_worse() -> None:
    frame = summaries({"good": GOOD, "slow": SLOW})
    flagged = frame.assign(p99_at_least=np.where(frame["run"] == "good", 1.0, 0.0))
    assert set(frontier(flagged, ("p99", "acknowledged_lost"))["status"]) == {"frontier"}
    flagged = frame.assign(p99_at_least=np.where(frame["run"] == "slow", 1.0, 0.0))
    found = frontier(flagged, ("p99", "acknowledged_lost"))
    assert found["status"].tolist() == ["frontier", "dominated"]
    assert found["p99_bound"].tolist() == ["", "≥"]


def test_a_setting_without_a_value_neither_dominates_nor_is_dominated() -> None:
    none = {"p99": (0.1, 0.1, 0.1), "acknowledged_lost": (float("nan"),) * 3}
    assert statuses({"good": GOOD, "slow": SLOW, "none": none}) == {
        "good": "frontier",
        "slow": "dominated",
        "none": "no value",
    }


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        (("p99",), "at least two measures"),
        (("p99", "p99"), "given twice"),
        (("p99", "speed"), "no measure 'speed'; the runs have run, seed, p99"),
        (("p99", "operations"), "better={'operations': 'lower'}"),
        (("p99", "conflicts"), "no run has a value of 'conflicts'"),
    ],
)
def test_measures_that_cannot_be_compared_are_refused(measures: tuple[str, ...], said: str) -> None:
    frame = summaries({"good": GOOD}).assign(operations=3.0, conflicts=float("nan"))
    with pytest.raises(ValueError, match=said):
        frontier(frame, measures)


def test_the_direction_of_an_unknown_measure_may_be_told() -> None:
    frame = summaries({"good": GOOD, "slow": SLOW}).assign(happiness=[3.0, 3.1, 3.2, 1.0, 1.1, 1.2])
    found = frontier(frame, ("acknowledged_lost", "happiness"), better={"happiness": "higher"})
    assert found["status"].tolist() == ["frontier", "dominated"]


def test_points_of_a_grid_are_distinguished_by_their_fields() -> None:
    frame = summaries({"a": GOOD, "b": SLOW}).assign(system__detection=[0.3] * 3 + [1.0] * 3)
    found = frontier(frame, ("p99", "acknowledged_lost"), by=("system__detection",))
    assert found["setting"].tolist() == ["detection 0.3", "detection 1"]
    assert setting_label({"system": "Raft", "system__lease": None}) == "Raft, lease None"


def test_the_chart_numbers_the_settings_and_names_further_measures_in_its_legend() -> None:
    frame = summaries({"good": GOOD, "slow": SLOW}).assign(throughput=[9.0, 9.1, 9.2] * 2)
    measures = ("p99", "acknowledged_lost", "throughput")
    ax = frontier_chart(frontier(frame, measures), measures)
    assert isinstance(ax, Axes)
    assert ax.get_xlabel() == "p99 latency (s)"
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    made = ax.get_legend()
    assert made is not None
    assert [t.get_text() for t in made.get_texts()] == [
        "1  good (throughput 9.10 op/s)",
        "2  slow (throughput 9.10 op/s)",
    ]


def test_a_chart_without_a_complete_setting_says_so() -> None:
    frame = summaries({"a": {"p99": (1.0, 2.0), "conflicts": (float("nan"),) * 2}})
    both = pd.concat([frame, summaries({"b": {"p99": (float("nan"),) * 2, "conflicts": (1.0, 2.0)}})])
    ax = frontier_chart(frontier(both, ("p99", "conflicts")), ("p99", "conflicts"))
    assert [text.get_text() for text in ax.texts] == ["no setting has a value of each measure"]
