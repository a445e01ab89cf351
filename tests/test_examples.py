"""Examples are tests: every scenario script tells its story (shortened)."""

from __future__ import annotations

import ast
import dataclasses
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from sim import Scenario
from sim.analysis.plots import save
from tests.budget import mostly_nightly
from tests.story_points import POINTS, Say

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.py"))

LONG = {
    *(
        "bounded_staleness",
        "chain_throughput",
        "many_raft_groups",
        "overload",
        "rpc_deadlines",
        "sloppy_quorums",
        "stale_load",
        "wan_tail_elections",
        "consensus_by_region",
        "failover_modes",
        "gossip_thousand",
        "grey_server",
        "hedging",
        "incident_replay",
    ),
    *("keys_moved", "leader_bottleneck", "partial_partition", "policies_by_load", "retry_storm"),
    *("snapshot_transfer", "split_brain"),
}
"""Stories that take more than a second or two even when shortened: `make nightly` tells them; they begin every day."""

COARSE = 80.0
"""Dots an inch of the pictures of the tests: all that the stories draw, for a third of the time."""


def opened(path: Path, *, short: bool) -> tuple[Callable[..., str], Scenario]:
    """A story and its scenario; ``short``: with the fields and constants that it gives itself for a quick look."""
    script = runpy.run_path(str(path))
    changes = script.get("SHORT", {}) if short else {}
    constants = {name: value for name, value in changes.items() if name.isupper()}
    assert constants.keys() <= script.keys(), "each is a constant of the script"
    script["tell"].__globals__.update(constants)
    fields = {name: value for name, value in changes.items() if name not in constants}
    return script["tell"], dataclasses.replace(script["scenario"], **fields)


def tell(path: Path, folder: Path, *, short: bool) -> str:
    """Tell a story."""
    told, scenario = opened(path, short=short)
    return told(scenario, 1, folder)


@pytest.mark.parametrize("path", [path for path in SCENARIOS if path.stem in LONG], ids=lambda p: p.stem)
def test_a_long_story_begins(path: Path) -> None:
    """What every day is asked of those that are told at night only: something happens, as it would when told whole."""
    for short in (True, False):
        _, scenario = opened(path, short=short)
        simulation = scenario.start(seed=1)
        for _ in range(500):
            simulation.step()
        assert simulation.now > 0.0


@pytest.mark.parametrize(
    "short", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["short", "whole"]
)
@pytest.mark.parametrize(
    "path", mostly_nightly(SCENARIOS, lambda path: path.stem not in LONG), ids=lambda p: p.stem
)
def test_a_scenario_script_ends_in_charts_and_a_two_line_conclusion(
    path: Path, short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(save.__kwdefaults__, "dpi", COARSE)
    told = tell(path, tmp_path, short=short)
    lines = told.strip().splitlines()
    assert len(lines) == 2, told
    assert any(character.isdigit() for character in told), "a conclusion is computed from the run"
    assert "nan" not in told.split()
    pictures = list(tmp_path.rglob("*.png"))
    assert pictures
    assert all(picture.stat().st_size > 4_000 for picture in pictures)
    POINTS[path.stem](Say(told))
    title = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    assert title.endswith(".")


def test_each_story_has_a_point_that_its_figures_must_make() -> None:
    assert {path.stem for path in SCENARIOS} >= LONG
    assert sorted(POINTS) == [path.stem for path in SCENARIOS]
