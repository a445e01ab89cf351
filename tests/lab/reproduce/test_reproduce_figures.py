"""`sim reproduce`: right for an unchanged, a version-changed and a falsified figure; nothing in a file is evaluated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, compare
from sim.analysis.plots import save, tell
from sim.lab.compare import Comparison
from sim.lab.reproduce import FigureRecord, judged, record_of, reproduce
from sim.lab.reproduce.pictures import record_in
from sim.lab.storm import run_storm
from sim.lab.sweep import sweep
from sim.network import constant
from sim.protocols import PrimaryBackup
from sim.workload import OpenLoop

SUFFIXES = (".png", ".svg", ".pdf")


def world(**fields: Any) -> Scenario:
    load = OpenLoop(clients=2, rate=40.0)
    base: dict[str, Any] = {"network": constant(0.01), "workload": load, "duration": 1.0}
    return Scenario(system=PrimaryBackup(nodes=2), **{**base, **fields})


@pytest.fixture(scope="module")
def compared() -> Comparison:
    systems = {"sync (fast)": PrimaryBackup(nodes=2), "async é": PrimaryBackup(nodes=2, mode="async")}
    return compare(systems, world(), seeds=3, workers=1, progress=None)


@pytest.fixture(scope="module")
def record(compared: Comparison) -> FigureRecord:
    return record_of(compared.runs)


def again(file: Path) -> Any:
    (answer,) = reproduce(file, workers=1, progress=None)
    return answer


def falsified(record: FigureRecord, change: Callable[[dict[str, Any]], Any], folder: Path) -> Any:
    """What is said of a picture whose record was changed."""
    tree = json.loads(record.to_json())
    change(tree)
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    return again(save(ax, folder / "figure.svg", runs=json.dumps(tree)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_unchanged_picture_is_identical(compared: Comparison, suffix: str, tmp_path: Path) -> None:
    file = save(compared.plot.latency_cdf(), tmp_path / f"figure{suffix}")
    answer = again(file)
    assert answer.status == "identical"
    assert str(answer) == f"{file}: identical"
    assert record_in(file) == record_of(compared.runs).to_json()


def test_pictures_of_runs_and_sweeps_come_out_again_and_equal_charts_are_equal_files(tmp_path: Path) -> None:
    run = world().run(7)
    one = save(run.plot.latency_cdf(), tmp_path / "run.png")
    two = save(run.plot.latency_cdf(), tmp_path / "again.png")
    assert one.read_bytes() == two.read_bytes()
    assert again(one).status == "identical"
    swept = sweep(world(), {"workload.rate": [20.0, 40.0]}, seeds=2, workers=2, progress=None)
    drawn = save(swept.plot.lines("p50"), tmp_path / "sweep.pdf")
    assert again(drawn).status == "identical"
    assert [(g.label, g.seeds) for g in FigureRecord.from_json(record_in(drawn)).groups] == [
        ("Primary-Backup, 2 nodes", (0, 1)),
        ("Primary-Backup, 2 nodes", (0, 1)),
    ]


def test_a_storm_comes_out_again_with_the_progress_that_it_demands(tmp_path: Path) -> None:
    run = run_storm(world(check=True), 3)
    drawn = save(run.plot.latency_cdf(), tmp_path / "storm.svg")
    assert again(drawn).status == "identical"
    run.save(tmp_path / "storm")
    assert again(tmp_path / "storm").status == "identical"


@pytest.mark.parametrize("kind", ["run", "comparison", "sweep"])
def test_a_saved_folder_is_identical(compared: Comparison, kind: str, tmp_path: Path) -> None:
    saved: Any = compared
    if kind == "run":
        saved = world().run(3)
    elif kind == "sweep":
        saved = sweep(world(), {"workload.rate": [20.0, 40.0]}, workers=1, progress=None)
    saved.save(tmp_path / kind)
    assert again(tmp_path / kind).status == "identical"


def version_changed(tree: dict[str, Any]) -> None:
    tree["versions"]["quorumlab"] = "0.0.1"


def another_digest(tree: dict[str, Any]) -> None:
    tree["groups"][0]["digests"][1] = "0" * 64


def within(tree: dict[str, Any]) -> None:
    """Runs of another version that give slightly other numbers."""
    version_changed(tree)
    another_digest(tree)
    for parts in tree["groups"][0]["stated"].values():
        if parts[0] is not None:
            parts[0] += 0.4 * (parts[2] - parts[0])


def test_a_figure_of_another_version_is_identical_where_its_runs_are(
    record: FigureRecord, tmp_path: Path
) -> None:
    answer = falsified(record, version_changed, tmp_path)
    assert answer.status == "identical"
    assert answer.reason.startswith("though made by quorumlab 0.0.1, now ")


def test_a_figure_of_another_version_is_consistent_where_every_measure_is_in_its_interval(
    record: FigureRecord, tmp_path: Path
) -> None:
    answer = falsified(record, within, tmp_path)
    assert answer.status == "consistent"
    assert answer.reason.startswith(
        "sync (fast), seed 1: another run, every measure within the interval stated; made by"
    )


def changed_number(tree: dict[str, Any]) -> None:
    tree["groups"][1]["stated"]["p99"][0] *= 0.9


def changed_interval(tree: dict[str, Any]) -> None:
    tree["groups"][1]["stated"]["throughput"][2] += 1.0


def changed_seed(tree: dict[str, Any]) -> None:
    tree["groups"][0]["seeds"][1] = 17


def changed_scenario(tree: dict[str, Any]) -> None:
    tree["groups"][1]["scenario"]["workload"]["rate"] = 80.0


def changed_number_and_version(tree: dict[str, Any]) -> None:
    version_changed(tree)
    another_digest(tree)
    low, high = tree["groups"][0]["stated"]["p50"][1:]
    tree["groups"][0]["stated"]["p50"] = [part + 2 * (high - low) + 0.1 for part in (low, low, high)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed_number, "async é: p99 was stated as "),
        (changed_interval, "async é: the interval of throughput was stated as "),
        (changed_seed, "sync (fast), seed 17"),
        (changed_scenario, "async é, seed 0 and 2 more: "),
        (another_digest, "sync (fast), seed 1: another run, though every measure is within its interval"),
        (changed_number_and_version, "sync (fast), seed 1: p50 was stated as "),
    ],
)
def test_a_falsified_figure_is_different_and_the_run_and_measure_are_named(
    record: FigureRecord, change: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path
) -> None:
    answer = falsified(record, change, tmp_path)
    assert answer.status == "different"
    assert answer.reason.startswith(reason)


def test_a_run_that_fails_is_different(record: FigureRecord, tmp_path: Path) -> None:
    group = record.groups[0]
    new = replace(
        record, groups=(replace(group, digests=("failed: no", *group.digests[1:])), record.groups[1])
    )
    assert judged("x", record, new).status == "different"
    assert judged("x", record, replace(record, groups=record.groups[:1])).reason == (
        "it states 2 groups of runs, and there are 1"
    )


def test_one_run_of_another_version_has_no_interval_to_be_consistent_with() -> None:
    old = record_of([world().run(1)])
    group = old.groups[0]
    other = replace(old, versions={**old.versions, "numpy": "1.0"})
    moved = {**group.stated, "p50": (group.stated["p50"][0] * 1.001, math.nan, math.nan)}
    new = replace(old, groups=(replace(group, digests=("0",), stated=moved),))
    assert judged("x", other, new).status == "different"
    same = replace(old, groups=(replace(group, digests=("0",)),))
    assert judged("x", other, same).status == "consistent"


def refused(tmp_path: Path, name: str, content: bytes | None) -> str:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        reproduce(file, workers=1, progress=None)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("figure.png", b"GIF89a", "is no PNG picture"),
        ("figure.svg", b"<svg", "is no SVG picture"),
        ("figure.svg", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg/>', "it declares entities"),
        ("figure.svg", b"\xff\xfe", "is no SVG picture"),
        ("figure.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "does not say what it shows"),
        ("figure.pdf", b"no", "is no PDF file"),
        ("figure.pdf", b"%PDF-1.4\n", "does not say what it shows"),
        ("figure.pdf", b"%PDF-1.4\n/Keywords ({1)", "this is no JSON"),
        (
            "figure.pdf",
            b'%PDF-1.4\n/Keywords ({"form": 9})',
            "its record has the form 9; this version reads the form 1",
        ),
        ("figure.pdf", b"%PDF-1.4\n/Keywords ([])", "its record has the form None"),
        ("figure.pdf", b'%PDF-1.4\n/Keywords ({"form": 1})', "its record says what no record says"),
        ("figure.pdf", b'%PDF-1.4\n/Keywords ({"form": 1, "versions": {}, "groups": []})', "names no run"),
        ("figure.txt", b"", "is none of a picture"),
        ("figure.png", None, "cannot be read"),
    ],
)
def test_what_states_nothing_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    assert complaint in refused(tmp_path, name, content)


def test_a_record_cannot_name_a_module_that_is_not_allowed(record: FigureRecord, tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("raise RuntimeError('imported')\n")

    def spring(tree: dict[str, Any]) -> None:
        tree["groups"][0]["scenario"]["system"] = {"class": "trap:Trap"}

    with pytest.raises(ValueError, match="trap"):
        falsified(record, spring, tmp_path)


@pytest.mark.parametrize("seeds", [[-1, 1, 2], [True, 1, 2], ["0", 1, 2], [0, 0, 1], [0, 1]])
def test_seeds_that_are_none_are_refused(record: FigureRecord, seeds: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its record says what no record says"):
        falsified(record, lambda tree: tree["groups"][0].update(seeds=seeds), tmp_path)


def test_a_picture_without_a_written_form_says_so(tmp_path: Path) -> None:
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    tell(ax, title="drawn by hand")
    file = save(ax, tmp_path / "figure.png")
    with pytest.raises(ValueError, match="does not say what it shows: no record in its metadata"):
        reproduce(file)
