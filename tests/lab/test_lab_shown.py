"""Results show themselves: a repr without an address, and HTML that says what the text says."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from sim import Scenario, compare, protocols
from sim.analysis.checks import Verdict
from sim.display import MOST_ROWS_SHOWN, TextTable, html_of, text_of_blocks
from sim.lab import (
    Calibration,
    Check,
    Comparison,
    Liveness,
    Run,
    Simulation,
    Storms,
    Sweep,
    measure_liveness,
    run_storms,
)
from sim.lab.calibrate import Fitted
from sim.lab.fuzz import Breakage, Find, Fuzzed, Replay, Replayed
from sim.lab.fuzz.playing import Played
from sim.lab.grading import Grade, Lost
from sim.lab.reproduce import FigureRecord, GroupRecord, Reproduced
from sim.network import constant, matrix
from sim.protocols import Raft
from sim.system import System
from sim.workload import ClosedLoop

EVIL = "<script>alert('&')</script>"

ROOMS = ("sim.lab", "sim.lab.fuzz", "sim.lab.grading", "sim.lab.calibrate", "sim.lab.reproduce")
NOT_RESULTS = {FigureRecord, GroupRecord}
"""Parts of files, read by programs."""


def scenario(**changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": Raft(nodes=3, detection=0.2),
        "network": constant(0.01),
        "workload": ClosedLoop(clients=2, think=0.05),
        "duration": 2.0,
        "check": True,
    }
    return Scenario(**{**base, **changes})


@cache
def a_run() -> Run:
    return scenario(name=EVIL).run(1)


@cache
def a_comparison() -> Comparison:
    return compare(
        [Raft(nodes=3), Raft(nodes=3, pre_vote=True)], scenario(name=EVIL), seeds=2, progress=None, workers=1
    )


BROKEN = Breakage("election safety", "safety", 1.5, ("n0", "n1"), (EVIL, "two leaders"))


def a_replay() -> Replay:
    return Replay(scenario(), 3, BROKEN, "0123", "0.1.0")


def a_find() -> Find:
    return Find(7, BROKEN, a_replay(), f"n0   n1\n {EVIL}", 12, 1, 2)


def a_live() -> Simulation:
    live = scenario().start(2)
    live.run(until=1.0)
    live.crash("n1")
    live.record("n0", EVIL, {})
    return live


def a_calibration() -> Calibration:
    rows = tuple(
        {
            "offered": load,
            "half": half,
            "measure": "p50",
            "measured": 1.0,
            "predicted": 1.1,
            "error": 0.1,
            "noise": 0.1,
        }
        for load, half in ((10, "fitted"), (20, "held out"))
    )
    return Calibration(
        scenario(), (Fitted("per_message", 1e-4, 9e-5, 1.1e-4),), ((1.0,),), rows, "offered", (EVIL,)
    )


EXAMPLES: dict[type, Callable[[], Any]] = {
    Scenario: lambda: scenario(network=matrix((EVIL,), [[0.01]])),
    Run: a_run,
    Comparison: a_comparison,
    Sweep: lambda: scenario(name=EVIL).sweep({"system.nodes": [3, 5]}, workers=1, progress=None),
    Check: lambda: a_run().check(),
    Verdict: lambda: Verdict(False, "linearizable", "register", f"{EVIL} was read before it was written"),
    Storms: lambda: run_storms(
        [Raft(nodes=3)], seeds=1, storm=lambda system, seed: scenario(), workers=1, progress=None
    ),
    Fuzzed: lambda: Fuzzed("Raft", 20, (a_find(),), ((16, 100), (20, 110))),
    Find: a_find,
    Breakage: lambda: BROKEN,
    Replay: a_replay,
    Replayed: lambda: Replayed(a_replay(), Played(a_run(), None, None, a_live())),  # type: ignore[arg-type]
    Grade: lambda: Grade("evil.py", 200, (Lost("elections end", EVIL, 3, "a   story"),)),
    Lost: lambda: Lost("elections end", EVIL, 3, "a   story"),
    Simulation: a_live,
    Calibration: a_calibration,
    Fitted: lambda: Fitted("per_message", 1e-4, 9e-5, 1.1e-4),
    Liveness: lambda: measure_liveness(Raft(nodes=3), range(2)),
    Reproduced: lambda: Reproduced(EVIL, "different", "a   reason"),
}


class _Text(HTMLParser):
    """The text of HTML, and the tags that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: dict[str, None] = {}

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] = None

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def read(html: str) -> _Text:
    found = _Text()
    found.feed(html)
    return found


def words(text: str) -> list[str]:
    """The words of a text, without the rules of its tables."""
    return [word for word in text.split() if set(word) != {"─"}]


