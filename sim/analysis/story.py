"""The story of a run as text: one line an event, one column a node, time downwards; for terminals and logs of CI.

It is a space-time diagram for reading: a line shows a step that changed the state of its node, with the message that
led to it as an arrow, a fault, a message that never arrived, or an operation of a client. Steps that changed nothing
but times, and routine (a third heartbeat with nothing in between), are counted, not shown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sim.arguments import checked

__all__ = ["MOST_LINES", "WIDTH", "tell"]

MOST_LINES = 200
"""Lines that are shown of a long story; the others, in its middle, are counted."""

WIDTH = 140
"""Letters in a line."""
_FIRST = 40  # lines at the beginning of a story that is cut
_FAULTS = {
    "crash": ".",
    "restart": "|",
    "pause": "=",
    "resume": "|",
    "disk failed": "",
    **dict.fromkeys(("cut", "heal", "flaky", "steady", "slow", "clock", "hold", "release", "admin"), ""),
    **dict.fromkeys(("disk damaged", "disk full", "disk slow", "disk stalled", "disk well"), ""),
}
"""Events of faults -> the lifeline of the node from then on; "": it does not change."""
WIDTH = 140
"""Letters in a line."""
_FIRST = 40  # lines at the beginning of a story that is cut
_LONGEST = 44  # letters of one value
_ALIKE = 2  # steps that are alike, and shown


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: when, its order among lines of one time, and what it shows."""

    time: float
    order: tuple[int, int]
    marks: Mapping[str, str]  # node -> its mark
    arrow: tuple[str, str] | None
    text: str
    lifelines: Mapping[str, str]  # node -> its lifeline from here on
    pattern: tuple[Any, ...] | None = None  # of a step: what makes it like others; None: it is always shown


@checked
def tell(
    frames: Mapping[str, pd.DataFrame],
    nodes: Sequence[str],
    *,
    calm: float | None = None,
    end: Iterable[str] = (),
    width: int = WIDTH,
    most: int = MOST_LINES,
) -> str:
    """The story of a run with a full trace.

    Args:
        frames: Its frames by name: steps, messages, events, operations.
        nodes: The names of the nodes, one column each, in this order.
        calm: When all faults ended (seconds), if that is to be told.
        end: Lines for the end: what broke, and the values that show it.
        width: Letters in a line.
        most: The most lines; more are cut from the middle, and counted.

    Returns:
        The text. Marks: ``o`` a step, ``*`` an event that a node recorded, ``X`` a fault, ``x`` a message that never
        arrived; lifelines: ``|`` up, ``.`` down, ``=`` paused.

    Raises:
        ValueError: The run has no full trace.
    """
    if "content" not in frames["messages"]:
        raise ValueError('there is no full trace: run the scenario with trace="full"')
    lines, quiet = _steps(frames, nodes)
    lines += [*_events(frames["events"], nodes), *_losses(frames), *_operations(frames["operations"])]
    if calm is not None:
        lines.append(_Line(calm, (0, -1), {}, None, "ALL FAULTS END, and clients issue new operations", {}))
    shown = sorted(lines, key=lambda line: (line.time, line.order))
    told = _without_routine(shown)
    quiet += len(shown) - len(told)
    drawn = _draw(told, nodes, width)
    if len(drawn) > most:
        left_out = len(drawn) - most
        drawn = [*drawn[:_FIRST], f"      ... {left_out:,} lines are left out", *drawn[_FIRST + left_out :]]
    head = "time (s)   " + "".join(f"{name:<{_wide(nodes)}}" for name in nodes)
    foot = (
        f"({quiet:,} steps that changed nothing, or are like others before them, are not shown)"
        if quiet
        else ""
    )
    return "\n".join([line.rstrip() for line in (head, *drawn, foot, *end) if line])


# Which lines there are


