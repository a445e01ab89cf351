"""Checks of faults against a scenario: whether what they name exists, and whether they can ever happen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.faults.fault import Fault
from sim.faults.nemesis import addresses
from sim.faults.when import OnEvent, OnMessage, OnWrite, Trigger
from sim.written.names import did_you_mean

__all__ = ["WORLD_EVENTS", "Vocabulary", "check_names", "check_targets", "check_times", "check_triggers"]

WORLD_EVENTS = frozenset(
    {"admin", "clock", "crash", "cut", "flaky", "heal", "pause", "restart", "resume", "slow", "steady"}
)
"""The names of the events that faults record themselves."""

_OF_NO_NODE = frozenset({"cut", "heal"})


def check_names(faults: Sequence[Fault]) -> None:
    """Raise ValueError for two faults of one class and one numbered name: they would share their random draws."""
    made = addresses(faults)
    for fault, address in zip(faults, made, strict=True):
        if made.count(address) > 1:
            raise ValueError(f"{fault!r}: another {type(fault).__name__} is named {fault.name!r}, too")


def check_times(faults: Iterable[Fault], duration: float) -> None:
    """Raise ValueError for a fault that would begin after the end of the run. ``duration``: seconds."""
    for fault in faults:
        if fault.begins >= duration:
            raise ValueError(
                f"{fault!r} would never happen: it begins at {fault.begins!r} s, and the run ends at {duration!r} s"
            )


def check_targets(faults: Iterable[Fault], known: Mapping[str, Any], roles: Iterable[str]) -> None:
    """Raise ValueError for a fault whose target is neither a known name, nor a role, nor ``"random"``.

    ``"there"`` is a target of faults with a trigger that is reached at a node.
    """
    roles = frozenset(roles)
    for fault in faults:
        allowed = {*known, "random", *(roles if fault.takes_roles else ())}
        if _is_reached_at_a_node(getattr(fault, "at", None)):
            allowed.add("there")
        for target in fault.targets():
            if target not in allowed:
                raise ValueError(f"{fault!r}: there is no {target!r}; there are {', '.join(sorted(allowed))}")


def _is_reached_at_a_node(when: Any) -> bool:
    return isinstance(when, Trigger) and not (isinstance(when, OnEvent) and when.event in _OF_NO_NODE)


@dataclass(frozen=True)
class Vocabulary:
    """What a trigger may name in a scenario.

    ``nodes``: the names of members and clients. ``writers``: those with durable fields. ``events``: the names of the
    events of its nodes. ``messages``: the names of the message classes that its nodes take.
    """

    nodes: Collection[str]
    writers: Collection[str]
    events: Collection[str]
    messages: Collection[str]


def check_triggers(faults: Iterable[Fault], known: Vocabulary, label: str) -> None:
    """Raise ValueError for a trigger that can never be reached. ``label``: the name of the system, for the message."""
    for fault in faults:
        for trigger in fault.triggers():
            for what, name, allowed in _needs(trigger, known):
                if name is not None and name not in allowed:
                    near = did_you_mean(name, sorted(allowed))
                    listed = "" if what == "event" else f"; there are {', '.join(sorted(allowed))}"
                    raise ValueError(f"{fault!r}: {label} has no {what} {name!r}{near}{listed}")


def _needs(trigger: Trigger, known: Vocabulary) -> list[tuple[str, str | None, Collection[str]]]:
    """What a trigger names: the kind of thing, the name, and the names that exist."""
    if isinstance(trigger, OnEvent):
        return [("event", trigger.event, known.events), ("node", trigger.node, known.nodes)]
    if isinstance(trigger, OnMessage):
        return [
            ("message", trigger.kind, known.messages),
            ("node", trigger.src, known.nodes),
            ("node", trigger.dst, known.nodes),
        ]
    if isinstance(trigger, OnWrite):
        return [("node with durable fields", trigger.node, known.writers)]
    return []
