"""The common style of all charts, set on each Axes; no global state is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sim.analysis.plots.fonts import with_fonts
from sim.analysis.plots.identity import places
from sim.analysis.plots.looks import look
from sim.analysis.quantities import Quantity, Scale, quantity
from sim.analysis.store import atomic
from sim.settings import field_path

__all__ = [
    "DASHES",
    "GREY",
    "HATCHES",
    "MARKERS",
    "PALETTE",
    "SHADE",
    "about",
    "colours",
    "dashes",
    "dress",
    "empty",
    "field_label",
    "finding",
    "hatches",
    "label_of",
    "legend",
    "log_ticks",
    "markers",
    "natural",
    "one_axes",
    "runs_of",
    "save",
    "stacked_axes",
    "tell",
]

PALETTE: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito (2008), "Color universal design", without the yellow that fades on white."""

MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.4, 1.4, 1.4)), (0, (2.6, 1.2)))
"""Line styles: where lines coincide, the lower line is visible through the gaps of the upper line."""

HATCHES: tuple[str, ...] = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++")

GREY = "#6E6E6E"
SHADE = "#D9D9D9"


def runs_of(frame: pd.DataFrame) -> list[str]:
    """The labels in column `run`, in order of appearance ([""] for the frame of a single, unnamed run)."""
    return [str(run) for run in frame["run"].unique()] if "run" in frame.columns else [""]


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: a protocol has one of its own, further names get those that are free, in order."""
    return {name: PALETTE[place] for name, place in places(names, len(PALETTE), 0).items()}


def markers(names: Iterable[str]) -> dict[str, str]:
    """A marker for each name, as `colours` does it."""
    return {name: MARKERS[place] for name, place in places(names, len(MARKERS), 1).items()}


def hatches(names: Iterable[str]) -> dict[str, str]:
    """A hatching of bars for each name, where the style has them (`sim.analysis.plots.looks`); else none."""
    each = list(dict.fromkeys(names))
    return {name: HATCHES[i % len(HATCHES)] if look().hatched else "" for i, name in enumerate(each)}


def dashes(names: Iterable[str]) -> dict[str, Any]:
    """A line style for each name, by its place."""
    return {name: DASHES[i % len(DASHES)] for i, name in enumerate(dict.fromkeys(names))}


def field_label(field: str) -> str:
    """A swept field in words, with its unit if known: "workload__rate" → "offered load (op/s)"."""
    name = field_path(field).split("__")[-1]
    known = quantity({"rate": "offered"}.get(name, name))
    return label_of(known, Scale(1.0, known.unit))


def empty(ax: Axes, sentence: str) -> Axes:
    """Axes with a sentence that says why the chart shows nothing; for every chart without data."""
    dress(ax)
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(
        0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", fontsize=look().text, color=GREY
    )
    return ax


def one_axes(ax: Axes | None, width: float = 6.4, height: float | None = None) -> Axes:
    """The Axes to draw on, in the common style: `ax`, or the Axes of a new figure.

    Its size in inches is that of the style that holds (`Look.size`); `height`: what the rows of the chart need.
    """
    if ax is None:
        ax = _new(1, look().size(width, height))[0]
    dress(ax)
    return ax


def _new(rows: int, size: tuple[float, float]) -> list[Axes]:
    from matplotlib import pyplot

    _, axes = pyplot.subplots(rows, 1, sharex=True, squeeze=False, figsize=size, layout="constrained")
    return list(axes.ravel())


def stacked_axes(ax: Any, rows: int, width: float = 6.4, height: float = 4.4) -> np.ndarray[Any, Any]:
    """`rows` Axes below each other with a common x axis: `ax` (an array or sequence of `rows` Axes), or new ones.

    Raises:
        ValueError: `ax` has another number of Axes.
    """
    if ax is None:
        ax = _new(rows, look().size(width, None, height))
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != rows:
        raise ValueError(f"this chart needs {rows} axes, got {len(axes)}")
    for one in axes:
        dress(one)
    return axes


def dress(ax: Axes) -> None:
    """Give an Axes the common style: no box, light grid behind the data, small ticks. ValueError for other objects."""
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be Axes of matplotlib, or None for a new figure, not {ax!r}")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.set_axisbelow(True)
    ax.grid(True, color="#E5E5E5", linewidth=0.7)
    ax.tick_params(color=GREY, labelsize=look().small)
    ax.xaxis.label.set_fontsize(look().text)
    ax.yaxis.label.set_fontsize(look().text)


def label_of(known: Quantity, scale: Scale) -> str:
    """An axis label with its unit: "p99 latency (ms)"."""
    return f"{known.label} ({scale.unit})" if scale.unit else known.label


def _plain(value: float, _: int | None = None) -> str:
    """The label of a tick in plain digits: 0.5, 4.5, 10, 2,000."""
    return f"{value:,.10g}" if abs(value) < 1e10 else f"{value:g}"


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis in plain digits: at 1, 10, 100 …, and for few decades also at 2, 5, 20, 50 …."""
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 9.0
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _fitting(letters: Sequence[int], width: float) -> int:
    """The number of legend columns that fit into `width` inches; `letters`: the lengths of the entries."""
    for columns in range(len(letters), 1, -1):
        # As matplotlib fills them: one after the other, the first ones with one entry more.
        rows, longer = divmod(len(letters), columns)
        heads = [column * rows + min(column, longer) for column in range(columns + 1)]
        longest = [max(letters[head:after]) for head, after in pairwise(heads)]
        # A letter is about 0.56 as wide as its size; line and gaps take as much as seven.
        if sum(0.56 * look().small / 72.0 * (most + 7) for most in longest) <= width:
            return columns
    return 1


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts n2 before n10."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part
    ]


