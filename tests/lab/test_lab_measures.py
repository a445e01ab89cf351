"""Measures of one's own: from what nodes record to a column, a chart, a store and a saved folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from sim import Measure, Run, Scenario, compare, frontier, load
from sim.analysis.measures import summary
from sim.faults import Crash
from sim.lab.store.schema import COLUMNS
from sim.measure import TAKEN, Recorded, Sampled
from sim.network import constant
from sim.protocols import BasicRaft, Raft
from sim.workload import OpenLoop

SCENARIO = Scenario(
    system=Raft(nodes=3), network=constant(0.005), workload=OpenLoop(rate=50.0, clients=2), duration=2.0
)
ONE_PROCESS: Any = {"workers": 1, "progress": None}


def share_of_reads(run: Run) -> float:
    return 100.0 * float((run.operations["kind"] == "get").mean())


def twice_p99(run: Run) -> float:
    return 2 * run.measures()["p99"]


def terms(how: Any, **given: Any) -> Measure:
    return Measure("terms", Recorded("role", how, **given), better="lower")


def value(measure: Measure, **changes: Any) -> float:
    scenario = dataclasses.replace(SCENARIO, measures=[measure], **changes)
    return scenario.run(seed=1).measures()[measure.name]


def test_events_are_counted_and_their_details_summed_from_the_warm_up_on() -> None:
    run = SCENARIO.run(seed=1)
    roles = run.events[run.events["event"] == "role"]
    numbers = [detail["term"] for detail in roles["detail"]]
    assert value(terms("count")) == len(roles) > 3
    assert value(terms("rate")) == len(roles) / 2.0
    assert value(terms("sum", detail="term")) == sum(numbers)
    assert value(terms("mean", detail="term")) == sum(numbers) / len(numbers)
    assert value(terms("max", detail="term")) == 1
    assert value(terms("min", detail="term")) == 0
    assert value(terms("count"), warmup=1.0) == 0
    assert pd.isna(value(terms("max", detail="term"), warmup=1.0))


def test_gauges_are_taken_of_all_nodes() -> None:
    run = dataclasses.replace(SCENARIO, sample_every=0.1).run(seed=1)
    backlog = run.samples[run.samples["gauge"] == "backlog"]
    for how in ("mean", "max", "min"):
        found = value(Measure("queue", Sampled("backlog", how)), sample_every=0.1)
        assert found == pytest.approx(getattr(backlog["value"], how)())
    last = backlog.groupby("node")["value"].last().sum()
    assert value(Measure("queue", Sampled("backlog", "last")), sample_every=0.1) == last
    assert pd.isna(value(Measure("queue", Sampled("nothing")), sample_every=0.1))


def test_a_function_of_a_run_may_use_the_other_measures() -> None:
    run = dataclasses.replace(SCENARIO, measures=[Measure("double", twice_p99, unit="s")]).run(seed=1)
    assert run.measures()["double"] == 2 * run.measures()["p99"]
    assert run.summary()["double"] == run.measures()["double"]


def test_a_measure_that_does_not_apply_has_no_value() -> None:
    assert pd.isna(value(Measure("nothing", lambda run: None)))


@pytest.mark.parametrize("given", ["0.5", True, float("inf"), [1.0]])
def test_what_is_no_number_is_refused_with_the_name_of_the_measure(given: object) -> None:
    with pytest.raises(ValueError, match="the measure 'odd': it must be a finite number, not"):
        value(Measure("odd", lambda run: given))


def test_a_measure_that_fails_on_one_system_costs_its_runs_and_no_others() -> None:
    def only_raft(run: Run) -> float:
        if run.label.startswith("Basic"):
            raise KeyError("no such thing")
        return 1.0

    measure = Measure("odd", only_raft)
    comparison = compare([Raft(), BasicRaft()], SCENARIO, seeds=1, measures=[measure], **ONE_PROCESS)
    assert [failed.label for failed in comparison.failed] == ["Basic Raft"]
    assert comparison.summaries["odd"].tolist() == [1.0]


@pytest.mark.parametrize(
    "name",
    ["p99", "seed", "throughput", "elections", "commit_p50", "duration", "x_low", "Big", "a__b", "", "a b"],
)
def test_a_name_that_is_taken_or_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Measure: "):
        Measure(name, share_of_reads)


def test_every_column_that_there_is_is_taken() -> None:
    columns = {*summary(*(SCENARIO.run(0).frames[n] for n in ("operations", "events")), duration=2.0).index}
    plain = {
        name for name in columns if not name.endswith("_at_least") and "p5" not in name and "p9" not in name
    }
    assert plain <= TAKEN
    assert {*COLUMNS} - {"finished"} <= TAKEN
    assert {field.name for field in dataclasses.fields(Scenario)} <= TAKEN


def test_two_measures_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two measures are called 'reads'"):
        dataclasses.replace(
            SCENARIO, measures=[Measure("reads", share_of_reads), Measure("reads", twice_p99)]
        )
    with pytest.raises(ValueError, match="needs samples: give the scenario sample_every"):
        dataclasses.replace(SCENARIO, measures=[Measure("queue", Sampled("backlog"))])
    with pytest.raises(ValueError, match="needs the name of a detail"):
        Recorded("role", "sum")
    with pytest.raises(ValueError, match="takes no detail"):
        Recorded("role", detail="term")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountingRaft(Raft):
    measures: ClassVar[tuple[Measure, ...]] = (Measure("role_changes", Recorded("role"), better="lower"),)


def test_a_system_declares_measures_and_others_have_no_value_of_them() -> None:
    comparison = compare([CountingRaft(nodes=3), Raft(nodes=3)], SCENARIO, seeds=2, **ONE_PROCESS)
    table = comparison.table()
    assert table["role_changes"].tolist()[0] > 3
    assert pd.isna(table["role_changes"].tolist()[1])


READS = Measure("reads_share", share_of_reads, unit="%", better="higher", label="share of reads")


def test_it_has_its_unit_in_tables_charts_and_differences_and_its_direction_in_a_frontier(
    tmp_path: Path,
) -> None:
    sweep = SCENARIO.sweep(system__nodes=[3, 5], seeds=3, measures=[READS], out=tmp_path / "s", **ONE_PROCESS)
    assert "share of reads [%]" in sweep.text()
    assert sweep.plot.lines("reads_share").get_ylabel() == "share of reads (%)"
    found = sweep.difference({"system.nodes": 3}, ["reads_share"])
    assert found["text"].tolist()[0].endswith("% less than 3") or "more than 3" in found["text"].tolist()[0]
    assert set(frontier(sweep, "reads_share", "p99")["status"]) <= {"frontier", "dominated"}
    again = SCENARIO.sweep(
        system__nodes=[3, 5], seeds=3, measures=[READS], out=tmp_path / "s", resume=True, **ONE_PROCESS
    )
    assert again.summaries["reads_share"].tolist() == sweep.summaries["reads_share"].tolist()


def test_more_seeds_are_run_until_it_is_known_well_enough() -> None:
    sweep = SCENARIO.sweep(
        duration=[1.0],
        measures=[READS],
        seeds=10,
        precision={"reads_share": 0.05},
        max_seeds=20,
        **ONE_PROCESS,
    )
    assert sweep.stages[0].aim.wanted == {"reads_share": 0.05}
    with pytest.raises(ValueError, match="no measure 'reads_share'"):
        SCENARIO.sweep(duration=[1.0], precision={"reads_share": 0.05}, **ONE_PROCESS)


def test_a_saved_folder_knows_its_measures_by_import_path(tmp_path: Path) -> None:
    comparison = compare([Raft(nodes=3)], SCENARIO, seeds=2, measures=[READS], **ONE_PROCESS)
    comparison.save(tmp_path)
    with pytest.raises(ValueError, match="test_lab_measures"):
        load(tmp_path)
    loaded: Any = load(tmp_path, allow=(__name__,))
    assert loaded.text() == comparison.text()
    scenario = dataclasses.replace(SCENARIO, measures=[READS, terms("sum", detail="term")])
    assert Scenario.from_toml(scenario.to_toml(), allow=(__name__,)) == scenario


def test_one_name_with_two_units_in_a_comparison_is_refused() -> None:
    from sim import compare_scenarios

    one = dataclasses.replace(SCENARIO, measures=[READS])
    other = dataclasses.replace(SCENARIO, measures=[dataclasses.replace(READS, unit="reads")])
    with pytest.raises(ValueError, match="has the unit '%' in one scenario and 'reads' in another"):
        compare_scenarios({"one": one, "other": other}, seeds=1, **ONE_PROCESS)


def test_elections_of_a_crash_are_in_the_table_with_the_measure() -> None:
    scenario = dataclasses.replace(SCENARIO, faults=[Crash("leader", at=0.5)], measures=[terms("count")])
    text = compare([Raft(nodes=3)], scenario, seeds=1, **ONE_PROCESS).text(["elections", "terms"])
    assert "elections  terms" in text
