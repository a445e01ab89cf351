"""Logs of messages of other systems, for the space-time page: our JSONL (docs/report.md), and Maelstrom's log.

Maelstrom logs each message that it sends and delivers with ``--log-net-send --log-net-recv`` (source:
github.com/jepsen-io/maelstrom, src/maelstrom/net.clj, functions ``send!`` and ``recv!``); the lines stand in
``store/latest/jepsen.log``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from typing import Any

from sim.readers.edn import Tagged, parse_edn
from sim.readers.text import read_text, short

__all__ = ["LOG_FORMS", "MessageLog", "read_message_log"]

LOG_FORMS = (
    'an object a line with "type": message, send, recv, step, event, operation or node (docs/report.md)',
    "Maelstrom's log with --log-net-send --log-net-recv (store/latest/jepsen.log)",
)
"""The forms of logs that are read."""

_MAELSTROM = re.compile(
    r"^(?P<day>\d{4}-\d\d-\d\d)[ T](?P<clock>\d\d:\d\d:\d\d)[,.](?P<part>\d+)\S*\s.*?\bmaelstrom\.net\b\S*\s+"
    r":(?P<what>send|recv)\s+(?P<message>[#{\"].*)$"
)


@dataclass
class MessageLog:
    """What a log says, in the order of its lines; times in seconds.

    Attributes
    ----------
    messages: ``src, dst, kind, sent, delivered`` (NaN: never), ``fate, content, bytes``.
    steps: ``node, time, name, message`` (its place in ``messages``, or -1), ``state`` (what changed).
    events: ``node, time, event, detail``. operations: as in a history (``call``, ``return``).
    nodes: ``name, role, region``.
    left_out: how many lines were of another kind.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    operations: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0


def read_message_log(path: str | PathLike[str]) -> MessageLog:
    """The log in a file.

    Raises ValueError, with the name of the file, the line and what is wrong, for a file of no known form.
    """
    lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: the file is empty; known are {'; '.join(LOG_FORMS)}")
    if any(_MAELSTROM.match(line) for _, line in lines):
        return _maelstrom(path, lines)
    number, first = lines[0]
    if not first.lstrip().startswith("{"):
        raise ValueError(
            f"{path}, line {number}: neither an object nor a message of Maelstrom's log: {short(first)}; known are "
            f"{'; '.join(LOG_FORMS)}"
        )
    return _Lines(str(path)).read(lines)


# Our own form


