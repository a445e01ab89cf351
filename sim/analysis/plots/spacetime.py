"""Space-time diagrams (Lamport 1978): one lane per node, one arrow per message, time to the right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from sim.analysis.outages import fault_spans
from sim.analysis.plots.style import GREY, PALETTE, empty, legend, natural, one_axes
from sim.analysis.quantities import Scale
from sim.analysis.samples import require_all_messages
from sim.arguments import checked

__all__ = ["kind_colours", "role_colours", "role_spans", "space_time"]

_GOLD, _PALE, _DULL = "#E69F00", "#F5D78E", "#D5D5D5"
ROLES: dict[str, str] = {
    **dict.fromkeys(("leader", "primary", "head"), _GOLD),
    **dict.fromkeys(("candidate", "pre-candidate", "proposer", "tail"), _PALE),
    **dict.fromkeys(("follower", "backup", "acceptor", "learner", "replica", "middle"), _DULL),
}
_OTHER_ROLES = ("#56B4E9", "#CC79A7", "#009E73")
_KINDS = tuple(colour for colour in PALETTE if colour != _GOLD)
_MARKS = ("*", "D", "P", "s")
_LOST = 0.6
"""The position of the cross of a lost message, as a fraction of its way."""


def _lanes(
    messages: pd.DataFrame, events: pd.DataFrame, nodes: pd.DataFrame | Sequence[str] | None
) -> list[str]:
    if isinstance(nodes, pd.DataFrame):
        return [str(node) for node in dict.fromkeys(nodes["node"])]
    if nodes is not None:
        return list(nodes)
    named = [*messages["src"], *messages["dst"], *events["node"]]
    return sorted(dict.fromkeys(name for name in named if isinstance(name, str) and name), key=natural)


def role_spans(events: pd.DataFrame, *, start: float, end: float) -> pd.DataFrame:
    """The times (seconds) of each role of each node within [start, end]: columns `node, role, start, end`.

    A role begins with a `role` event (detail `role`) and ends with the node's next `role` event or crash.
    """
    rows: list[tuple[str, str, float, float]] = []
    holding: dict[str, tuple[str, float]] = {}

    def close(node: str, time: float) -> None:
        role, since = holding.pop(node)
        if time > start and since < end:
            rows.append((node, role, max(since, start), min(time, end)))

    chosen = events[events["event"].isin(["role", "crash"])].sort_values("time", kind="stable")
    for time, node, event, detail in zip(
        chosen["time"], chosen["node"], chosen["event"], chosen["detail"], strict=True
    ):
        if node in holding:
            close(node, float(time))
        if event == "role":
            holding[node] = (str(detail["role"]), float(time))
    for node in list(holding):
        close(node, end)
    return pd.DataFrame(rows, columns=["node", "role", "start", "end"])


@checked
def role_colours(roles: Sequence[str]) -> dict[str, str]:
    """The colour of each role: one for those that lead, a paler one for those that want to, a dull one for the rest."""
    others = [role for role in roles if role not in ROLES]
    return ROLES | {role: _OTHER_ROLES[i % len(_OTHER_ROLES)] for i, role in enumerate(others)}


def _downs(events: pd.DataFrame, end: float) -> list[tuple[float, float]]:
    spans = fault_spans(events[events["event"].isin(["crash", "restart"])], duration=end)
    return list(zip(spans["start"].tolist(), spans["end"].tolist(), strict=True))


def _draw_lanes(
    ax: Axes, lanes: Sequence[str], events: pd.DataFrame, window: tuple[float, float], factor: float
) -> list[Patch]:
    """Draw the lanes: a thin line; thick and coloured while the role is known; hatched while the node is down."""
    start, end = window
    ax.hlines(range(len(lanes)), start * factor, end * factor, color=GREY, linewidth=0.8, zorder=1)
    spans = role_spans(events, start=start, end=end)
    shown = list(dict.fromkeys(spans["role"]))
    palette = role_colours(shown)
    position = {name: i for i, name in enumerate(lanes)}
    for node, role, since, until in zip(*(spans[name].tolist() for name in spans.columns), strict=True):
        if node in position:
            extent = [(since * factor, (until - since) * factor)]
            ax.broken_barh(extent, (position[node] - 0.07, 0.14), color=palette[role], linewidth=0, zorder=2)
    downs = [
        (node, max(since, start), until)
        for node in lanes
        for since, until in _downs(events[events["node"] == node], end)
        if until > start
    ]
    for node, since, until in downs:
        ax.broken_barh(
            [(since * factor, (until - since) * factor)],
            (position[node] - 0.13, 0.26),
            facecolor="#BDBDBD",
            edgecolor="#8A8A8A",
            hatch="////",
            linewidth=0.6,
            zorder=3,
        )
    handles = [Patch(color=palette[role], label=role) for role in shown]
    if downs:
        handles.append(Patch(facecolor="#BDBDBD", edgecolor="#8A8A8A", hatch="////", label="down"))
    return handles


_NOT_LOST = ("delivered", "duplicated", "released", "held", "in flight")


def _paths(messages: pd.DataFrame, lanes: Sequence[str], window: tuple[float, float]) -> pd.DataFrame:
    """The messages between lanes that touch the window, with `y0, y1` (lanes), `end` (time) and `lost`."""
    position = {name: i for i, name in enumerate(lanes)}
    kept = messages[
        messages["src"].isin(lanes) & messages["dst"].isin(lanes) & (messages["src"] != messages["dst"])
    ]
    delivered = kept["delivered"].to_numpy(dtype=float)
    sent = kept["sent"].to_numpy(dtype=float)
    fate = kept["fate"].to_numpy(dtype=object)
    took = delivered - sent
    typical = float(np.nanmedian(took)) if np.isfinite(took).any() else (window[1] - window[0]) / 10
    frame = pd.DataFrame(
        {
            "kind": kept["kind"].to_numpy(dtype=object),
            "y0": [position[name] for name in kept["src"]],
            "y1": [position[name] for name in kept["dst"]],
            "sent": sent,
            # A message that never arrives is drawn towards a typical arrival time.
            "end": np.where(np.isnan(delivered), sent + typical, delivered),
            "arrives": ~np.isnan(delivered),
            "lost": [what not in _NOT_LOST for what in fate],
        }
    )
    return frame[(frame["sent"] <= window[1]) & (frame["end"] >= window[0])].reset_index(drop=True)


@checked
def kind_colours(kinds: Sequence[str]) -> dict[str, str]:
    """The colour of each kind of message, in the order of their first occurrence."""
    return {kind: _KINDS[i % len(_KINDS)] for i, kind in enumerate(dict.fromkeys(kinds))}


def _draw_messages(ax: Axes, paths: pd.DataFrame, factor: float) -> list[Line2D]:
    palette = kind_colours(list(map(str, paths["kind"])))
    for kind, group in paths.groupby("kind", sort=False):
        colour = palette[str(kind)]
        arrives = group[group["arrives"]]
        x, y = arrives["sent"].to_numpy() * factor, arrives["y0"].to_numpy(dtype=float)
        ax.quiver(
            x,
            y,
            arrives["end"].to_numpy() * factor - x,
            arrives["y1"].to_numpy() - y,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            units="inches",
            width=0.013,
            headwidth=5.5,
            headlength=7.0,
            headaxislength=6.0,
            color=colour,
            zorder=4,
            label=f"_{kind}",
        )
        _draw_lost(ax, group[~group["arrives"]], factor, colour)
    crossed = paths[paths["lost"]]
    along = np.where(crossed["arrives"], 1.0, _LOST)
    ax.plot(
        (crossed["sent"] + along * (crossed["end"] - crossed["sent"])) * factor,
        crossed["y0"] + along * (crossed["y1"] - crossed["y0"]),
        marker="x",
        markersize=6,
        markeredgewidth=1.6,
        color="black",
        linestyle="none",
        zorder=5,
        label="_lost",
    )
    handles = [Line2D([], [], color=palette[kind], linewidth=1.6, label=kind) for kind in palette]
    if len(crossed):
        cross = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "linestyle": "none"}
        handles.append(Line2D([], [], color="black", label="lost", **cross))  # type: ignore[arg-type]
    return handles


def _draw_lost(ax: Axes, group: pd.DataFrame, factor: float, colour: str) -> None:
    """Draw the first part of the way of messages that did not arrive, dashed."""
    if not len(group):
        return
    sent, end = group["sent"].to_numpy(dtype=float) * factor, group["end"].to_numpy(dtype=float) * factor
    y0, y1 = group["y0"].to_numpy(dtype=float), group["y1"].to_numpy(dtype=float)
    stop: NDArray[np.float64] = np.stack([sent + _LOST * (end - sent), y0 + _LOST * (y1 - y0)], axis=1)
    segments = np.stack([np.stack([sent, y0], axis=1), stop], axis=1)
    ax.add_collection(
        LineCollection(list(segments), colors=colour, linestyles="--", linewidths=1.0, zorder=4)
    )


def _label_messages(ax: Axes, paths: pd.DataFrame, factor: float) -> None:
    """Write the kind along the longest arrow of each broadcast, and of the answers to it, if it is long enough."""
    palette = kind_colours(list(map(str, paths["kind"])))
    figure = ax.get_figure(root=True)
    width, height = figure.get_size_inches() if figure is not None else (8.0, 4.0)
    across, down = (abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim()))
    box = ax.get_position()
    run = (paths["end"] - paths["sent"]) * factor
    length = np.hypot(
        run * width * box.width / across, (paths["y1"] - paths["y0"]) * height * box.height / down
    )
    ordered = paths.assign(run=run, length=length).sort_values("length", ascending=False, kind="stable")
    told: set[tuple[str, str, int, float]] = set()
    columns = (ordered[name].tolist() for name in ("kind", "y0", "y1", "sent", "end", "run", "length"))
    for kind, y0, y1, sent, end, dx, inches in zip(*columns, strict=True):
        groups = {("from", kind, y0, sent), ("to", kind, y1, round(end, 9))}
        if groups & told:
            continue
        told |= groups
        if 0.06 * len(kind) > 0.95 * inches:  # a letter of 7 points is about 0.06 inches wide
            continue
        ax.text(
            sent * factor + 0.5 * dx,
            y0 + 0.5 * (y1 - y0),
            kind,
            rotation=float(np.degrees(np.arctan2(y1 - y0, dx))),
            rotation_mode="anchor",
            transform_rotates_text=True,
            ha="center",
            # The outer side of the outermost arrow of a broadcast is free: below if it points down, else above.
            va="top" if y1 > y0 else "bottom",
            fontsize=7,
            color=palette[kind],
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
            clip_on=True,
            zorder=6,
        )


@checked
def space_time(
    messages: pd.DataFrame,
    events: pd.DataFrame,
    nodes: pd.DataFrame | Sequence[str] | None = None,
    *,
    window: tuple[float, float] | None = None,
    marks: Sequence[str] = ("elected", "chosen", "committed"),
    labels: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A space-time diagram: one lane per node, and an arrow from the sending of each message to its delivery.

    Lost messages are dashed and end with a cross; messages that reached a crashed node end with a cross at its lane. A
    lane is coloured while the node's role is known, and hatched while the node is down.

    Args:
        messages, events: of one traced run.
        nodes: the lanes from the top (the nodes frame, or names); None: all nodes that appear, by name.
        window: start and end in seconds; None: the whole run.
        marks: the events to mark on the lanes.
        labels: whether to write the kinds of messages along arrows; None: only if there are few messages.

    Raises:
        ValueError: the window is empty, or the trace holds a share of the messages only.
    """
    require_all_messages(messages, "a space-time diagram")
    lanes = _lanes(messages, events, nodes)
    if not lanes or not len(messages) + len(events):
        return empty(one_axes(ax), "no messages were traced and nothing happened")
    window = _whole(messages, events) if window is None else window
    if not window[0] < window[1]:
        raise ValueError(f"the window must end after it starts, got {window!r}")
    # The axis is in seconds; in milliseconds if the window ends within the first second.
    scale = Scale(1e3, "ms") if window[1] <= 1.0 else Scale(1.0, "s")
    ax = one_axes(ax, width=8.0, height=1.3 + 0.62 * len(lanes))
    ax.grid(False)
    handles: list[Line2D | Patch] = []
    paths = _paths(messages, lanes, window)
    ax.set_xlim(window[0] * scale.factor, window[1] * scale.factor)
    ax.set_ylim(len(lanes) - 0.6, -0.35)
    handles.extend(_draw_messages(ax, paths, scale.factor))
    handles.extend(_draw_lanes(ax, lanes, events, window, scale.factor))
    handles.extend(_draw_marks(ax, lanes, events, window, marks, scale.factor))
    if labels if labels is not None else len(paths) <= 24:
        _label_messages(ax, paths, scale.factor)
    ax.set_yticks(range(len(lanes)), lanes)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"time ({scale.unit})")
    legend(ax, handles)
    return ax