def said(value: Any) -> str:
    return value.describe() if isinstance(value, Scenario) else str(getattr(value, "text", value.__str__)())


def test_every_result_has_an_example_here() -> None:
    found = {
        cls
        for room in ROOMS
        for name in importlib.import_module(room).__all__
        if isinstance(cls := getattr(importlib.import_module(room), name), type)
        and not issubclass(cls, Exception)
    }
    assert found - NOT_RESULTS <= EXAMPLES.keys()


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_result_shows_itself_in_words_and_in_html_alike(kind: type) -> None:
    value = EXAMPLES[kind]()
    assert type(value) is kind
    assert " at 0x" not in repr(value)
    assert " at 0x" not in str(value)
    shown = read(value._repr_html_())
    assert shown.words == words(said(value))
    assert shown.words
    assert shown.tags.keys() <= {
        "div",
        "p",
        "pre",
        "em",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    assert len(value._repr_html_()) < 20_000


@pytest.mark.parametrize(
    "kind",
    [Comparison, Storms, Fuzzed, Find, Replay, Replayed, Calibration, Liveness, Sweep, Run, Simulation],
)
def test_the_repr_of_a_large_result_is_one_short_line(kind: type) -> None:
    text = repr(EXAMPLES[kind]())
    assert "\n" not in text
    assert len(text) < 200


def test_what_a_result_says_is_text_and_never_markup() -> None:
    for kind in (Scenario, Run, Comparison, Sweep, Verdict, Fuzzed, Grade, Calibration, Reproduced):
        html = EXAMPLES[kind]()._repr_html_()
        assert "<script" not in html, kind
        assert "&lt;script&gt;" in html, kind


def test_a_long_table_or_text_is_cut_and_says_so() -> None:
    rows = [f"r{i}" for i in range(MOST_ROWS_SHOWN + 5)]
    table = read(html_of([TextTable([("row", rows, False)])]))
    assert f"r{MOST_ROWS_SHOWN - 1}" in table.words
    assert f"r{MOST_ROWS_SHOWN}" not in table.words
    assert table.words[-4:] == ["…", "5", "more", "rows"]
    text = read(html_of(["\n".join(rows)])).words
    assert " ".join(text[39:46]) == "r39 … 5 more lines … r45", "a story ends with what broke"
    assert text[-1] == rows[-1]
    assert read(html_of(["x" * 10_000])).words[-4:] == ["…", "6,000", "more", "letters"]
    assert "more" not in read(html_of([TextTable([("row", rows[:MOST_ROWS_SHOWN], False)])])).words


def test_a_table_says_the_same_as_text_and_as_html() -> None:
    table = TextTable([("name", ["a & b", EVIL], False), ("n", ["1", "20"], True)], "two rows")
    assert table.text().splitlines()[0] == "two rows"
    assert read(html_of([table])).words == words(text_of_blocks([table]))


@pytest.mark.parametrize("name", [n for n in protocols.__all__ if issubclass(getattr(protocols, n), System)])
def test_a_system_shows_its_label_its_claim_and_its_settings(name: str) -> None:
    system = getattr(protocols, name)()
    html = system._repr_html_()
    assert " at 0x" not in html
    shown = " ".join(read(html).words)
    assert shown.startswith(system.label)
    assert str(system.consistency or "no consistency") in shown
    for field in dataclasses.fields(system):
        if field.init and field.repr:
            assert field.name in shown, field.name


def test_a_live_session_shows_each_member_with_its_role_and_term() -> None:
    live = scenario().start(1)
    live.run(until=1.0)
    leader = str(live.leader)
    live.crash("n0" if leader != "n0" else "n1")
    live.pause("n2" if leader != "n2" else "n1")
    head, _, table = live.text().partition("\n\n")
    assert f"leader: {leader}" in head
    assert "at 1 s of 2 s" in head
    rows = {line.split()[0]: line.split() for line in table.splitlines()[2:]}
    assert set(rows) == {"n0", "n1", "n2"}
    assert sorted(row[1] for row in rows.values()) == ["down", "paused", "up"]
    assert rows[leader][2] == "leader"
    assert str(live.nodes[leader].current_term) in rows[leader]  # type: ignore[attr-defined]
    assert str(live.nodes[leader].commit_index) in rows[leader]  # type: ignore[attr-defined]


def test_a_live_session_without_a_script_prints_its_state_and_why() -> None:
    live = a_live()
    live.hold(eval("lambda src, dst, message: True"))
    assert str(live).startswith(live.text())
    assert "There is no script: the text of the function" in str(live)
