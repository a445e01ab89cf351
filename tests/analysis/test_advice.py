"""Advice speaks where the intervals leave no doubt, and says nothing elsewhere."""

from __future__ import annotations

import pandas as pd
import pytest

from sim.analysis.advice import LEAST_SEEDS, advice

Values = dict[str, float]


def summaries(
    settings: dict[float, Values],
    spread: float = 0.01,
    seeds: int = LEAST_SEEDS,
    field: str = "system__detection",
) -> pd.DataFrame:
    """Value of the swept field -> measure -> mean; each seed differs by `spread` of the mean."""
    rows = [
        {field: level, "seed": seed}
        | {name: value * (1 + spread * (seed - (seeds - 1) / 2)) for name, value in measures.items()}
        for level, measures in settings.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def said(frame: pd.DataFrame, rule: str, *measures: str) -> list[str]:
    by = [name for name in frame.columns if name.startswith("system")]
    found = advice(frame, by=by, measures=list(measures) or None)
    return [one.text for one in found if one.rule == rule]


QUICK = {"p99": 0.1, "messages_per_operation": 4.0}
SLOW = {"p99": 0.3, "messages_per_operation": 8.0}


def test_a_setting_that_is_never_worse_is_named_with_its_gains() -> None:
    (found,) = said(summaries({0.5: QUICK, 1.0: SLOW}), "never worse")
    assert found == (
        "detection 0.5 is never worse than detection 1: better in p99 latency (100 ms instead of 300 ms) and replica "
        "messages per operation (4 instead of 8)."
    )


def test_what_is_equal_for_sure_is_not_worse() -> None:
    both = [one | {"acknowledged_lost": 0.0} for one in (QUICK, SLOW)]
    (found,) = said(summaries({0.5: both[0], 1.0: both[1]}), "never worse")
    assert found.endswith(", and not worse in acknowledged writes lost.")


@pytest.mark.parametrize(
    "frame",
    [
        summaries({0.5: QUICK, 1.0: SLOW}, spread=0.5),  # the intervals overlap
        summaries({0.5: QUICK, 1.0: SLOW}, seeds=LEAST_SEEDS - 1),
        summaries({0.5: QUICK, 1.0: SLOW}, seeds=1),
        summaries({0.5: QUICK}),  # a single setting
        summaries({0.5: QUICK, 1.0: SLOW | {"p99": 0.05}}),  # each is better in something
        summaries({0.5: QUICK, 1.0: QUICK}),
        summaries({0.5: {"p99": 0.1}, 1.0: {"p99": 0.3}}),  # one measure is no trade-off
    ],
)
def test_nothing_is_never_worse_where_it_is_not_sure(frame: pd.DataFrame) -> None:
    assert said(frame, "never worse") == []


def test_a_setting_with_more_false_elections_is_not_never_worse_however_quick_it_is() -> None:
    hasty = QUICK | {"false_elections": 100.0}
    assert said(summaries({0.5: hasty, 1.0: SLOW | {"false_elections": 0.0}}), "never worse") == []
    leaderless = SLOW | {"false_elections": float("nan")}  # what does not apply to all is left out
    assert len(said(summaries({0.5: hasty, 1.0: leaderless}), "never worse")) == 1


TIGHT = {"false_elections": 120.0, "unavailability": 1.0}
LOOSE = {"false_elections": 0.0, "unavailability": 3.0}


def test_a_tighter_timeout_has_its_price_in_false_elections_and_its_gain() -> None:
    (found,) = said(summaries({0.3: TIGHT, 0.5: LOOSE}), "tighter timeout")
    assert found == (
        "a detection of 0.3 s instead of 0.5 s costs 120 ± 2 false elections a day more, and shortens the "
        "unavailability after a fault by 2.00 ± 0.04 s."
    )


def test_a_tighter_timeout_that_gains_nothing_is_told_to() -> None:
    (found,) = said(summaries({0.3: TIGHT | {"unavailability": 3.0}, 0.5: LOOSE}), "tighter timeout")
    assert found.endswith("; it does not surely shorten the unavailability after a fault.")


def test_without_a_fault_nothing_is_said_of_the_unavailability() -> None:
    quiet = {0.3: {"false_elections": 120.0}, 0.5: {"false_elections": 0.0}}
    (found,) = said(summaries(quiet), "tighter timeout")
    assert found == "a detection of 0.3 s instead of 0.5 s costs 120 ± 2 false elections a day more."
    nothing = {level: values | {"unavailability": float("nan")} for level, values in quiet.items()}
    assert said(summaries(nothing), "tighter timeout") == [found]


def test_neighbouring_timeouts_are_compared_within_the_same_values_of_other_fields() -> None:
    frame = pd.concat(
        [summaries({0.3: TIGHT, 0.5: LOOSE}).assign(system__nodes=nodes) for nodes in (3, 5)],
        ignore_index=True,
    )
    assert [text.partition(":")[0] for text in said(frame, "tighter timeout")] == ["nodes 3", "nodes 5"]


@pytest.mark.parametrize(
    "frame",
    [
        summaries({0.3: LOOSE, 0.5: LOOSE}),  # no false elections
        summaries({0.3: LOOSE, 0.5: TIGHT}),  # the loose one has them
        summaries({0.3: TIGHT, 0.5: LOOSE}, spread=1.0),
        summaries({0.3: TIGHT, 0.5: LOOSE}, seeds=2),
        summaries({0.3: TIGHT}),
        summaries({3: TIGHT, 5: LOOSE}, field="system__nodes"),  # no timeout
    ],
)
def test_nothing_is_said_of_a_timeout_where_it_is_not_sure(frame: pd.DataFrame) -> None:
    assert said(frame, "tighter timeout") == []


def answering(share: float, price: float, operations: float = 10_000.0) -> Values:
    return {"operations": operations, "ok": share * operations, "cost": price}


def nines(settings: dict[float, Values], seeds: int = LEAST_SEEDS) -> list[str]:
    return said(summaries(settings, spread=0.0, seeds=seeds, field="system__nodes"), "one more nine")


def test_one_more_nine_has_a_price() -> None:
    (found,) = nines({3: answering(0.995, 0.3), 5: answering(0.9995, 0.5)})
    assert found == (
        "One more nine costs 0.20 more (cost): 99 % of operations are answered by nodes 3 for 0.30, and 99.9 % by "
        "nodes 5 for 0.50."
    )


@pytest.mark.parametrize(
    "settings",
    [
        {3: answering(0.995, 0.3), 5: answering(0.996, 0.5)},  # the same nines
        {3: answering(0.9995, 0.3), 5: answering(0.9995, 0.5)},
        {3: answering(0.995, 0.5), 5: answering(0.9995, 0.3)},  # it costs less
        {3: answering(0.995, 0.3, 10), 5: answering(1.0, 0.5, 10)},  # 50 operations prove no third nine
        {3: answering(0.995, 0.3)},
    ],
)
def test_nothing_is_said_of_nines_that_are_not_proved_or_cost_nothing(settings: dict[float, Values]) -> None:
    assert nines(settings) == []
    assert nines(settings, seeds=2) == []


def test_a_nine_whose_price_overlaps_is_not_sold() -> None:
    frame = summaries(
        {3: answering(0.995, 0.3), 5: answering(0.9995, 0.4)}, spread=0.0, field="system__nodes"
    )
    assert len(said(frame, "one more nine")) == 1
    varied = frame.assign(cost=frame["cost"] + 0.2 * (frame["seed"] - 2))
    assert said(varied, "one more nine") == []


def test_operations_without_a_failure_prove_no_more_nines_than_their_number_allows() -> None:
    """None of 2,000 operations failed: up to 3 / 2,000 of all may, which is no third nine."""
    assert nines({3: answering(0.995, 0.3, 400), 5: answering(1.0, 0.5, 400)}) == []
    (found,) = nines({3: answering(0.95, 0.3, 400), 5: answering(1.0, 0.5, 400)})
    assert "90 % of operations are answered by nodes 3 for 0.30, and 99 % by nodes 5" in found
