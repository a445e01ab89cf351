"""Checks of faults against a scenario: whether what they name exists, and whether they can ever happen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sim.faults.disks import OfDisk
from sim.faults.fault import Fault
from sim.faults.nemesis import addresses
from sim.faults.shapes import PartialCut
from sim.faults.when import OnEvent, OnMessage, OnWrite, Trigger
from sim.written.names import did_you_mean

__all__ = [
    "WORDS",
    "WORLD_EVENTS",
    "Vocabulary",
    "check_disks",
    "check_names",
    "check_sizes",
    "check_targets",
    "check_times",
    "check_triggers",
]

WORLD_EVENTS = frozenset(
    {
        *(
            "admin",
            "clock",
            "crash",
            "cut",
            "disk damaged",
            "disk failed",
            "disk full",
            "disk slow",
            "disk stalled",
        ),
        *("disk well", "flaky", "heal", "hold", "pause", "release", "restart", "resume", "slow", "steady"),
    }
)
"""The names of the events that faults record themselves."""

WORDS = frozenset({"all", "random", "there"})
"""Targets that are neither names nor roles."""

_OF_NO_NODE = frozenset({"cut", "flaky", "heal", "hold", "release", "steady"})


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
    """Raise ValueError for a fault whose target is neither a known name, nor a role, nor one of `WORDS`.

    ``"there"`` is a target of faults with a trigger that is reached at a node.
    """
    roles = frozenset(roles)
    for fault in faults:
        allowed = {*known, "all", "random", *(roles if fault.takes_roles else ())}
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


def check_sizes(faults: Iterable[Fault], replicas: int) -> None:
    """Raise ValueError for a partial partition of so few members that it would cut nothing."""
    for fault in chain.from_iterable(each.parts() for each in faults):
        if isinstance(fault, PartialCut):
            size = len(fault.members) or replicas
            if size < fault.least:
                raise ValueError(f"{fault!r} would cut nothing: it needs {fault.least} members, not {size}")


def check_disks(
    faults: Iterable[Fault], instant: Mapping[str, bool], found: Mapping[str, Collection[str]]
) -> None:
    """Raise ValueError for a fault of disks whose syncs take no time, and of members that write nothing.

    ``instant``: member with durable fields -> whether its disk is instant. ``found``: target -> members, for the
    targets that are known before the run (a role may be any member).
    """
    for fault in chain.from_iterable(each.parts() for each in faults):
        if isinstance(fault, OfDisk):
            members = [name for name in found.get(fault.target, instant) if name in instant]
            if not members:
                raise ValueError(f"{fault!r}: {fault.target!r} writes nothing to disk")
            for name in members:
                if fault.needs_slow_disks and instant[name]:
                    raise ValueError(
                        f"{fault!r}: the disk of {name} takes no time; give it one whose syncs do: "
                        "machines=Machine(disk=Disk(fsync=0.001))"
                    )


def check_triggers(faults: Iterable[Fault], known: Vocabulary, label: str) -> None:
    """Raise ValueError for a trigger that can never be reached, and for a message class that no node takes.

    ``label``: the name of the system, for the message.
    """
    for fault in faults:
        for kind in fault.message_kinds():
            _require(fault, "message", kind, known.messages, label)
        for trigger in fault.triggers():
            for what, name, allowed in _needs(trigger, known):
                if name is not None:
                    _require(fault, what, name, allowed, label)


def _require(fault: Fault, what: str, name: str, allowed: Collection[str], label: str) -> None:
    if name not in allowed:
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
