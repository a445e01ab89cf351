"""Histories of events, as Jepsen, Knossos and Porcupine have them, as operations.

An event is the call of an operation (``invoke``) or its end (``ok``, ``fail``, ``info``). Events come as EDN (a vector
of maps, or a map a line; Porcupine's key-value logs are such), as JSON (an array, or an object a line), or as lines of
Jepsen's log (Porcupine's logs of etcd).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

from sim.readers.edn import Keyword, Symbol, Tagged, parse_edn
from sim.readers.note import Note, counted
from sim.readers.text import short

__all__ = ["EVENT_FORMS", "Operations", "event_form", "read_events"]

EVENT_FORMS = (
    "an object a line with process, kind, value, call, return, status",
    "Jepsen's and Knossos' EDN ({:process 0, :type :invoke, :f :read, :value nil, :time 5})",
    'Jepsen\'s events in JSON ({"process": 0, "type": "invoke", "f": "read", "value": null})',
    "lines of Jepsen's log (INFO  jepsen.util - 0 :invoke :read nil)",
)
"""The forms of histories that are read."""

_KINDS = (
    *("read", "write", "cas", "get", "put", "append"),
    *("delete", "increment", "add", "remove", "enqueue", "dequeue"),
)
_TYPES = ("invoke", "ok", "fail", "info")
_LOG = re.compile(
    r"(?:.*\s)?jepsen\.util\s+-\s+(?P<process>\S+)\s+:(?P<type>\w+)\s+:(?P<f>\S+)\s+(?P<value>.+)"
)
_ANSWERS = frozenset({"read", "get", "dequeue"})  # kinds whose value is what came back


@dataclass(frozen=True, slots=True)
class _Event:
    line: int
    process: Any
    type: str
    kind: str
    value: Any
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of a history: a record each (the fields of a line of `sim check`), and the line of its call.

    ``initial``: what a key holds before it is written, where the form says so; else None.
    """

    lines: tuple[int, ...]
    records: tuple[dict[str, Any], ...]
    note: Note
    initial: str | None = None


def event_form(head: str) -> str | None:
    """The form of events that a text with this beginning has: "edn", "json", "log"; None if it has none."""
    start = head.lstrip("\ufeff \t\r\n")
    line = start.partition("\n")[0]
    if re.match(r"[\[(]?\s*(\{\s*:|#[A-Za-z])|;|\(", start):
        return "edn"
    if _LOG.fullmatch(line.strip()):
        return "log"
    if re.match(r"\[\s*\{", start) or (re.match(r'\{.*"f"\s*:', line) and '"type"' in line):
        return "json"
    return None


def read_events(name: str, text: str, form: str) -> Operations:
    """The operations of a history of events. ``form``: as `event_form` says.

    Raises ValueError with name, line, the text found there, and the known forms.
    """
    readers: dict[str, Callable[[str, str], Iterator[tuple[int, Any]]]] = {
        "edn": parse_edn,
        "json": _json,
        "log": _log,
    }
    left: dict[str, int] = {}
    events = []
    for line, tree in readers[form](name, text):
        event = _event(f"{name}, line {line}", line, tree)
        if isinstance(event.process, int):
            events.append(event)
        else:
            told = f"of {event.process}"
            left[told] = left.get(told, 0) + 1
    if not events:
        raise ValueError(f"{name}: there is no event of a client in it")
    return _paired(name, form, events, left)


