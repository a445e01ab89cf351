"""A report is one file that loads nothing, says what it left out, and runs no code of what it tells of."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim import Disk, Machine, Scenario, compare, sweep
from sim.display import TextTable
from sim.lab.fuzz.replaying import Replay
from sim.lab.report import parts
from sim.lab.report.parts import space_time
from sim.lab.report.story import story_report
from sim.lab.widget import space_time_widget
from sim.page import asset, packed
from sim.page.document import MOST_BYTES, Chart, Code, Packed, Remark, Section, page, within
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop
from sim.zoo import BUGS
from tests.command import sim
from tests.page.runs import EVIL, SCENARIO, data_of, opened, run, until

QUICK = Scenario(system=Raft(nodes=3), workload=OpenLoop(clients=2, rate=20.0), duration=1.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = replace(SCENARIO, name=EVIL).run(seed=1)
    return named.report(tmp_path_factory.mktemp("report") / "run.html")


@pytest.fixture(params=["drawn only", pytest.param("as SVG", marks=pytest.mark.nightly)])
def charts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chart is drawn; in the daily tests it is not written as SVG, which costs most."""
    if request.param == "drawn only":
        monkeypatch.setattr(parts, "svg_of", closed)


def closed(drawn: Any) -> bytes:
    from matplotlib import pyplot

    pyplot.close("all")
    return b"<svg/>"


def headings(file: Path) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", file.read_text(encoding="utf-8"))


def loads(text: str) -> list[str]:
    """What a file would load from elsewhere."""
    return [
        found for found in re.findall(r'(?:src|href)="([^"]*)"', text) if not found.startswith(("data:", "#"))
    ]


def test_a_report_of_a_run_has_all_its_parts_and_loads_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert headings(report) == [
        *("Measures", "Verdicts", "Step through it", "Charts", "Anatomy of latency", "Faults played"),
        *("What was run", "Nodes", "Links", "How to reproduce it"),
    ]
    assert "default-src 'none'" in text
    assert loads(text) == []
    assert len(text.encode()) < MOST_BYTES
    assert run().digest() in text
    assert EVIL not in text
    assert text.count("data:image/svg+xml") >= 5
    assert [name.name for name in report.parent.iterdir()] == ["run.html"]  # no temporary file is left


def test_a_report_in_chromium_sorts_its_tables_and_steps_through_the_run(browser: Any, report: Path) -> None:
    with opened(browser, report) as tab:
        assert tab.title() == EVIL
        assert tab.evaluate("document.querySelectorAll('main img').length") >= 5
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        tab.evaluate("window.spaceTime[0].go(40)")
        assert tab.evaluate("window.spaceTime[0].stateOf('n0')") == run().state("n0", step=40)
        tab.locator("summary", has_text="Links").click()
        head = tab.locator("th", has_text="messages").last
        rows = "[...document.querySelectorAll('section:nth-last-of-type(2) tbody tr')]"
        cells = rows + ".map(row => Number(row.cells[4].textContent.replaceAll(',', '')))"
        head.locator("button").click()
        rising = tab.evaluate(cells)
        assert rising == sorted(rising) != sorted(rising, reverse=True)
        head.locator("button").click()
        assert tab.evaluate(cells) == sorted(rising, reverse=True)
        assert head.get_attribute("aria-sort") == "descending"