def legend(ax: Axes, handles: Sequence[Any] | None = None, **options: Any) -> None:
    """A legend above the Axes, in as many columns as fit its width; no legend if there are no entries.

    On a slide, lines have their names at their ends instead, where these fit.
    """
    made: Sequence[Any] = ax.get_legend_handles_labels()[0] if handles is None else handles
    if not made or (look().direct and _named_at_ends(ax, [str(handle.get_label()) for handle in made])):
        return
    figure = ax.get_figure(root=True)
    width = (figure.get_size_inches()[0] if figure is not None else 6.4) * ax.get_position().width
    ax.legend(
        handles=list(made),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.01),
        borderaxespad=0.0,
        ncols=_fitting([len(str(handle.get_label())) for handle in made], width),
        frameon=False,
        fontsize=look().small,
        handlelength=1.8,
        columnspacing=1.4,
        **options,
    )


def _named_at_ends(ax: Axes, names: Sequence[str]) -> bool:
    """Write the name of each line at its right end, if all end near the right edge and the names do not overlap."""
    lines = {str(line.get_label()): line for line in ax.lines if np.size(line.get_xdata())}
    if not set(names) <= set(lines):
        return False
    figure = ax.get_figure(root=True)
    assert figure is not None
    tall = 72.0 * figure.get_figheight() * ax.get_position().height
    ends = {name: np.asarray(lines[name].get_xydata(), dtype=float)[-1] for name in names}
    to_axes = ax.transData + ax.transAxes.inverted()
    at = np.array([to_axes.transform(end) for end in ends.values()])
    apart = np.diff(np.sort(at[:, 1])) * tall
    if not np.isfinite(at).all() or (at[:, 0] < 0.9).any() or (apart < 1.15 * look().text).any():
        return False
    for name, end in ends.items():
        ax.annotate(
            name,
            end,
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=look().text,
            color=lines[name].get_color(),
            annotation_clip=False,
        )
    return True


def finding(drawn: Any, text: str) -> None:
    """Write what a chart shows above it, as a sentence: "EPaxos is quickest in four of five regions".

    `save` writes it into the metadata of the picture, too, as its title.
    """
    figure = _figure_of(drawn)
    if not text.strip():
        raise ValueError(f"a finding is a sentence, not {text!r}")
    size = 1.2 * look().text
    letters = int(72.0 * figure.get_figwidth() / (0.56 * size))
    figure.suptitle("\n".join(wrap(text, letters)), x=0.01, ha="left", fontsize=size, fontweight="bold")
    tell(figure, title=text)


