"""Charts for a notebook, a slide and a paper: sizes, fonts, names at lines, colours of protocols, letters of others."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.axes import Axes
from PIL import Image

import sim
from sim.analysis.plots import bars, fonts, grouped, latency, save, sweeps, timelines
from sim.analysis.plots.identity import _OWN, places
from sim.analysis.plots.looks import look
from sim.analysis.plots.style import MARKERS, PALETTE, colours, markers

TABLE = pd.DataFrame({"Raft": [100.0, 2.0], "EPaxos": [2.0, 3.0]}, index=["x", "y"])
LINES = pd.DataFrame(
    [(run, seed, x, y * x) for run, y in (("a", 1.0), ("b", 2.0)) for seed in (1, 2) for x in (1.0, 2.0)],
    columns=["run", "seed", "rate", "p99"],
)


def size(ax: Axes) -> tuple[float, float]:
    width, height = ax.get_figure(root=True).get_size_inches()
    return round(float(width), 3), round(float(height), 3)


def test_a_style_holds_until_the_next_or_to_the_end_of_its_block() -> None:
    assert look().name == "notebook"
    sim.plot.style("slide")
    assert look().name == "slide"
    with sim.plot.style("paper"):
        assert look().name == "paper"
    assert look().name == "slide"
    sim.plot.style()
    assert look().name == "notebook"


def test_a_slide_is_16_to_9_with_1920_dots_and_its_least_text_is_a_fortieth_of_its_height(
    tmp_path: Path,
) -> None:
    with sim.plot.style("slide"):
        for ax in (grouped.grouped_bars(TABLE, "latency (ms)"), sweeps.sweep_lines(LINES, "rate", "p99")):
            width, height = size(ax)
            assert width / height == pytest.approx(16 / 9)
            least = min(text.get_fontsize() for text in [*ax.texts, *ax.get_xticklabels(), ax.xaxis.label])
            assert least / (72 * height) > 1 / 40
            with Image.open(save(ax, tmp_path / "slide.png")) as image:
                assert image.size == (1920, 1080)


@pytest.mark.parametrize(
    ("venue", "columns", "width"),
    [
        ("acm", 1, 3.34),
        ("acm", 2, 7.0),
        ("ieee", 1, 3.5),
        ("ieee", 2, 7.16),
        ("usenix", 1, 3.33),
        ("usenix", 2, 7.0),
    ],
)
def test_a_paper_has_the_width_of_its_columns(
    venue: str, columns: int, width: float, operations: pd.DataFrame, events: pd.DataFrame
) -> None:
    with sim.plot.style("paper", venue=venue, columns=columns):  # type: ignore[arg-type]
        assert size(grouped.grouped_bars(TABLE, "latency (ms)"))[0] == width
        assert size(timelines.timeline(operations, events, duration=30.0)[0])[0] == width


def test_a_column_is_for_papers_only_and_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="venue='ieee' is for a paper: write style"):
        sim.plot.style("slide", venue="ieee")
    with pytest.raises(ValueError, match="columns=2 is for a paper"):
        sim.plot.style("notebook", columns=2)
    with pytest.raises(ValueError, match="'poster'"):
        sim.plot.style("poster")  # type: ignore[arg-type]
    assert look().name == "notebook"


def test_bars_of_a_paper_are_told_apart_without_colours() -> None:
    def hatched() -> set[object]:
        return {patch.get_hatch() for patch in grouped.grouped_bars(TABLE, "latency (ms)").patches}

    assert hatched() <= {None, ""}
    with sim.plot.style("paper"):
        assert len(hatched()) == 2
        summaries = pd.DataFrame({"run": ["a", "b"], "seed": [1, 1], "p99": [1.0, 2.0]})
        assert len({patch.get_hatch() for patch in bars.measure_bars(summaries, "p99").patches}) == 2


def test_lines_of_a_slide_have_their_names_at_their_ends_where_they_fit() -> None:
    ax = sweeps.sweep_lines(LINES, "rate", "p99")
    assert ax.get_legend() is not None
    assert not ax.texts
    with sim.plot.style("slide"):
        ax = sweeps.sweep_lines(LINES, "rate", "p99")
        assert ax.get_legend() is None
        assert [text.get_text() for text in ax.texts] == ["a", "b"]
        assert [text.get_color() for text in ax.texts] == [line.get_color() for line in ax.lines]
        assert [text.xy[1] for text in ax.texts] == pytest.approx([2.0, 4.0])  # type: ignore[attr-defined]
        twins = pd.concat([LINES, LINES.assign(run=LINES["run"] + "'")])
        assert sweeps.sweep_lines(twins, "rate", "p99").get_legend() is not None


def test_curves_that_end_at_one_point_keep_their_legend(operations: pd.DataFrame) -> None:
    with sim.plot.style("slide"):
        assert latency.latency_cdf(operations, duration=30.0).get_legend() is not None


def test_numbers_that_are_wider_than_their_bars_are_left_out() -> None:
    wide = pd.DataFrame(np.full((5, 6), 123.0), columns=list("abcdef"))
    assert len(grouped.grouped_bars(wide, "latency (ms)").texts) == 30
    with sim.plot.style("paper"):
        assert not grouped.grouped_bars(wide, "latency (ms)").texts


def test_a_finding_is_the_title_of_the_chart_and_of_the_picture(tmp_path: Path) -> None:
    ax = grouped.grouped_bars(TABLE, "latency (ms)")
    said = "EPaxos is quickest in one of two regions, where nobody leads and all keys are different"
    sim.plot.finding(ax, said)
    shown = ax.get_figure(root=True).get_suptitle()
    assert shown.replace("\n", " ") == said
    assert "\n" in shown
    with Image.open(save(ax, tmp_path / "told.png")) as image:
        assert image.text["Title"] == said  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="a finding is a sentence"):
        sim.plot.finding(grouped.grouped_bars(TABLE, "latency (ms)"), " ")


def test_pdf_embeds_truetype_and_svg_is_dark_on_a_dark_page(tmp_path: Path) -> None:
    pdf = save(grouped.grouped_bars(TABLE, "latency (ms)"), tmp_path / "x.pdf").read_bytes()
    assert b"/CIDFontType2" in pdf  # matplotlib's type 42: TrueType outlines in a composite font
    assert b"/Type3" not in pdf
    svg = save(grouped.grouped_bars(TABLE, "latency (ms)"), tmp_path / "x.svg").read_text(encoding="utf-8")
    assert re.search(r"<style[^>]*>[^<]*@media \(prefers-color-scheme: dark\)", svg)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_protocol_has_one_colour_and_marker_whatever_it_is_compared_with() -> None:
    for names in (["Mine", "EPaxos"], ["Raft", "EPaxos"], ["Multi-Paxos", "EPaxos, batches"]):
        last = names[-1]
        assert colours(names)[last] == PALETTE[_OWN["epaxos"][0]]
        assert markers(names)[last] == MARKERS[_OWN["epaxos"][1]]
    assert len(set(_OWN.values())) == len(_OWN)
    for names in itertools.permutations(["Raft", "Raft, batches", "Mine", "EPaxos"]):
        assert len(set(colours(names).values())) == 4
        assert list(colours(names)) == list(names)
        assert colours(names)["EPaxos"] == PALETTE[3]
    many = places([f"r{i}" for i in range(20)], 7, 0)
    assert set(many.values()) == set(range(7))


def test_two_of_the_best_known_protocols_differ_in_grey_by_colour_or_by_marker() -> None:
    for one, other in itertools.combinations(_OWN, 2):
        (colour, marker), (second, another) = _OWN[one], _OWN[other]
        apart = abs(luminance(PALETTE[colour]) - luminance(PALETTE[second])) > 0.05
        assert apart or marker != another, (one, other)


@pytest.fixture
def chinese() -> Callable[[], Axes]:
    def draw() -> Axes:
        return grouped.grouped_bars(TABLE.rename(columns={"Raft": "延迟分布"}), "latency (ms)")

    return draw


def test_letters_without_a_font_are_one_warning_with_what_to_do(
    chinese: Callable[[], Axes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "cjk_font", lambda: None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        save(chinese(), tmp_path / "x.png")
    assert [str(warning.message)[:47] for warning in said] == [
        "no font here has the letters of '延迟分布': they are "[:47]
    ]
    assert "fonts-noto-cjk" in str(said[0].message)


def test_letters_have_the_first_font_that_is_here(
    chinese: Callable[[], Axes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [SimpleNamespace(name=name) for name in ("DejaVu Sans", "SimHei", "Noto Sans CJK SC")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", here)
    assert fonts.cjk_font() == "Noto Sans CJK SC"
    monkeypatch.undo()
    monkeypatch.setattr(fonts, "cjk_font", lambda: "DejaVu Sans Mono")
    ax = chinese()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(ax, tmp_path / "x.png")
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_fontfamily() == ["DejaVu Sans", "DejaVu Sans Mono"]
    assert legend.get_texts()[1].get_fontfamily() != ["DejaVu Sans", "DejaVu Sans Mono"]