def _steps(frames: Mapping[str, pd.DataFrame], nodes: Sequence[str]) -> tuple[list[_Line], int]:
    """A line for each step that changed more than times; and how many others there were."""
    steps, messages = frames["steps"], frames["messages"]
    sent = dict(
        zip(
            messages["id"],
            zip(messages["kind"], messages["src"], messages["content"], messages["fate"], strict=True),
            strict=True,
        )
    )
    clients = frozenset(frames["operations"]["client"])
    known: dict[tuple[str, str], str] = {}
    lines, quiet = [], 0
    columns = ("id", "time", "node", "cause", "handler", "state")
    for number, time, node, cause, handler, state in zip(*(steps[name] for name in columns), strict=True):
        changes = _changes(node, json.loads(state), known)
        changed = [f"{name}={value}" for name, value in changes.items()]
        why = json.loads(cause)
        if node in clients or node not in nodes:
            continue
        if not changed and why["kind"] != "start":
            quiet += 1
            continue
        arrow, what = None, f"{node} {handler.removeprefix('on_').replace('_', ' ')}"
        if why["kind"] == "message":
            kind, src, content, fate = sent[why["id"]]
            arrow = (str(src), str(node))
            copy = " (a copy)" if fate == "duplicated" else ""
            fields = _cut(_brief_fields(json.loads(content)), _LONGEST + _LONGEST // 3)
            what = f"{kind} {src} -> {node}{copy} {fields}".rstrip()
        elif why["kind"] == "start":
            changed = []
            what = f"{node} starts"
        text = what + (f": {', '.join(changed)}" if changed else "")
        pattern = (node, handler, arrow, *changes) if why["kind"] != "start" else None
        line = _Line(float(time), (1, int(number)), {str(node): "o"}, arrow, text, {str(node): "|"}, pattern)
        lines.append(line)
    return lines, quiet


def _without_routine(lines: Iterable[_Line]) -> list[_Line]:
    """The lines without a step that is like two others since something else happened than steps."""
    kept: list[_Line] = []
    seen: Counter[tuple[Any, ...]] = Counter()
    for line in lines:
        if line.pattern is None:
            seen.clear()
        else:
            seen[line.pattern] += 1
        if line.pattern is None or seen[line.pattern] <= _ALIKE:
            kept.append(line)
    return kept


def _changes(node: str, state: Mapping[str, Any], known: dict[tuple[str, str], str]) -> dict[str, str]:
    """The attributes that changed otherwise than by a time, with their new values, in short."""
    changed = {}
    for name, value in state.items():
        plain = json.dumps(_without_times(value))
        if known.get((node, name)) != plain:
            known[node, name] = plain
            if _without_times(value) != "a time":
                changed[name] = _brief(value)
    return changed


def _without_times(value: Any) -> Any:
    """A value without private attributes, in which all numbers that are not whole (nearly always times) are equal."""
    if isinstance(value, float):
        return "a time"
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not str(key).startswith("_")}
    return value


def _events(events: pd.DataFrame, nodes: Sequence[str]) -> list[_Line]:
    """A line for each event: a fault, or what a node recorded."""
    lines = []
    columns = (events["time"], events["node"], events["event"], events["detail"])
    for number, (time, node, event, detail) in enumerate(zip(*columns, strict=True)):
        told = detail if isinstance(detail, Mapping) else {}
        if event in _FAULTS:
            named = [name for name in str(node).split(",") if name in nodes]
            named = named or _named(str(told.get("label", "")), nodes)
            lifeline = _FAULTS[event]
            lifelines = dict.fromkeys(named, lifeline) if lifeline else {}
            what = str(told["label"]) if "label" in told else " ".join([str(node), _brief_fields(told)])
            text = f"FAULT {event} {what.removeprefix('cut ')}".rstrip()
            lines.append(_Line(float(time), (0, number), dict.fromkeys(named, "X"), None, text, lifelines))
        elif node in nodes and event != "role":
            text = f"{node} {event} {_brief_fields(told)}".rstrip()
            lines.append(_Line(float(time), (2, number), {str(node): "*"}, None, text, {}))
    return lines


def _named(label: str, nodes: Sequence[str]) -> list[str]:
    words = label.replace("|", " ").replace(",", " ").replace("->", " ").replace("-", " ").split()
    return [name for name in nodes if name in words]


