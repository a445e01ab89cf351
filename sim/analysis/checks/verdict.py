"""The result of a check: a verdict, and the few operations that explain it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sim.display import Displayed

__all__ = ["HistoryOperation", "Verdict", "name", "seconds", "show"]


@dataclass(frozen=True, slots=True)
class HistoryOperation:
    """One client operation, as checks and user models see it.

    Attributes
    ----------
    row: its position in the frame. process, kind, key: as in the frame.
    value: the argument (cas: ``(expected, new)``; read, get, dequeue: what came back), made hashable.
    result: any other reply, or None.
    called, returned: seconds, or integers in the unit of the history; ``returned`` is infinite when the outcome is
        unknown.
    status: ``"ok"``, ``"fail"`` or ``"info"``.
    label: the name of the row in the frame (the line number of a file that was read).
    """

    row: int
    process: Any
    kind: str
    key: Any
    value: Any
    result: Any = None
    called: float | int = math.nan
    returned: float | int = math.nan
    status: str = "ok"
    label: Any = None

    @property
    def known(self) -> bool:
        """Whether the operation was answered: its reply then binds."""
        return self.status != "info"

    def what(self) -> str:
        """The operation in words, without times: ``read x → 3``."""
        key = "" if self.key is None else f" {name(self.key)}"
        if self.kind == "cas" and isinstance(self.value, tuple) and len(self.value) == 2:
            value = f" {show(self.value[0])} → {show(self.value[1])}"
        elif self.kind in {"read", "get", "dequeue"}:
            value = f" → {show(self.value)}" if self.known else ""
        elif self.kind == "delete":
            value = ""
        else:
            value = f" {show(self.value)}"
        reply = "" if self.result is None or not self.known else f" ⇒ {show(self.result)}"
        outcome = {"ok": "", "fail": " (failed)", "info": " (outcome unknown)"}[self.status]
        return f"{self.kind}{key}{value}{reply}{outcome}"

    def __str__(self) -> str:
        who = "" if self.process is None else f" by process {name(self.process)}"
        if not math.isfinite(self.called):
            return f"{self.what()}{who}"
        end = "…" if math.isinf(self.returned) else seconds(self.returned)
        return f"{self.what()}{who} [{seconds(self.called)}, {end}]"


def show(value: Any) -> str:
    """A value for people, as JSON has it: null, true, [1, 2], {1, 2} for a set, {a: 1} for an object."""
    text = _text(value)
    return text if len(text) <= 60 else f"{text[:28]} … {text[-28:]}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):  # objects come as sets of pairs
        pairs = value and all(isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value)
        parts = (f"{v[0]}: {_text(v[1])}" for v in value) if pairs else map(_text, value)
        return "{" + ", ".join(sorted(parts)) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, (str, int, float, bytes)):
        return repr(value)
    text = str(value)
    return type(value).__name__ if text.startswith("<") else text  # an address in memory tells people nothing


def name(value: Any) -> str:
    """A key or a process for people: text without quotes."""
    return value if isinstance(value, str) else show(value)


def seconds(time: float | int) -> str:
    """A time in seconds with as many digits as it needs (at most nine); integers too large for seconds as they are."""
    if isinstance(time, int):
        return str(time)
    return f"{time:.9f}".rstrip("0").rstrip(".") + " s"


@dataclass(frozen=True, slots=True)
class Verdict(Displayed):
    """The outcome of a check.

    Attributes
    ----------
    valid: True, False, or None (unknown) where the budget ran out, the question does not apply, or nothing succeeded.
    consistency: the consistency model that was asked for, by its canonical name.
    model: the data model it was judged by (``"register"``, ``"key-value"`` …).
    reason: one paragraph for people.
    counterexample: the few operations that cannot be explained; empty unless invalid.
    order: positions in the frame in the order of a witness (a linearization), where one was asked for.
    steps: work done, a deterministic count; what a budget limits.
    left_out: how many operations that succeeded were not judged: they read more than one key (scans).
    """

    valid: bool | None
    consistency: str
    model: str
    reason: str
    counterexample: tuple[HistoryOperation, ...] = ()
    order: tuple[int, ...] | None = field(default=None, repr=False)
    steps: int = 0
    left_out: int = 0

    @property
    def ok(self) -> bool:
        """Whether the history was shown to be valid; unknown is not ok."""
        return self.valid is True

    @property
    def status(self) -> str:
        """``"valid"``, ``"invalid"`` or ``"unknown"``."""
        return {True: "valid", False: "invalid", None: "unknown"}[self.valid]

    def frame(self) -> pd.DataFrame:
        """The counterexample as an operations frame; its index are positions in the frame that was judged."""
        rows = [
            (o.process, o.kind, o.key, o.value, o.result, o.called, o.returned, o.status)
            for o in self.counterexample
        ]
        names = ["process", "kind", "key", "value", "result", "called", "returned", "status"]
        index = pd.Index([o.row for o in self.counterexample], name="row")
        found = pd.DataFrame(rows, columns=names, index=index, dtype=object)
        whole = any(isinstance(o.called, int) for o in self.counterexample)  # floats would merge such times
        return found if whole else found.astype({"called": float, "returned": float})

    def __str__(self) -> str:
        lines = [f"{self.status}: {self.consistency} ({self.model}). {self.reason}"]
        for operation in self.counterexample:
            label = f"{operation.label}: " if operation.label is not None else ""
            lines.append(f"  {label}{operation}")
        return "\n".join(lines)