def _figure_of(drawn: Any) -> Figure:
    if isinstance(drawn, Figure):
        return drawn
    first, *_ = [*np.asarray(drawn, dtype=object).ravel(), None]
    figure = first.get_figure(root=True) if hasattr(first, "get_figure") else None
    if not isinstance(figure, Figure):
        raise ValueError(f"what is drawn must be Axes of matplotlib or their figure, not {drawn!r}")
    return figure


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ABOUT: ContextVar[Mapping[str, Any]] = ContextVar("about", default=_NOTHING)
_TOLD: WeakKeyDictionary[Figure, dict[str, Any]] = WeakKeyDictionary()


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """A context: pictures that `save` writes in it get these facts as metadata: `title`, `seed`, `settings`, others."""
    token = _ABOUT.set({**_ABOUT.get(), **facts})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def tell(drawn: Any, **facts: Any) -> None:
    """Note facts about a chart (`title`, `seed`, `settings`): `save` writes them into the picture's metadata."""
    _TOLD.setdefault(_figure_of(drawn), {}).update(facts)


def _metadata(figure: Figure, suffix: str) -> dict[str, Any] | None:
    """Title, settings, seed and version as metadata; without dates, so that equal charts give equal files."""
    version = str(import_module("sim").__version__)
    facts = {**_ABOUT.get(), **_TOLD.get(figure, {})}
    record = facts.pop("runs", None)
    stated = str(record() if callable(record) else record or "")
    title = str(facts.pop("title", "")) or _title_of(figure)
    maker = f"quorumlab {version}"
    described = "; ".join(f"{name}: {value}" for name, value in {**facts, "version": maker}.items())
    if suffix == ".png":
        rest = {name.capitalize(): str(value) for name, value in facts.items()}
        return {"Software": maker, "Title": title, "Description": described, "Version": version, **rest} | (
            {"Runs": stated} if stated else {}
        )
    if suffix == ".svg":
        return {"Date": None, "Creator": maker, "Title": title, "Description": described} | (
            {"Source": stated} if stated else {}
        )
    if suffix == ".pdf":
        return {"CreationDate": None, "Creator": maker, "Title": title, "Subject": described} | (
            {"Keywords": stated} if stated else {}
        )
    return None


def _title_of(figure: Figure) -> str:
    """The title of a figure, else the titles of its Axes, else their labels."""
    said = figure.get_suptitle()
    titles = [ax.get_title(loc) for ax in figure.axes for loc in ("center", "left", "right")]
    labels = [f"{ax.get_ylabel()} by {ax.get_xlabel()}" for ax in figure.axes if ax.get_xlabel()]
    return said or "; ".join(title for title in titles if title) or "; ".join(labels)


_TYPES: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "quorumlab"}
"""Fonts are embedded as TrueType, which publishers ask for; in SVG, text is text."""

_DARK = "@media (prefers-color-scheme: dark) {svg {filter: invert(0.9) hue-rotate(180deg)}}"
"""On a dark page, an SVG is dark with light text, and its hues are the same."""


def save(drawn: Any, path: Path | str, *, dpi: float | None = None, **facts: Any) -> Path:
    """Write the figure of these Axes (one, an array of them, or the figure) to `path`, and close it.

    The suffix of the path selects the format. The file is written atomically, and equal data give equal bytes: there
    are no dates, and SVG has stable ids and text as text. PDF embeds fonts as TrueType; on a dark page SVG is dark. The
    metadata of PNG, SVG and PDF has the title, seed and settings (if `facts`, `tell` or `about` give them) and the
    version. `dpi`: dots an inch; None: as the style says (200; a slide is 1920 dots wide; a paper has 300).
    """
    from matplotlib import pyplot

    figure, target = _figure_of(drawn), Path(path)
    suffix = target.suffix.lower()
    if facts:
        tell(figure, **facts)
    dots = look().dpi_of(figure.get_figwidth()) if dpi is None else dpi
    with rc_context(_TYPES), with_fonts(figure), atomic(target) as temporary:
        figure.savefig(temporary, dpi=dots, metadata=_metadata(figure, suffix))
        if suffix == ".svg":
            made = Path(temporary)
            text = made.read_text(encoding="utf-8")
            made.write_text(text.replace("</style>", f"{_DARK}</style>", 1), encoding="utf-8")
    pyplot.close(figure)
    return target