class _Lines:
    """Reads lines of objects."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._line = 0
        self._log = MessageLog()
        self._places: dict[str, int] = {}  # id of a message -> its place

    def read(self, lines: list[tuple[int, str]]) -> MessageLog:
        known: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "message": self._message,
            "send": self._send,
            "recv": self._recv,
            "step": self._step,
            "event": self._event,
            "operation": self._operation,
            "node": self._node,
        }
        for self._line, text in lines:
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise self._wrong(f"not JSON ({error.msg})") from None
            kind = row.get("type") if isinstance(row, dict) else None
            if kind not in known:
                raise self._wrong(f'"type" must be one of {", ".join(known)}, not {short(kind)}')
            known[kind](row)
        return self._log

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{self._path}, line {self._line}: {what}")

    def _get(self, row: Mapping[str, Any], name: str, kind: type[Any], *default: Any) -> Any:
        if name not in row:
            if default:
                return default[0]
            raise self._wrong(f"a line of type {row['type']} needs {name!r}")
        value = row[name]
        if kind is float:
            if value is None and default:
                return default[0]
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
            raise self._wrong(f"{name!r} must be a number of seconds, not {short(value)}")
        if not isinstance(value, kind) or isinstance(value, bool):
            named = {str: "a text", int: "a whole number", dict: "an object"}[kind]
            raise self._wrong(f"{name!r} must be {named}, not {short(value)}")
        return value

    def _about(self, row: Mapping[str, Any]) -> dict[str, Any]:
        content = self._get(row, "content", dict, {})
        return {
            "src": self._get(row, "src", str),
            "dst": self._get(row, "dst", str),
            "kind": self._get(row, "kind", str, "message"),
            "content": content,
            "bytes": self._get(row, "bytes", int, 0),
        }

    def _add(self, row: Mapping[str, Any], message: dict[str, Any]) -> None:
        if "id" in row:
            name = str(row["id"])
            if name in self._places:
                raise self._wrong(
                    f"the message {short(row['id'])} was sent before; a copy needs an id of its own"
                )
            self._places[name] = len(self._log.messages)
        self._log.messages.append(message)

    def _place(self, row: Mapping[str, Any], name: str) -> int:
        found = self._places.get(str(row.get(name)))
        if found is None:
            raise self._wrong(f"no message {short(row.get(name))} was sent before this line")
        return found

    def _message(self, row: Mapping[str, Any]) -> None:
        sent, delivered = self._get(row, "sent", float), self._get(row, "delivered", float, math.nan)
        if delivered < sent:
            raise self._wrong(f"delivered at {delivered!r}, before it was sent at {sent!r}")
        fate = self._get(row, "fate", str, "lost" if math.isnan(delivered) else "delivered")
        if fate not in FATES:
            raise self._wrong(f"'fate' must be one of {', '.join(FATES)}, not {short(fate)}")
        self._add(row, {**self._about(row), "sent": sent, "delivered": delivered, "fate": fate})

    def _send(self, row: Mapping[str, Any]) -> None:
        if "id" not in row:
            raise self._wrong("a line of type send needs 'id', which the line of type recv repeats")
        sent = self._get(row, "time", float)
        self._add(row, {**self._about(row), "sent": sent, "delivered": math.nan, "fate": "lost"})

    def _recv(self, row: Mapping[str, Any]) -> None:
        _deliver(self._log.messages, self._place(row, "id"), self._get(row, "time", float))

    def _step(self, row: Mapping[str, Any]) -> None:
        self._log.steps.append(
            {
                "node": self._get(row, "node", str),
                "time": self._get(row, "time", float),
                "name": self._get(row, "name", str, "step"),
                "message": self._place(row, "message") if "message" in row else -1,
                "state": self._get(row, "state", dict, {}),
            }
        )

    def _event(self, row: Mapping[str, Any]) -> None:
        event, detail = self._get(row, "event", str), self._get(row, "detail", dict, {})
        if event == "role" and not isinstance(detail.get("role"), str):
            raise self._wrong('an event \'role\' needs the role in its detail: {"role": "leader"}')
        self._log.events.append(
            {
                "node": self._get(row, "node", str, ""),
                "time": self._get(row, "time", float),
                "event": event,
                "detail": detail,
            }
        )

    def _operation(self, row: Mapping[str, Any]) -> None:
        process = row.get("process", 0)
        self._log.operations.append(
            {
                "client": self._get(row, "client", str, f"client {process}"),
                "node": self._get(row, "node", str, ""),
                "kind": self._get(row, "kind", str),
                "key": row.get("key"),
                "value": row.get("value"),
                "result": row.get("result"),
                "call": self._get(row, "call", float),
                "return": self._get(row, "return", float, math.nan),
                "status": self._get(row, "status", str, "ok" if row.get("return") is not None else "info"),
            }
        )

    def _node(self, row: Mapping[str, Any]) -> None:
        named = {name: self._get(row, name, str, "") for name in ("role", "region")}
        self._log.nodes.append({"name": self._get(row, "name", str), **named})


FATES = ("delivered", "duplicated", "released", "crashed", "lost", "corrupted", "cut", "held", "in flight")
"""As in the frame ``messages`` (docs/trace.md)."""


def _deliver(messages: list[dict[str, Any]], place: int, time: float) -> None:
    """Note a delivery; a second one is a copy of its own."""
    message = messages[place]
    if math.isnan(message["delivered"]):
        message["delivered"], message["fate"] = time, "delivered"
    else:
        messages.append({**message, "delivered": time, "fate": "duplicated"})


# Maelstrom


def _maelstrom(path: str | PathLike[str], lines: list[tuple[int, str]]) -> MessageLog:
    log = MessageLog()
    places: dict[Any, int] = {}
    begin: float | None = None
    for number, line in lines:
        found = _MAELSTROM.match(line)
        if found is None:
            log.left_out += 1
            continue
        time = _seconds(found)
        begin = time if begin is None else begin
        message = _of_maelstrom(path, number, found["message"])
        if found["what"] == "send":
            places[message["id"]] = len(log.messages)
            about = {name: message[name] for name in ("src", "dst", "kind", "content", "bytes")}
            log.messages.append({**about, "sent": time - begin, "delivered": math.nan, "fate": "lost"})
        elif message["id"] in places:
            _deliver(log.messages, places[message["id"]], time - begin)
        else:
            raise ValueError(
                f"{path}, line {number}: message {message['id']} was received and never sent: run Maelstrom with "
                "--log-net-send, too"
            )
    for name in dict.fromkeys(end for m in log.messages for end in (m["src"], m["dst"])):
        log.nodes.append(
            {"name": name, "role": "client" if name.startswith("c") else "replica", "region": ""}
        )
    return log


def _seconds(found: re.Match[str]) -> float:
    moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}").replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{found['part']}")


def _of_maelstrom(path: str | PathLike[str], number: int, text: str) -> dict[str, Any]:
    trees = [value for _, value in parse_edn(f"{path}, line {number}", text)]
    tree = trees[0] if len(trees) == 1 else None
    message = tree.value if isinstance(tree, Tagged) else tree
    if not isinstance(message, Mapping) or not {"id", "src", "dest", "body"} <= {*message}:
        raise ValueError(f"{path}, line {number}: no message with :id, :src, :dest and :body: {short(text)}")
    body = message["body"]
    kind = body.get("type", "message") if isinstance(body, Mapping) else "message"
    content = dict(_plain(body)) if isinstance(body, Mapping) else {"body": _plain(body)}
    return {
        "id": message["id"],
        "src": str(message["src"]),
        "dst": str(message["dest"]),
        "kind": str(kind),
        "content": content,
        "bytes": len(json.dumps(content)),
    }


def _plain(value: Any) -> Any:
    """A value of EDN as plain data."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Tagged):
        return _plain(value.value)
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