def _json(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """The objects of an array, or of lines, with the line on which each begins."""
    decoder = json.JSONDecoder()
    at, line = 0, 1
    try:
        while at < len(text):
            blank = re.compile(r"[\s,\[\]\ufeff]*").match(text, at)
            begun = blank.end() if blank else at
            line += text.count("\n", at, begun)
            if begun == len(text):
                return
            value, end = decoder.raw_decode(text, begun)
            yield line, value
            line += text.count("\n", begun, end)
            at = end
    except JSONDecodeError as error:
        raise ValueError(
            f"{name}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from None


def _log(name: str, text: str) -> Iterator[tuple[int, Any]]:
    for i, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LOG.fullmatch(line.strip())
        if match is None:
            raise ValueError(
                f"{name}, line {i}: `jepsen.util - PROCESS :TYPE :F VALUE` is needed, not {line.strip()!r}"
            )
        process = int(match["process"]) if match["process"].isdigit() else match["process"].lstrip(":")
        # In a list, because an outermost list would be spread.
        values = [value for _, value in parse_edn(f"{name}, line {i}", f"[[{match['value']}]]")]
        yield i, {"process": process, "type": match["type"], "f": match["f"], "value": values[0][0]}


def _event(where: str, line: int, tree: Any) -> _Event:
    tree = tree.value if isinstance(tree, Tagged) else tree
    missing = [name for name in ("process", "type", "f") if not isinstance(tree, dict) or name not in tree]
    if missing:
        raise ValueError(
            f"{where}: an event with process, type, f and value is needed, not {short(tree)}; "
            f"known are {'; '.join(EVENT_FORMS)}"
        )
    kind, told = str(tree["f"]).lstrip(":"), str(tree["type"]).lstrip(":")
    if told not in _TYPES:
        raise ValueError(f"{where}: the type of an event is one of {', '.join(_TYPES)}, not {told!r}")
    process = tree["process"]
    if isinstance(process, bool) or not isinstance(process, int):
        return _Event(line, str(process).lstrip(":"), told, kind, None, {})
    if kind in ("txn", "mop"):
        raise ValueError(f"{where}: transactions (:f :{kind}) are not judged here; Elle judges them")
    if kind not in _KINDS:
        raise ValueError(f"{where}: f {kind!r} is none of {', '.join(_KINDS)}")
    return _Event(line, process, told, kind, tree.get("value"), tree)


def _paired(name: str, form: str, events: list[_Event], left: dict[str, int]) -> Operations:
    """Pair calls with their ends."""
    keyed = _is_keyed(name, events)
    timed = _is_timed(name, events)
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    open_calls: dict[int, int] = {}  # process -> index of its record
    for order, event in enumerate(events, 1):
        where = f"{name}, line {event.line}"
        time = event.fields["time"] if timed else order
        key, value = _key_and_value(event, keyed)
        if event.type == "invoke":
            if event.process in open_calls:
                before = lines[open_calls[event.process]]
                raise ValueError(
                    f"{where}: process {event.process} calls again before its call on line {before} has ended"
                )
            open_calls[event.process] = len(records)
            lines.append(event.line)
            record = {"process": event.process, "kind": event.kind, "value": value, "call": time}
            records.append({**record, "key": key, "status": "info", "return": None})
            continue
        index = open_calls.pop(event.process, None)
        if index is None or records[index]["kind"] != event.kind:
            called = "nothing" if index is None else records[index]["kind"]
            raise ValueError(f"{where}: process {event.process} ends {event.kind}, but it called {called}")
        _end(records[index], event, time, value)
    unkeyed = all(record["key"] is None for record in records)
    for record in records:
        if unkeyed:
            del record["key"]
    return _operations(name, form, timed, lines, records, left)


def _end(record: dict[str, Any], event: _Event, time: Any, value: Any) -> None:
    record["status"] = event.type
    if event.type != "info":
        record["return"] = time
    if event.kind in _ANSWERS:
        record["value"] = value if event.type == "ok" else None


def _operations(
    name: str,
    form: str,
    timed: bool,
    lines: list[int],
    records: list[dict[str, Any]],
    left: dict[str, int],
) -> Operations:
    words = {"edn": "events in EDN", "json": "events in JSON", "log": "lines of Jepsen's log"}
    took = [
        counted(len(records), "operation"),
        "times as they stand" if timed else "the order of events as time",
    ]
    strings = [r["value"] for r in records if r["kind"] in ("get", "put", "append") and r["status"] == "ok"]
    texts = bool(strings) and len(strings) == sum(r["status"] == "ok" for r in records)
    initial = "" if texts and all(isinstance(value, str) for value in strings) else None
    if initial == "":
        took.append("keys begin with an empty string, because every get returns one")
    told = tuple(f"{counted(number, 'event')} {what}" for what, number in left.items())
    note = Note(name, f"{words[form]}, by the first line", tuple(took), told)
    return Operations(tuple(lines), tuple(records), note, initial)


def _is_timed(name: str, events: list[_Event]) -> bool:
    """Whether events have times. Raises ValueError where only some have one, or one is no number."""
    times = [event.fields.get("time") for event in events]
    if all(time is None or time == -1 for time in times):  # Jepsen writes -1 for an unknown time
        return False
    for event, time in zip(events, times, strict=True):
        if isinstance(time, bool) or not isinstance(time, (int, float)) or time != time:
            raise ValueError(
                f"{name}, line {event.line}: :time is {time!r}, not a number, but other events have one"
            )
    return True


def _is_keyed(name: str, events: list[_Event]) -> bool:
    """Whether values are ``[key value]`` (jepsen.independent): each read calls ``[k nil]``, each cas ``[k [a b]]``."""
    if any(isinstance(event.value, Tagged) for event in events):
        return True
    calls = [event for event in events if event.type == "invoke"]
    telling = [event for event in calls if event.kind in ("read", "cas")]
    pairs = all(isinstance(e.value, list) and len(e.value) == 2 for e in calls)
    if not pairs or any("key" in event.fields for event in events):
        return False
    if not telling:
        raise ValueError(
            f"{name}, line {calls[0].line}: {short(calls[0].value)} may be a key and its value, or one value; "
            "give :key beside :value"
        )
    return all((e.value[1] is None if e.kind == "read" else isinstance(e.value[1], list)) for e in telling)


def _key_and_value(event: _Event, keyed: bool) -> tuple[Any, Any]:
    value = event.value.value if isinstance(event.value, Tagged) else event.value
    key = event.fields.get("key")
    if keyed and isinstance(value, list) and len(value) == 2:
        key, value = value
    return _plain(key), _plain(value)


def _plain(value: Any) -> Any:
    """Keywords and symbols as strings; tags without their tag."""
    if isinstance(value, (Keyword, Symbol)):
        return str(value)
    if isinstance(value, Tagged):
        return _plain(value.value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
