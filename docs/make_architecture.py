"""Draw docs/images/architecture.svg: the parts of the simulator, which of them uses which, and the way of a run.

python docs/make_architecture.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

TARGET = Path(__file__).resolve().parent / "images" / "architecture.svg"

# Each layer from above: (colour, [(name, what it is), ...]). A layer imports only what stands below it.
LAYERS: list[tuple[str, list[tuple[str, str]]]] = [
    (
        "#dbe7f5",
        [
            ("sim (command line)", "run, compare, sweep, check"),
            ("scenarios/, notebooks/", "stories, each with a chart"),
        ],
    ),
    (
        "#c5daf0",
        [
            ("lab", "Scenario → Run: compare, sweep, fuzz"),
            ("zoo", "famous mistakes"),
            ("validation", "published results,\nsimulated again"),
        ],
    ),
    (
        "#e3efd9",
        [
            ("protocols", "node classes, systems,\ninvariants"),
            ("workload", "clients, arrivals, keys"),
            ("faults", "crashes, partitions,\nthe nemesis"),
            ("cluster", "hosts: inbox, cores,\ndisk, clocks"),
            ("analysis", "measures, checks,\ncharts of frames"),
        ],
    ),
    (
        "#f6ead0",
        [
            ("node, system", "what a node class imports"),
            ("invariants", "free, or a line each"),
            ("network", "links, topologies, WAN latencies"),
            ("recorder", "rows, then frames"),
            ("written", "values as JSON or TOML"),
            ("readers", "latencies, traces and\nhistories of other tools"),
        ],
    ),
    (
        "#ecdcec",
        [
            ("kernel", "simulated time on SimPy,\ntimers, random streams"),
            ("distributions", "random times"),
            ("page", "HTML: reports,\nthe space-time page"),
        ],
    ),
]

WIDTH, HEIGHT, GAP = 10.0, 1.0, 0.32


def box(ax: Axes, at: tuple[float, float], width: float, colour: str, name: str, told: str) -> None:
    """A rounded box with a name and a line or two on what it is."""
    x, y = at
    shape = FancyBboxPatch(
        at, width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08", facecolor=colour, edgecolor="#555555"
    )
    ax.add_patch(shape)
    lines = told.count("\n") + 1
    ax.text(x + width / 2, y + 0.5 + 0.14 * lines, name, ha="center", va="center", weight="bold", size=10)
    ax.text(x + width / 2, y + 0.36, told, ha="center", va="center", size=8.5, linespacing=1.15)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from one point to another."""
    ax.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
    )


def draw() -> plt.Figure:
    """The picture."""
    figure, ax = plt.subplots(figsize=(10.0, 6.2))
    step = HEIGHT + GAP
    for number, (colour, parts) in enumerate(LAYERS):
        y = (len(LAYERS) - 1 - number) * step
        width = (WIDTH - 0.16 * (len(parts) - 1)) / len(parts)
        for i, (name, told) in enumerate(parts):
            box(ax, (i * (width + 0.16), y), width, colour, name, told)
        if number:
            arrow(ax, (WIDTH / 2, y + step - 0.02), (WIDTH / 2, y + HEIGHT + 0.02))
    ax.text(
        WIDTH / 2 + 0.15, step * 4 - GAP / 2, "imports run down only", size=8, va="center", color="#555555"
    )
    ax.set_xlim(-0.05, WIDTH + 0.05)
    ax.set_ylim(-0.75, len(LAYERS) * step - GAP + 0.05)
    ax.text(
        WIDTH / 2,
        -0.4,
        "Scenario + seed → Simulation (cluster on the kernel) → recorder → frames → verdicts, measures, charts",
        ha="center",
        va="center",
        size=9.5,
    )
    ax.axis("off")
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    return figure


def main(target: Path = TARGET) -> None:
    """Write the picture; equal text gives an equal file."""
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "architecture", "font.family": "DejaVu Sans"}
    ):
        draw().savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