def _whole(messages: pd.DataFrame, events: pd.DataFrame) -> tuple[float, float]:
    times = np.concatenate(
        [frame.to_numpy(dtype=float) for frame in (messages["sent"], messages["delivered"], events["time"])]
    )
    times = times[np.isfinite(times)]
    if not len(times):
        return 0.0, 1.0
    low, high = float(times.min()), float(times.max())
    margin = 0.03 * (high - low) or 0.5
    return low - margin if low > margin else 0.0, high + margin


def _draw_marks(
    ax: Axes,
    lanes: Sequence[str],
    events: pd.DataFrame,
    window: tuple[float, float],
    marks: Sequence[str],
    factor: float,
) -> list[Line2D]:
    position = {name: i for i, name in enumerate(lanes)}
    inside = events[events["time"].between(*window) & events["node"].isin(lanes)]
    handles = []
    for i, name in enumerate(marks):
        mine = inside[inside["event"] == name]
        if not len(mine):
            continue
        style = {"marker": _MARKS[i % len(_MARKS)], "markersize": 9 if _MARKS[i % len(_MARKS)] == "*" else 5}
        look = {"color": PALETTE[-1], "markeredgecolor": "white", "markeredgewidth": 0.8, "linestyle": "none"}
        handles += ax.plot(
            mine["time"] * factor,
            [position[node] for node in mine["node"]],
            label=name,
            zorder=7,
            **style,  # type: ignore[arg-type]
            **look,  # type: ignore[arg-type]
        )
    return handles
