"""Comparison tables: numbers, intervals and how they read."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from sim.analysis.pairing import differences
from sim.analysis.quantities import decimals_for, quantity, time_scale
from sim.analysis.tables import comparison_table, difference_table, region_table, render, sweep_table


def summaries() -> pd.DataFrame:
    runs = ["Raft", "UNSAFE Paxos(q1=2)"]
    return pd.DataFrame(
        [
            {
                "run": run,
                "seed": seed,
                "throughput": 1000.0 * (index + 1) + 10 * seed,
                "p50": 0.0105 * (index + 1) + 0.001 * seed,
                "p99": 0.2 + 2 * index,
                "p99_at_least": float(index == 1 and seed == 2),
                "acknowledged_lost": 7.0 * index,
                "messages_per_operation": math.nan,
            }
            for index, run in enumerate(runs)
            for seed in (0, 1, 2)
        ]
    )


MEASURES = ["throughput", "p50", "p99", "acknowledged_lost", "messages_per_operation"]


def test_a_table_holds_means_intervals_guarantees_and_marks() -> None:
    table = comparison_table(
        summaries(), guarantees={"Raft": "linearizable"}, checked={"Raft": "3/3 valid"}, measures=MEASURES
    )
    assert table["system"].tolist() == ["Raft", "UNSAFE Paxos(q1=2)"]
    assert table["guarantee"].tolist() == ["linearizable", "none"]
    assert table["checked"].tolist() == ["3/3 valid", "not checked"]
    assert table["unsafe"].tolist() == [False, True]
    assert table["seeds"].tolist() == [3, 3]
    assert table["throughput"].tolist() == [1010.0, 2010.0]
    half = stats.t.ppf(0.975, 2) * 10 / math.sqrt(3)
    assert (table["throughput_high"] - table["throughput"]).tolist() == pytest.approx([half, half])
    assert table["p99_bound"].tolist() == ["", "≥"]
    assert "messages_per_operation" not in table.columns  # no run has it


def test_a_setting_without_a_value_for_a_run_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match=r"settings: 'nodes' has no value for run 'UNSAFE Paxos\(q1=2\)'"):
        comparison_table(summaries(), settings={"nodes": {"Raft": 3}}, measures=MEASURES)


def test_writes_acknowledged_unreplicated_are_shown_where_a_system_flagged_some() -> None:
    measures = ["p50", "acknowledged_unreplicated"]
    assert "acknowledged_unreplicated" not in comparison_table(summaries(), measures=measures)
    none = summaries().assign(acknowledged_unreplicated=0.0)
    assert "acknowledged_unreplicated" not in comparison_table(none, measures=measures)
    some = none.assign(acknowledged_unreplicated=[0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    table = comparison_table(some, measures=measures)
    assert table["acknowledged_unreplicated"].tolist() == [0.0, 2.0]
    assert "acked unreplicated" in render(table).splitlines()[0]


def test_the_text_of_a_table() -> None:
    table = comparison_table(
        summaries(), guarantees={"Raft": "linearizable"}, checked={"Raft": "3/3 valid"}, measures=MEASURES
    )
    assert render(table).splitlines() == [
        "system              guarantee     checked      throughput [op/s]    p50 [ms]     p99 [ms]  acked lost",
        "──────────────────  ────────────  ───────────  ─────────────────  ──────────  ───────────  ──────────",
        "Raft                linearizable  3/3 valid           1,010 ± 25  11.5 ± 2.5      200 ± 0       0 ± 0",
        "UNSAFE Paxos(q1=2)  none          not checked         2,010 ± 25  22.0 ± 2.5  ≥ 2,200 ± 0       7 ± 0",
    ]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([0.3, 0.2], "ms"),
        ([2.0, 5.0], "s"),
        ([5e-6], "µs"),
        ([0.0], "ms"),
        ([0.002, math.nan, math.inf], "ms"),
    ],
)
def test_times_are_shown_in_the_unit_of_their_size(values: list[float], unit: str) -> None:
    assert time_scale(values).unit == unit


def test_quantities_of_unknown_names() -> None:
    assert (quantity("p99.9").label, quantity("p99.9").unit) == ("p99.9 latency", "s")
    assert (quantity("keys_moved").label, quantity("keys_moved").unit) == ("keys moved", "")
    assert quantity("primary").unit == ""


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([123.4], 0),
        ([12.34], 1),
        ([1.234, 800.0], 2),
        ([0.01234], 3),
        ([3.0, 20.0], 0),
        ([], 0),
        ([math.nan], 0),
    ],
)
def test_decimals_show_three_digits_of_the_smallest(values: list[float], decimals: int) -> None:
    assert decimals_for(values) == decimals


def test_a_table_of_differences_shows_signs_and_on_which_side_a_bound_is() -> None:
    found = differences(summaries(), "Raft", ["throughput", "p99"])
    text = render(difference_table(found), signed=True)
    assert "+1,000" in text
    assert "≥ +2 ± 0" in text
    backwards = render(difference_table(differences(summaries(), "UNSAFE Paxos(q1=2)", ["p99"])), signed=True)
    assert "≤ -2 ± 0" in backwards


def test_markdown_and_an_empty_table() -> None:
    table = comparison_table(summaries(), measures=["throughput"])
    first, second, *rows = render(table, markdown=True).splitlines()
    assert first.startswith("| system")
    assert set(second) <= set("|-: ")
    assert all(row.count("|") == first.count("|") for row in [second, *rows])
    assert render(table.iloc[:0]) == "(no runs)"


def test_a_single_seed_has_no_interval_and_an_unknown_measure_is_refused() -> None:
    frame = summaries()
    assert "±" not in render(comparison_table(frame[frame["seed"] == 0], measures=["throughput"]))
    with pytest.raises(ValueError, match="'p95'"):
        comparison_table(frame, measures=["p95"])
    with pytest.raises(ValueError, match="'Zab'"):
        comparison_table(frame, guarantees={"Zab": "linearizable"}, measures=["p50"])


def test_settings_in_which_systems_differ_stand_in_columns_with_their_units() -> None:
    runs = ["Raft", "UNSAFE Paxos(q1=2)"]
    table = comparison_table(
        summaries(),
        settings={
            "nodes": dict(zip(runs, (3, 5), strict=True)),
            "detection": dict(zip(runs, (2.75, 0.84), strict=True)),
        },
        measures=["p50"],
    )
    head, _, first, second = render(table).splitlines()
    assert head.split()[3:6] == ["nodes", "detection", "[s]"]
    assert tuple(first.split()[4:6]) == ("3", "2.75")
    assert tuple(second.split()[5:7]) == ("5", "0.84")


def swept() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "system__lease": lease,
                "workload__rate": rate,
                "run": "Raft",
                "seed": seed,
                "p50": 0.0105,
                "unavailability": math.nan if rate == 10.0 else 2.0,
                "acknowledged_lost": math.nan,
            }
            for lease in (None, 0.5)
            for rate in (10.0, 20.0)
            for seed in (0, 1)
        ]
    )


def test_a_sweep_table_has_units_what_was_checked_and_no_bare_nan() -> None:
    fields = ["system__lease", "workload__rate"]
    checked = ["2/2 valid", "2/2 valid", "VIOLATED in 1/2", "not checked"]
    measures = ["p50", "unavailability", "acknowledged_lost"]
    table = sweep_table(swept(), fields, checked=checked, measures=measures)
    assert sweep_table(swept(), ["system.lease", "workload.rate"], checked=checked, measures=measures).equals(
        table
    )
    assert table["checked"].tolist() == checked
    assert table["seeds"].tolist() == [2] * 4
    text = render(table)
    assert "nan" not in text.lower()
    head, _, *rows = text.splitlines()
    assert "system.lease [s]" in head
    assert "p50 [ms]" in head
    assert "unavailability [s]" in head
    assert "acked lost" not in head  # no run has it
    assert rows[0].split()[:2] == ["none", "10"]
    assert "–" in rows[0]
    assert "VIOLATED in 1/2" in rows[2]
    with pytest.raises(ValueError, match="4 points were swept, and 3 checked"):
        sweep_table(swept(), fields, checked=checked[:3], measures=measures)


def test_latency_by_region_is_a_column_each_with_bounds() -> None:
    rows = [
        {
            "run": run,
            "seed": seed,
            "region": region,
            "p50": p50,
            "p99": 1.0 + seed,
            "p99_at_least": float(seed),
        }
        for run in ("Raft", "ABD")
        for region, p50 in (("tokyo", 0.2), ("virginia", 0.05))
        for seed in (0, 1)
        if (run, region) != ("ABD", "tokyo")
    ]
    title, head, _, raft, abd = (
        region_table(pd.DataFrame(rows), order=("virginia", "tokyo")).text().splitlines()
    )
    assert title == "p50 / p99 [ms] of clients in"
    assert head.split() == ["system", "virginia", "tokyo"]
    assert raft.split() == ["Raft", "50", "/", "≥", "1,500", "200", "/", "≥", "1,500"]
    assert abd.split() == ["ABD", "50", "/", "≥", "1,500", "–", "/", "–"]
