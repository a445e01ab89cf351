"""A history as a chart and as text: operations as bars per process, with the verdict's order or counterexample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.analysis.checks.columns import FAIL, INFO, READS, History
from sim.analysis.checks.verdict import HistoryOperation, Verdict, name, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["history_chart", "history_text"]

# Okabe & Ito (2008): distinguishable with every kind of colour vision.
_COLOURS = {"read": "#56B4E9", "write": "#E69F00", "read and write": "#009E73"}
_VIOLATION = "#D55E00"
_MOST = 300  # bars that can be told apart
_NUMBERED = 60
_LETTER = 0.085  # inches
_BOTH = frozenset({"cas", "increment", "append", "dequeue"})


def history_chart(
    operations: pd.DataFrame, verdict: Verdict | None = None, *, most: int = _MOST, ax: Axes | None = None
) -> Axes:
    """Draw operations as bars, a row per process.

    With a verdict that has an order: the time at which each operation takes effect in it, numbered. With an invalid
    verdict: the operations that contradict each other, framed, in the window that they span. Operations of unknown
    outcome end in an arrow, failed ones are hatched. Long histories are cut to ``most`` operations around that window
    (or from the start); the title says so. Times are in ms where the span is below a second.
    """
    import matplotlib.pyplot as plt

    history = History.of(operations)
    if not history.timed:
        raise ValueError("a chart of a history needs the columns 'called' and 'returned'")
    rows, start, end = _shown(history, verdict, most)
    if ax is None:
        lanes = len({_lane(history, r) for r in rows.tolist()})
        _, ax = plt.subplots(figsize=(10, 1.6 + 0.42 * max(2, lanes)), layout="constrained")
    elif not hasattr(ax, "spines"):
        raise ValueError(f"ax must be Axes of matplotlib, or None for a new figure, not {ax!r}")
    _Drawing(history, rows, start, end, verdict, ax).draw()
    return ax


def _placed(history: History, row: int) -> HistoryOperation:
    """A row with its times as drawn: relative to the first time if they are too large for exact numbers."""
    return replace(
        history.operation(row), called=float(history.called[row]), returned=float(history.returned[row])
    )


def _lane(history: History, row: int) -> Any:
    return 0 if history.process is None else history.processes[history.process[row]]


def _shown(history: History, verdict: Verdict | None, most: int) -> tuple[NDArray[np.int64], float, float]:
    """The rows to show, by time of call, and the span of time: of all, or of the window of the violation."""
    order = np.argsort(history.called, kind="stable")
    if len(order) <= most or verdict is None or not verdict.counterexample:
        return order[:most], *_span(history, order[:most])
    shown = np.array([op.row for op in verdict.counterexample[:most]])
    start, end = _span(history, shown)
    pad = 0.2 * (end - start)
    start, end = start - pad, end + pad
    near = order[(history.called[order] <= end) & (history.returned[order] >= start)]
    near = near[np.isfinite(history.returned[near]) | (history.called[near] >= start)]
    rest = near[~np.isin(near, shown)][: max(0, most - len(shown))]
    both = np.concatenate([shown, rest])
    return both[np.argsort(history.called[both], kind="stable")], start, end


def _span(history: History, rows: NDArray[np.int64]) -> tuple[float, float]:
    """From the first call to the last call or return."""
    if not len(rows):
        return 0.0, 1.0
    ends = history.returned[rows]
    start = float(history.called[rows].min())
    return start, float(max(ends[np.isfinite(ends)].max(initial=start), history.called[rows].max()))


class _Drawing:
    def __init__(
        self,
        history: History,
        rows: NDArray[np.int64],
        start: float,
        end: float,
        verdict: Verdict | None,
        ax: Axes,
    ) -> None:
        self.history, self.rows, self.verdict, self.ax = history, rows, verdict, ax
        self.start, self.end = start, end
        span = (end - start) or 1.0
        counted = history.clock.origin != 0 and not history.clock.dated
        self.unit, self.scale = ("ms", 1e3) if span < 1 and not counted else ("s", 1.0)
        self.far = self.end + 0.06 * span
        self.thin = 0.002 * span
        figure = ax.get_figure(root=True)
        width = ax.get_position().width * (figure.get_figwidth() if figure is not None else 10.0)
        self.letters = width / _LETTER / (self.far - self.start)  # that fit into a second
        self.keyed = len(set(history.key[rows].tolist())) > 1
        self.lanes = {lane: at for at, lane in enumerate(self._lanes())}
        self.culprits = {op.row for op in verdict.counterexample} if verdict is not None else set()

    def _lanes(self) -> list[Any]:
        found = dict.fromkeys(_lane(self.history, r) for r in self.rows.tolist())
        return sorted(found, key=lambda lane: (isinstance(lane, str), lane))

    def draw(self) -> None:
        ax, history = self.ax, self.history
        operations = [_placed(history, r) for r in self.rows.tolist()]
        self._window(operations)
        for op in operations:
            self._bar(op)
        if self.verdict is not None and self.verdict.order is not None:
            self._order(operations)
        ax.set_yticks(range(len(self.lanes)), [f"process {name(lane)}" for lane in self.lanes])
        ax.set_ylim(len(self.lanes) - 0.4, -0.6)
        ax.set_xlim(self._x(self.start - 0.01 * (self.far - self.start)), self._x(self.far))
        ax.set_xlabel(self._time_label())
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_title(self._title(), loc="left", fontsize=10)
        if not operations:
            ax.text(0.5, 0.5, "no operations", transform=ax.transAxes, ha="center", va="center")
        self._legend({_group(op) for op in operations})

    def _time_label(self) -> str:
        clock = self.history.clock
        if clock.origin and not clock.dated:
            return f"time after {clock.origin}, in the unit of the history"
        return f"time{' after the first' if clock.dated else ''} ({self.unit})"

    def _x(self, time: float) -> float:
        return time * self.scale

    def _bar(self, op: HistoryOperation) -> None:
        culprit = op.row in self.culprits
        begin = max(op.called, self.start)
        end = self.far if op.status == "info" else min(max(op.returned, op.called + self.thin), self.far)
        lane = self.lanes[_lane(self.history, op.row)]
        self.ax.barh(
            lane,
            self._x(end - begin),
            left=self._x(begin),
            height=0.62,
            color=_COLOURS[_group(op)],
            alpha=0.3 if self.culprits and not culprit else 0.5 if op.status == "fail" else 0.9,
            edgecolor=_VIOLATION if culprit else "white",
            linewidth=2.2 if culprit else 0.6,
            hatch="////" if op.status == "fail" else None,
            zorder=3 if culprit else 2,
        )
        if op.status == "info":
            self.ax.plot(
                self._x(self.far), lane, ">", color=_COLOURS[_group(op)], clip_on=False, markersize=7
            )
        label = _brief(op, self.keyed)
        fits = len(label) + 1 <= (min(end, self.end) - begin) * self.letters
        if fits or culprit:
            self.ax.annotate(
                label,
                (self._x((begin + min(end, self.end)) / 2), lane if fits else lane + 0.33),
                ha="center",
                va="center" if fits else "top",
                fontsize=8,
                zorder=6,
            )

    def _window(self, operations: list[HistoryOperation]) -> None:
        """Shade the time that the contradiction spans."""
        inside = [op for op in operations if op.row in self.culprits]
        if inside:
            ends = [op.returned for op in inside if np.isfinite(op.returned)]
            left, right = min(op.called for op in inside), max([*ends, max(op.called for op in inside)])
            self.ax.axvspan(
                self._x(left), self._x(right), color=_VIOLATION, alpha=0.08, zorder=0, linewidth=0
            )

    def _order(self, operations: list[HistoryOperation]) -> None:
        """Mark when each operation takes effect: as early as its call and the order of its key allow."""
        assert self.verdict is not None
        assert self.verdict.order is not None
        shown = {op.row: op for op in operations}
        times: dict[Any, float] = {}
        marks: list[tuple[float, int]] = []
        for row in self.verdict.order:
            key, call = int(self.history.key[row]), float(self.history.called[row])
            times[key] = max(times.get(key, -np.inf), call)
            if row in shown:
                marks.append((times[key], row))
        step = 0.004 * (self.far - self.start)
        used: dict[Any, float] = {}
        for number, (time, row) in enumerate(sorted(marks, key=lambda mark: mark[0]), 1):
            op = shown[row]
            lane = self.lanes[_lane(self.history, row)]
            at = min(max(time, used.get(lane, -np.inf) + step), op.returned)
            used[lane] = at
            self.ax.plot(
                [self._x(at)] * 2, [lane - 0.38, lane + 0.38], color="black", linewidth=1.4, zorder=5
            )
            if len(marks) <= _NUMBERED:
                self.ax.annotate(
                    str(number), (self._x(at), lane - 0.4), ha="center", va="bottom", fontsize=7, zorder=6
                )

    def _title(self) -> str:
        cut = (
            f" ({len(self.rows)} of {len(self.history)} operations)"
            if len(self.rows) < len(self.history)
            else ""
        )
        if self.verdict is None:
            return f"history{cut}"
        order = "; the numbers are an order that explains it" if self.verdict.order is not None else ""
        framed = "; framed: these contradict each other" if self.culprits else ""
        return f"{self.verdict.consistency}: {self.verdict.status}{order}{framed}{cut}"

    def _legend(self, groups: set[str]) -> None:
        from matplotlib.patches import Patch

        handles = [Patch(color=_COLOURS[group], label=group) for group in _COLOURS if group in groups]
        status = self.history.status[self.rows]
        if (status == INFO).any():
            handles.append(Patch(facecolor="white", edgecolor="white", label="▶ outcome unknown"))
        if (status == FAIL).any():
            handles.append(Patch(facecolor="white", edgecolor="grey", hatch="////", label="failed"))
        if handles:
            self.ax.legend(
                handles=handles,
                loc="upper right",
                bbox_to_anchor=(1.0, -0.16),
                ncols=5,
                fontsize=8,
                frameon=False,
            )


def _group(op: HistoryOperation) -> str:
    return "read" if op.kind in READS else "read and write" if op.kind in _BOTH else "write"


def _brief(op: HistoryOperation, keyed: bool) -> str:
    """A label that fits a bar: ``→ 3`` a read of 3, ``= 3`` a write of 3, ``1 ▸ 2`` a cas from 1 to 2."""
    if op.kind == "cas":
        text = " ▸ ".join(map(_short, op.value))
    elif op.kind in {"read", "get", "dequeue"}:
        text = f"→ {_short(op.value)}" if op.known else "→ ?"
    else:
        sign = {"write": "=", "put": "=", "append": "+=", "increment": "+", "delete": "∅"}.get(
            op.kind, op.kind
        )
        text = sign if op.kind == "delete" else f"{sign} {_short(op.value)}"
    return f"{name(op.key)} {text}" if keyed else text


def _short(value: Any) -> str:
    text = name(value)
    return text if len(text) <= 12 else f"…{text[-10:]}"


def history_text(
    operations: pd.DataFrame, verdict: Verdict | None = None, *, most: int = 100, width: int = 40
) -> str:
    """The same as text: one line per operation, by time of call, with a bar ``width`` characters wide.

    A number is the place of the operation in the verdict's order, ✗ marks those that contradict each other.
    """
    history = History.of(operations)
    if not history.timed:
        raise ValueError("a timeline of a history needs the columns 'called' and 'returned'")
    rows, start, end = _shown(history, verdict, most)
    lines = (
        []
        if verdict is None
        else [f"{verdict.status}: {verdict.consistency} ({verdict.model}). {verdict.reason}"]
    )
    if not len(rows):
        return "\n".join([*lines, "no operations"])
    scale = (width - 1) / ((end - start) or 1.0)
    places = {row: place for place, row in enumerate(verdict.order or (), 1)} if verdict is not None else {}
    culprits = {op.row for op in verdict.counterexample} if verdict is not None else set()
    for row in rows.tolist():
        op = _placed(history, row)
        left = max(0, round((op.called - start) * scale))
        right = width - 1 if op.status == "info" else min(width - 1, round((op.returned - start) * scale))
        tail = "→" if op.status == "info" else "┤"
        bar = " " * left + ("├" + "─" * (right - left - 1) + tail if right > left else "│")
        mark = "✗" if row in culprits else str(places.get(row, ""))
        who = "" if op.process is None else f"process {name(op.process)}: "
        lines.append(f"{bar:<{width}} {mark:>4} {who}{op.what()}")
    if len(rows) < len(history):
        lines.append(f"… {len(history) - len(rows)} more operations")
    told = history.clock.told
    lines.append(f"from {seconds(told(start))} to {seconds(told(end))}")
    return "\n".join(lines)
