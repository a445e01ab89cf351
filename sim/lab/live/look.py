"""What a live session shows of itself: the time, and of each member its state, role, term and log, in short."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.cluster import NodeHost
from sim.display import Block, TextTable, plain_repr
from sim.lab.labels import describe, words
from sim.lab.led import has_leader
from sim.node import durable_fields

if TYPE_CHECKING:
    from sim.lab.simulation import Simulation

__all__ = ["look"]

_FIRST = ("role", "status", "leader", "primary", "current_term", "view", "ballot", "promised")
_LAST = ("log", "commit_index", "commit", "last_applied", "applied", "executed")
"""Attributes that protocols of this library have: shown of a node that has them, beside all of its durable fields."""
_MOST_COLUMNS = 10
_MOST_LETTERS = 24
_MOST_MEMBERS = 60


def look(simulation: Simulation) -> list[Block]:
    """The time, who leads, a row for each member, and what was done to links by hand."""
    hosts = [host for host in simulation.cluster.hosts.values() if host.member.role != "client"]
    leads = has_leader(simulation.system)
    times = f"at {simulation.now:.6g} s of {simulation.scenario.duration:.6g} s"
    counts = {
        "held messages": len(simulation.held),
        "clients": len(simulation.cluster.hosts) - len(hosts),
        "answered": len(simulation.recorder.operations),
    }
    told = [f"leader: {simulation.leader or 'none'}"] if leads else []
    told += [f"{what}: {count:,}" for what, count in counts.items()]
    head = f"{describe(simulation.scenario.system)}, seed {simulation.seed}: {times}\n{'; '.join(told)}"
    shown = hosts[:_MOST_MEMBERS]
    found = dict.fromkeys(name for host in shown for name in _attributes(host))
    names = [name for name in found if leads or name != "leader"][:_MOST_COLUMNS]
    columns: list[tuple[str, list[str], bool]] = [
        ("node", [host.name for host in shown], False),
        ("state", [_state(host) for host in shown], False),
    ]
    for name in names:
        values = [_value(host, name) for host in shown]
        numbers = all(value.isdigit() or value in _BLANK for value in values)
        columns.append((words(name), values, numbers))
    more = [f"… {len(hosts) - len(shown)} more members"] if len(hosts) > len(shown) else []
    return [head, TextTable(columns), *more]


_BLANK = ("", "–")


def _attributes(host: NodeHost) -> Iterator[str]:
    if host.node is None:
        return
    own = [name for name in durable_fields(host.member.node_class) if "." not in name]
    for name in dict.fromkeys((*_FIRST, *_LAST, *own)):
        if (name in vars(host.node) or name in own) and not _is_record(getattr(host.node, name)):
            yield name


def _is_record(value: Any) -> bool:
    """Whether a value has several fields and no text of its own: it takes too much room here."""
    has_fields = dataclasses.is_dataclass(value) or hasattr(type(value), "_fields")
    return has_fields and not _has_text(value)


def _has_text(value: Any) -> bool:
    """Whether its class says how it is written for people."""
    kind: Any = type(value)
    return kind.__str__ is not object.__str__


def _state(host: NodeHost) -> str:
    if host.incarnation < 0:
        return "off"
    if not host.is_up:
        return "down"
    return "paused" if host.is_paused else "up"


def _value(host: NodeHost, name: str) -> str:
    if host.node is None or not hasattr(host.node, name):
        return ""
    return _short(getattr(host.node, name))


def _short(value: Any) -> str:
    """A value in a few letters: text as it is, a log or a map by its length."""
    if value is None:
        return "–"
    if isinstance(value, str | bool | int):
        text = str(value)
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif hasattr(value, "__len__") and not isinstance(value, tuple):
        count = len(value)
        text = f"{count:,} entr{'y' if count == 1 else 'ies'}"
    else:
        text = str(value) if _has_text(value) else plain_repr(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"