def test_the_widget_of_a_notebook_shows_the_same_page(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("anywidget")
    widget = space_time_widget(run())
    assert widget.drawn == packed(data_of(run())[0])
    assert widget.details == packed(data_of(run())[1])
    file = tmp_path / "notebook.html"
    file.write_text("<!doctype html><body></body>", encoding="utf-8")
    with opened(browser, file) as tab:
        tab.evaluate(
            """async ([source, parts]) => {
              const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
              const model = { get: name => new DataView(Uint8Array.from(parts[name]).buffer) };
              const el = document.createElement("div");
              document.body.append(el);
              window.remove = await module.default.render({ model, el });
              window.shown = el.firstChild.shadowRoot;
            }""",
            [asset("spacetime.js"), {"drawn": [*widget.drawn], "details": [*widget.details]}],
        )
        until(tab, "window.shown.querySelectorAll('.states tr').length > 5")
        tab.evaluate("window.remove()")


def test_the_report_of_a_comparison_has_a_page_for_each_system(
    browser: Any, tmp_path: Path, charts: None
) -> None:
    both = compare(
        [Raft(), PrimaryBackup()],
        replace(QUICK, trace="full", duration=0.6),
        seeds=1,
        progress=None,
        workers=1,
    )
    file = both.report(tmp_path / "both.html")
    found = headings(file)
    assert found[:4] == ["The systems side by side", "Verdicts", "Charts", "Anatomy of latency"]
    assert [name for name in found if "step through it" in name] == [
        f"{label}, seed 0: step through it" for label in both.scenarios
    ]
    text = file.read_text(encoding="utf-8")
    assert all(one.digest() in text for one in both.runs)
    assert loads(text) == []
    with opened(browser, file) as tab:  # the second page is folded, and drawn when it opens
        tab.locator("summary", has_text="step through it").click()
        until(tab, "window.spaceTime[1] && window.spaceTime[1].detailed")
        assert tab.evaluate("window.spaceTime[1].run.count") == len(both.runs[-1].messages)


def test_the_report_of_a_sweep_has_its_grid_multiples_and_frontier(tmp_path: Path, charts: None) -> None:
    done = sweep(
        QUICK, {"system.nodes": [3, 5], "workload.rate": [10.0, 20.0]}, seeds=2, progress=None, workers=1
    )
    file = done.report(tmp_path / "sweep.html")
    assert headings(file)[:4] == ["The grid", "Small multiples", "The frontier", "Verdicts"]
    text = file.read_text(encoding="utf-8")
    assert text.count("data:image/svg+xml") >= 4
    assert "throughput against system.nodes" in text
    systems = sweep(QUICK, {"system": [Raft(nodes=3), PrimaryBackup(nodes=3)]}, progress=None, workers=1)
    assert "No number was swept" in systems.report(tmp_path / "systems.html").read_text(encoding="utf-8")


def test_a_violation_is_told_and_marked_in_the_page_of_its_run(tmp_path: Path, charts: None) -> None:
    disk = Machine(disk=Disk(fsync=0.01))
    scenario = Scenario(system=BUGS["RF1"].system, machines=disk, duration=1.0, trace="full", check=True)
    broken = scenario.run(seed=1)
    assert broken.violation is not None
    drawn, _ = data_of(broken)
    assert drawn["broken"] is None  # the frames alone do not say it
    marked = parts.data_of(broken)[0]["broken"]
    assert marked["time"] == broken.violation.time
    file = story_report(Replay.of(replace(scenario, trace=False), 1), tmp_path / "story.html")
    text = file.read_text(encoding="utf-8")
    assert headings(file)[:2] == ["What breaks", "Step through it"]
    assert f"BROKEN at {broken.violation.time:.6f} s" in text
    assert broken.violation.invariant in text


def test_what_does_not_fit_is_left_out_and_said() -> None:
    sections = [
        Section("a", ["text", Chart(b"x" * 60_000, "the large chart"), Code("y" * 200)]),
        Section("b", [TextTable([("n", ["1", "2"], True)])]),
    ]
    whole = len(page("", "", sections).encode())
    assert within(sections, whole + 60_000) == sections
    cut = within(sections, whole + 10_000)
    assert cut[0].blocks[1] == Remark("Left out, because the file would be too large: the large chart.")
    assert cut[0].blocks[2] == Code("y" * 200)
    [full] = space_time(run())
    assert isinstance(full, Packed)
    room = len(full.drawn) + len(full.details) - 1
    [less] = space_time(run(), room=room)
    assert isinstance(less, Packed)
    assert len(less.details) < len(full.details)
    [nothing] = space_time(run(), room=100)
    assert "is left out" in nothing.text  # type: ignore[union-attr]


def test_sim_report_writes_a_report_or_says_in_one_line_why_not(tmp_path: Path, charts: None) -> None:
    QUICK.run(seed=1).save(tmp_path / "run")
    done = sim("report", "run", "-o", "run.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "report: run.html\n")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "scenario.toml").write_text(QUICK.to_toml(), encoding="utf-8")
    (tmp_path / "folder.html").mkdir()
    for arguments in (
        ("none",),
        ("none.json",),
        ("other.json",),
        ("scenario.toml",),
        (".",),
        ("run", "-o", "run.pdf"),
        ("run", "-o", "no/run.html"),
        ("run", "-o", "folder.html"),
    ):
        done = sim("report", *arguments, cwd=tmp_path)
        assert done.returncode == 2, arguments
        assert len(done.stderr.splitlines()) == 1, arguments
        assert done.stdout == "", arguments
    with pytest.raises(ValueError, match=r"must end in \.html"):
        run().report(tmp_path / "run.pdf")
    assert not (tmp_path / "report.html").exists()
