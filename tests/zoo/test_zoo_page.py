"""docs/zoo.md is made of measurements: what was found, what was not, and what was not measured are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sim.zoo import BUGS
from sim.zoo.sources import files_of
from tests.command import ROOT
from tests.scripts import script


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return script(ROOT / "docs" / "make_zoo.py")


def results(**mistakes: Any) -> dict[str, Any]:
    return {
        "mistakes": mistakes,
        "mutants": {},
    }


def found(number: int, **more: Any) -> dict[str, Any]:
    return {
        "runs": 16,
        "found": number,
        "invariant": "commit rule",
        "seconds": 2.0,
        "commit": "c0ffee (2026-01-01)",
        **more,
    }


def quiet(runs: int, cut: bool = False) -> dict[str, Any]:
    return {"runs": runs, "seconds": 30.0, "cut": cut, "limit": 30.0, "commit": "c0ffee (2026-01-01)"}


def row(page: str, name: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| {name} |"))


def test_the_page_is_made_of_the_results(maker: ModuleType) -> None:
    kept = json.loads(maker.RESULTS.read_text(encoding="utf-8"))
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(kept), "run `python docs/make_zoo.py`"
    for name in BUGS:
        assert row(maker.page(kept), name)


def test_what_was_found_not_found_cut_short_and_not_measured_are_told_apart(maker: ModuleType) -> None:
    page = maker.page(
        results(
            RF3={
                "0": found(7, faults=2, operations=5),
                "1": quiet(500),
                "2": found(9),
                "free": quiet(160, True),
            },
            RF4={**{str(seed): quiet(500) for seed in range(3)}, "long": quiet(900, True)},
            RF5={**{str(seed): quiet(500) for seed in range(3)}, "long": found(1200)},
        )
    )
    assert "Measured at commit c0ffee (2026-01-01)" in page
    cells = [cell.strip() for cell in row(page, "RF3").split("|")]
    assert cells[4:6] == ["7; not found in 500; 9", ""]
    assert cells[6:10] == ["commit rule", "2, 30, 2", "2 / 5", "not found in 160 (30 s)"]
    assert "not found in 900 (30 s)" in row(page, "RF4")
    assert "1200" in row(page, "RF5")
    assert "not measured; not measured; not measured" in row(page, "RF6")
    short, either, free = (line for line in page.splitlines() if line.startswith(("| a search", "| our own")))
    assert "| 1 | RF4, RF5 | PX1, PX2" in short
    assert "| 2 | RF4 | PX1, PX2" in either
    assert "| 0 | RF3 | PX1, PX2" in free
    assert "1 shrunk stories: in the median 2 faults and 5 operations" in page


def test_a_measurement_goes_on_where_it_stopped_and_forgets_results_of_other_sources(
    maker: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "zoo.json"
    maker.Measurement(60.0, 30.0, 1, file).measure_mutant("RF1", BUGS["RF1"].system)
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["mutants"]["RF1"]["invariant"] == "durable before send"
    kept["mutants"]["RF1"]["found"] = 77
    file.write_text(json.dumps(kept), encoding="utf-8")
    again = maker.Measurement(60.0, 30.0, 1, file)
    again.measure_mutant("RF1", BUGS["RF1"].system)
    assert again.kept["mutants"]["RF1"]["found"] == 77
    file.write_text(json.dumps(kept | {"of mutants": "other"}), encoding="utf-8")
    other = maker.Measurement(60.0, 30.0, 1, file)
    assert other.kept["mutants"]["RF1"]["found"] == 77  # they say at which commit they were made
    other.begin_mutants()
    assert other.kept["mutants"] == {}


def test_a_mistake_is_measured_again_only_when_its_sources_have_changed(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zoo.json"
    bug = BUGS["PX1"]
    monkeypatch.setattr(maker, "search_for", lambda *_, **__: maker.Measured(16, found=3))
    for sources, number in (("same", 3), ("same", 3), ("other", 5)):
        monkeypatch.setattr(maker, "search_for", lambda *_, n=number, **__: maker.Measured(16, found=n))
        monkeypatch.setattr(maker, "sources_of", lambda _, s=sources: s)
        measurement = maker.Measurement(60.0, 30.0, 1, file)
        measurement.measure(bug)
        assert measurement.of(bug, "0").found == number
    later = maker.Measurement(60.0, 30.0, 1, file, searches=("free",))
    monkeypatch.setattr(maker, "sources_of", lambda _: "third")
    later.measure(bug)
    assert [later.of(bug, name).sources for name in ("0", "free")] == ["other", "third"]


def test_one_story_of_a_mistake_is_shrunk_each_time_that_it_is_measured(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*_: Any, shrinks: bool) -> Any:
        return maker.Measured(16, found=3, faults=2 if shrinks else None)

    monkeypatch.setattr(maker, "search_for", search)
    for sources in ("some", "other"):
        monkeypatch.setattr(maker, "sources_of", lambda _, s=sources: s)
        measurement = maker.Measurement(60.0, 30.0, 1, tmp_path / "zoo.json")
        measurement.measure(BUGS["PX1"])
        assert [measurement.of(BUGS["PX1"], seed).faults for seed in "012"] == [2, None, None]


def test_a_search_that_its_time_cut_short_is_made_again_with_more_time(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zoo.json"
    monkeypatch.setattr(maker, "sources_of", lambda _: "same")
    for limit, runs, expected in ((5.0, 16, 16), (5.0, 32, 16), (30.0, 64, 64)):
        monkeypatch.setattr(maker, "search_for", lambda *_, n=runs, **__: maker.Measured(n, cut=True))
        measurement = maker.Measurement(600.0, limit, 1, file)
        measurement.measure(BUGS["PX1"])
        assert measurement.of(BUGS["PX1"], "0").runs == expected


def test_the_sources_of_a_search_are_those_that_may_change_its_verdict() -> None:
    raft, paxos = (
        {file.relative_to(ROOT).as_posix() for file in files_of(BUGS[name])} for name in ("RF3", "PX1")
    )
    both = {"sim/lab/storm.py", "sim/lab/nemesis/usual.py", "sim/faults/crashes.py", "sim/network/links.py"}
    assert both | {"sim/lab/fuzz/judging.py", "sim/invariants/durable.py"} <= raft & paxos
    assert "sim/protocols/consensus/raft/node.py" in raft - paxos
    assert "sim/zoo/paxos.py" in paxos - raft
    assert not {"sim/analysis/plots/__init__.py", "sim/lab/store/schema.py", "sim/commands/fuzz.py"} & (
        raft | paxos
    )


def test_without_time_nothing_is_measured(maker: ModuleType, tmp_path: Path) -> None:
    measurement = maker.Measurement(0.0, 30.0, 1, tmp_path / "zoo.json")
    measurement.measure(BUGS["RF1"])
    assert measurement.kept["mistakes"] == {}


def test_the_mutants_of_the_tests_are_systems_whose_members_run_them(maker: ModuleType) -> None:
    mutants = maker.mutants()
    assert len(mutants) >= 100
    for name, system in mutants.items():
        (mutant,) = system.mutated_nodes
        assert any(issubclass(member.node_class, mutant) for member in system.members()), name