def _losses(frames: Mapping[str, pd.DataFrame]) -> list[_Line]:
    """A line for the first message of each class that a link lost since the last fault."""
    messages = frames["messages"]
    happened = zip(frames["events"]["time"], frames["events"]["event"], strict=True)
    faults = sorted(float(time) for time, event in happened if event in _FAULTS)
    lines, seen = [], set()
    rows = messages[messages["fate"].isin(["lost", "cut", "crashed"])]
    columns = ("id", "sent", "src", "dst", "kind", "fate")
    for number, sent, src, dst, kind, fate in zip(*(rows[name] for name in columns), strict=True):
        since = sum(time <= sent for time in faults)
        if (since, src, dst, kind, fate) in seen:
            continue
        seen.add((since, src, dst, kind, fate))
        why = {"lost": "is lost", "cut": "is cut off", "crashed": "finds it down"}[str(fate)]
        text = f"{kind} {src} -> {dst} {why}"
        lines.append(_Line(float(sent), (3, int(number)), {str(dst): "x"}, (str(src), str(dst)), text, {}))
    return lines


def _operations(operations: pd.DataFrame) -> list[_Line]:
    """Two lines for each operation: its call and its answer."""
    lines = []
    columns = ("client", "kind", "key", "value", "result", "called", "returned", "status")
    rows = zip(*(operations[name] for name in columns), strict=True)
    for number, (client, kind, key, value, result, called, returned, status) in enumerate(rows):
        is_read = kind in ("get", "read", "scan")
        what = f"{client} {kind} {key}"
        argument = "" if is_read or value is None else f" {value!r}"
        mark = {str(client): "o"}
        up = {str(client): "|"}
        lines.append(_Line(float(called), (5, number), mark, None, f"{what}{argument} is called", up))
        if returned == returned:  # not nan: it was answered
            answer = value if is_read else result
            told = f"{status}" + (f", {answer!r}" if answer is not None or is_read else "")
            lines.append(
                _Line(float(returned), (4, number), mark, None, f"{what}{argument} returns {told}", {})
            )
    return lines


# In short


def _brief_fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_brief(value)}" for name, value in fields.items())


def _brief(value: Any) -> str:
    """A value of plain data in few letters."""
    if isinstance(value, Mapping):
        return _brief_table(value)
    if isinstance(value, list):
        if len(value) > 3:
            return f"[{len(value)} items, ..., {_brief(value[-1])}]"
        return _cut(f"[{', '.join(map(_brief, value))}]")
    if isinstance(value, float):
        return f"{value:.4g}"
    return _cut(str(value))


def _brief_table(value: Mapping[str, Any]) -> str:
    kind, others = (
        value.get("class"),
        {k: v for k, v in value.items() if k != "class" and not k.startswith("_")},
    )
    if kind == "cut":
        items = value.get("last") or [value.get("of", "")]
        return f"[{value.get('length', 'many')} items, ..., {_brief(items[-1])}]"
    if kind in ("set", "frozenset", "list", "DurableLog"):
        return _brief(next(iter(others.values()), []))
    if kind == "dict":
        others = {_brief(pair[0]): pair[1] for pair in value["of"]}
    shown = ", ".join(f"{key}: {_brief(item)}" for key, item in others.items())
    return _cut(f"{kind}({shown})" if kind not in (None, "dict") else f"{{{shown}}}")


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


# Drawing


def _wide(nodes: Sequence[str]) -> int:
    return max(4, *(len(name) + 1 for name in nodes)) if nodes else 4


def _draw(lines: Sequence[_Line], nodes: Sequence[str], width: int) -> list[str]:
    """The lines with their columns: lifelines, marks, arrows."""
    wide = _wide(nodes)
    place = {name: number * wide for number, name in enumerate(nodes)}
    lifelines = dict.fromkeys(nodes, " ")
    drawn = []
    for line in lines:
        row = [" "] * (wide * len(nodes))
        for name, lifeline in lifelines.items():
            row[place[name]] = lifeline
        if line.arrow is not None and line.arrow[0] in place and line.arrow[1] in place:
            _draw_arrow(row, place[line.arrow[0]], place[line.arrow[1]])
        for name, mark in line.marks.items():
            if name in place:
                row[place[name]] = mark
        lifelines.update((name, sign) for name, sign in line.lifelines.items() if name in place)
        text = f"{line.time:<10.6f} {''.join(row)} {line.text}"
        drawn.append(_cut(text, width))
    return drawn


def _draw_arrow(row: list[str], begin: int, end: int) -> None:
    low, high = min(begin, end), max(begin, end)
    for position in range(low, high + 1):
        row[position] = "-"
    row[begin] = "o"
    row[end - 1 if end > begin else end + 1] = ">" if end > begin else "<"
