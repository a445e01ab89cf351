"""Charts of real runs: one field of a sweep along the axis and a line for each value of one more; runs of nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from sim import Scenario, compare
from sim.analysis.plots import save
from sim.analysis.plots.style import _figure_of, _metadata
from sim.faults import Crash, Cut, Partition
from sim.lab import sweep
from sim.lab.plots import ComparisonPlots, RunPlots, SweepPlots
from sim.lab.story import told
from sim.lab.sweep import Sweep
from sim.network import constant, wan
from sim.protocols import EPaxos, MultiPaxos, Raft
from sim.workload import OpenLoop


def scenario(rate: float = 200.0, **more: Any) -> Scenario:
    base: dict[str, Any] = {"system": Raft(nodes=3), "network": constant(0.001), "duration": 0.5}
    return Scenario(**{**base, **more}, workload=OpenLoop(rate=rate, reads=0.0))


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def swept() -> Sweep:
    fields = {"system": [Raft(nodes=3), MultiPaxos(nodes=3)], "workload__rate": [100.0, 300.0]}
    return sweep(scenario(), fields, seeds=range(2), judge=False, workers=1, progress=None)


def lines(ax: Any) -> dict[str, np.ndarray[Any, Any]]:
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()] if legend is not None else [""]
    drawn = [container.lines[0] for container in ax.containers] or ax.lines
    return {name: np.asarray(line.get_xydata()) for name, line in zip(names, drawn, strict=True)}


def test_throughput_and_latency_of_systems_by_load_need_no_arguments(swept: Sweep) -> None:
    found = lines(swept.plot.throughput_latency())
    assert list(found) == ["Raft", "Multi-Paxos"]
    means = swept.summaries.groupby(["system", "workload__rate"], sort=False)["throughput"].mean()
    assert np.concatenate([line[:, 0] for line in found.values()]) == pytest.approx(means.to_numpy())
    assert list(lines(swept.plot.lines("p50"))) == ["Raft", "Multi-Paxos"]


def test_two_numbers_have_a_line_for_each_value_of_the_second_in_words() -> None:
    fields = {"workload__rate": [100.0, 300.0], "system__nodes": [3, 5]}
    done = sweep(scenario(), fields, seeds=[1], judge=False, workers=1, progress=None)
    found = lines(done.plot.throughput_latency())
    assert list(found) == ["nodes 3", "nodes 5"]
    assert all(len(line) == 2 for line in found.values())
    assert list(lines(done.plot.lines("p50", "system__nodes"))) == ["rate 100.0", "rate 300.0"]
    assert list(lines(done.plot.lines("p50", where={"system__nodes": 5}))) == [""]
    assert list(lines(done.plot.lines("p50", "workload.rate", where={"system.nodes": 5}))) == [""]
    with pytest.raises(ValueError, match=r"where: system\.nodes is given twice"):
        done.plot.lines("p50", "workload.rate", where={"system__nodes": 5, "system.nodes": 3})
    with pytest.raises(ValueError, match="system__nodes was not 4 anywhere; it was 3, 5"):
        done.plot.lines("p50", where={"system__nodes": 4})
    with pytest.raises(ValueError, match="'nodes' was not swept; workload__rate, system__nodes were"):
        done.plot.lines("p50", "nodes")


def test_three_fields_are_refused_with_what_to_do() -> None:
    fields = {"workload__rate": [100.0, 200.0], "system__nodes": [3, 5], "duration": [0.2, 0.3]}
    done = sweep(scenario(), fields, seeds=[1], judge=False, workers=1, progress=None)
    with pytest.raises(ValueError, match=r"system__nodes and duration vary.*where=\{'duration': 0\.2\}"):
        done.plot.throughput_latency()
    assert len(lines(done.plot.throughput_latency(where={"duration": 0.3}))) == 2


def test_a_sweep_over_one_field_is_one_line_and_one_without_numbers_is_refused(swept: Sweep) -> None:
    one = sweep(scenario(), {"system__nodes": [3, 5]}, seeds=[1], judge=False, workers=1, progress=None)
    assert [len(line) for line in lines(one.plot.lines("p50")).values()] == [2]
    systems = sweep(scenario(), {"system": [Raft(), MultiPaxos()]}, judge=False, workers=1, progress=None)
    with pytest.raises(ValueError, match="none of the swept fields system is a number"):
        systems.plot.throughput_latency()
    two = sweep(
        scenario(), {"system__nodes": [3, 5], "duration": [0.2, 0.3]}, judge=False, workers=1, progress=None
    )
    with pytest.raises(ValueError, match="which of the swept fields system__nodes, duration is the load"):
        two.plot.throughput_latency()


def charts(plots: Any, **arguments: Any) -> dict[str, Any]:
    """Every public chart of these plots."""
    found = {}
    for name, method in inspect.getmembers(plots, inspect.ismethod):
        if not name.startswith("_"):
            given = {
                key: value for key, value in arguments.items() if key in inspect.signature(method).parameters
            }
            measures = ("p50", "p99") if name == "frontier" else ()
            if name == "heatmap" and len(plots._sweep.fields) < 2:
                continue
            found[name] = method(*measures, **given)
            pyplot.close("all")  # the chart lives on; pyplot warns of more than twenty
    return found


def test_every_chart_of_a_run_without_operations_says_so() -> None:
    idle = scenario(rate=1e-9, trace="full", sample_every=0.1)
    run = idle.run(1)
    assert not len(run.operations)
    for name, drawn in {
        **charts(RunPlots(run)),
        **charts(ComparisonPlots(compare([Raft(), MultiPaxos()], idle, seeds=[1], workers=1)), measure="p50"),
        **charts(SweepPlots(sweep(idle, {"duration": [0.1, 0.2]}, workers=1, progress=None)), measure="p99"),
    }.items():
        said = [text.get_text() for ax in np.atleast_1d(drawn).ravel() for text in ax.texts]
        if name not in {
            "space_time",
            "queue_heatmap",
            "leaders",
            "lag",
        }:  # replicas elect, and send heartbeats
            assert any(text.startswith("no ") for text in said), name
    pyplot.close("all")


def test_charts_of_every_kind_know_seed_settings_and_title(swept: Sweep, tmp_path: Path) -> None:
    run = scenario(trace="full", sample_every=0.1, name="a fine story").run(3)
    both = compare([Raft(), MultiPaxos()], scenario(trace="full"), seeds=[1, 2], workers=1)
    for plots, seed, title in (
        (RunPlots(run), "3", "a fine story"),
        (ComparisonPlots(both), "1, 2", "comparison of "),
        (SweepPlots(swept), "0, 1", "sweep over system and rate"),
    ):
        for number, (name, drawn) in enumerate(charts(plots, measure="p50").items()):
            text = _metadata(_figure_of(drawn), ".png")
            if number == 0:  # what a chart knows stands in its file; to draw all of them takes seconds
                with Image.open(save(drawn, tmp_path / f"{name}.png", dpi=50)) as image:
                    assert text.items() <= image.text.items()  # type: ignore[attr-defined]
            assert text["Title"].startswith(title), name
            assert text.get("Seed", text.get("Seeds")) == seed, name
            assert "OpenLoop" in text["Settings"], name


def test_pictures_of_a_story_carry_its_title_seed_and_settings(tmp_path: Path) -> None:
    def tell(chosen: Scenario, seed: int, folder: Path) -> str:
        _, ax = pyplot.subplots()
        save(ax, folder / "own.png", dpi=50)
        return "the end"

    assert told(tell, scenario(), 5, tmp_path, "A story.\n\nIts text.") == "the end"
    with Image.open(tmp_path / "own.png") as image:
        text = image.text  # type: ignore[attr-defined]
    assert (text["Title"], text["Seed"]) == ("A story.", "5")
    assert Scenario.from_json(text["Settings"]) == scenario()


def test_a_cut_of_one_direction_is_labelled_as_such() -> None:
    faults = [Cut("n0", "n1", at=0.1, duration=0.1), Cut("n0", "n1", at=0.3, duration=0.1, one_way=True)]
    run = scenario(faults=faults).run(1)
    upper, _ = run.plot.timeline()
    assert [text.get_text() for text in upper.texts] == ["cut n0-n1", "one-way cut n0->n1"]
    pyplot.close("all")


def test_regions_show_the_systems_asked_for_under_the_names_given() -> None:
    two_regions = Scenario(
        system=Raft(nodes=3),
        network=wan("virginia", "tokyo"),
        workload=OpenLoop(clients=4, rate=40.0),
        duration=2.0,
    )
    both = compare([Raft(), MultiPaxos()], two_regions, seeds=[1], workers=1, progress=None)
    ax = both.plot.by_region("p90", systems={"Multi-Paxos": "mine", "Raft": "theirs"})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mine", "theirs"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["virginia", "tokyo"]
    expected = both.by_region([0.9]).set_index(["run", "region"])["p90"] * 1e3
    assert ax.patches[0].get_height() == pytest.approx(expected["Multi-Paxos", "virginia"])
    assert ax.get_ylabel() == "p90 latency (ms)"
    with pytest.raises(ValueError, match="'throughput' is no percentile of latency: write p50"):
        both.plot.by_region("throughput")
    with pytest.raises(ValueError, match="Zab is none of the systems compared: Raft, Multi-Paxos"):
        both.plot.by_region(systems=["Zab"])
    with pytest.raises(ValueError, match="two systems have the same name"):
        both.plot.by_region(systems={"Raft": "x", "Multi-Paxos": "x"})
    with pytest.raises(ValueError, match="systems names none to draw; compared were Raft, Multi-Paxos"):
        both.plot.by_region(systems=[])


def test_a_map_has_the_mean_of_each_point_and_needs_two_fields(swept: Sweep) -> None:
    ax = swept.plot.heatmap("p50")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("system", "offered load (op/s)")
    means = 1e3 * swept.summaries.groupby(["workload__rate", "system"], sort=False)["p50"].mean()
    shown = ax.collections[0].get_array()
    assert shown is not None
    assert np.asarray(shown).ravel() == pytest.approx(
        means.unstack()[["Raft", "Multi-Paxos"]].to_numpy().ravel()
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == ["100", "300"]
    turned = swept.plot.heatmap("p50", y="system")
    assert (turned.get_xlabel(), turned.get_ylabel()) == ("offered load (op/s)", "system")
    with pytest.raises(ValueError, match="a map needs two fields that vary, not system"):
        swept.plot.heatmap("p50", where={"workload.rate": 100.0})
    with pytest.raises(ValueError, match="a map needs two fields that vary, not system twice"):
        swept.plot.heatmap("p50", "system", "system")


def test_the_lanes_of_leaders_are_their_times_and_a_crash_ends_one_with_a_cross() -> None:
    run = scenario(faults=[Crash("leader", at=0.3)], duration=2.0).run(1)
    ax = run.plot.leaders()
    first, second = ax.patches[:2]
    assert first.get_x() + first.get_width() == pytest.approx(0.3)  # type: ignore[attr-defined]
    assert second.get_x() + second.get_width() == pytest.approx(run.ended)  # type: ignore[attr-defined]
    (cross,) = [line for line in ax.lines if line.get_marker() == "X"]
    assert np.asarray(cross.get_xdata()) == pytest.approx([0.3])
    assert "crash" in ax.texts[0].get_text()
    with pytest.raises(ValueError, match="nobody leads in EPaxos"):
        scenario(system=EPaxos(nodes=3)).run(1).plot.leaders()


def test_the_kinds_of_messages_add_up_to_the_messages_per_operation_of_the_table() -> None:
    both = compare(
        [Raft(), EPaxos()], scenario(trace=True, duration=1.0), seeds=[1], workers=1, progress=None
    )
    ax = both.plot.messages()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert {"AppendEntries", "PreAccept"} <= set(names)
    assert not {"Request", "Reply"} & set(names)
    lengths = [bar.get_width() for bar in ax.patches]  # type: ignore[attr-defined]
    of_raft = names.index("Commit")  # of equally many kinds the first one by name
    expected = both.summaries["messages_per_operation"].tolist()
    assert [sum(lengths[:of_raft]), sum(lengths[of_raft:])] == pytest.approx(expected)
    assert lengths[:of_raft] == sorted(lengths[:of_raft], reverse=True)
    with pytest.raises(ValueError, match="run the scenario with trace=True"):
        scenario().run(1).plot.messages()


def test_a_window_has_the_share_of_its_calls_that_succeeded_in_time() -> None:
    run = scenario(faults=[Crash("leader", at=1.0)], duration=4.0).run(1)
    ax = run.plot.availability(within=0.1, width=0.5)
    (shares,) = np.asarray(ax.collections[0].get_array())
    mine = run.operations
    for number, share in enumerate(shares):
        called = mine[(mine["called"] >= 0.5 * number) & (mine["called"] < 0.5 * (number + 1))]
        called = called[(called["called"] <= 3.9) | (called["status"] == "ok")]
        good = (called["status"] == "ok") & (called["returned"] - called["called"] <= 0.1)
        assert share == pytest.approx(100.0 * good.mean()), number
    assert shares.min() == 0.0
    assert shares[-1] == 100.0
    with pytest.raises(ValueError, match="within must be positive"):
        run.plot.availability(within=0.0)


def test_a_replica_that_is_cut_off_is_behind_until_it_has_caught_up() -> None:
    faults = [Partition((("n2",),), at=0.5, duration=0.5)]
    run = scenario(leader="lan", faults=faults, sample_every=0.1, duration=2.0).run(1)
    ax = run.plot.lag()
    assert ax.get_ylabel() == "last applied: behind the furthest (entries)"
    behind = {str(line.get_label()): line for line in ax.lines}
    assert list(behind) == ["n0", "n1", "n2"]
    late = max(behind, key=lambda node: np.max(behind[node].get_ydata()))
    times, values = (np.asarray(data, dtype=float) for data in behind[late].get_data())
    assert values[(times > 0.7) & (times < 0.99)].min() > 20  # 200 operations a second
    assert values[-1] < 5
    applied = run.samples[run.samples["gauge"] == "last_applied"].pivot(
        index="time", columns="node", values="value"
    )
    assert values == pytest.approx((applied.max(axis=1) - applied[late]).to_numpy(dtype=float))
    down = (
        scenario(leader="lan", faults=[Crash("n2", at=0.5)], sample_every=0.1, duration=1.0).run(1).plot.lag()
    )
    times, values = (np.asarray(data, dtype=float) for data in down.lines[2].get_data())
    assert np.isnan(values[times > 0.55]).all()
    assert np.isfinite(values[times < 0.45]).all()
    with pytest.raises(ValueError, match="no sample of gauge 'lag'; there are"):
        run.plot.lag(gauge="lag")
    with pytest.raises(ValueError, match="run the scenario with sample_every"):
        scenario().run(1).plot.lag()
