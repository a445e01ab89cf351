"""The drawing of storms, swarm style: each seed chooses kinds of faults, and their strengths, among all that may be.

In some seeds few kinds rage, in others many, so that one kind does not hide what another would show (swarm testing:
Groce and others, ISSTA 2012). Each kind draws from a stream of its own, and so does each option of the system.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from sim.faults import Fault, Strike
from sim.kernel import Streams
from sim.lab.nemesis import administration, leadership, reactions, usual
from sim.lab.nemesis.kinds import Circumstances, FaultKind, kinds
from sim.lab.vocabulary import recorded_events
from sim.node import durable_fields
from sim.system import System

__all__ = ["drawn_faults", "setting_of", "undrawn", "with_options"]

_ROOMS = (usual, reactions, leadership, administration)  # the kinds are registered when these are loaded
_LEVELS = (0.03, 0.06, 0.12)
"""How likely a kind of weight 1 is in a storm: it depends on the seed."""

_NEWS = ("elected", "view", "role", "lease")


def setting_of(system: System, seconds: float, clients: int) -> Circumstances:
    """What the kinds of faults need to know of a storm of this length (seconds) and number of clients."""
    members = system.members()
    replicas = [member for member in members if member.role == "replica"]
    classes: list[Any] = [member.node_class for member in members]
    events = sorted({event for node_class in classes for event in recorded_events(node_class)})
    taken = {kind.__name__ for member in replicas for kind in member.handled}
    asked = {
        kind.__name__
        for member in members
        for kind in member.handled
        if getattr(kind, "is_administration", False)
    }
    return Circumstances(
        system=system,
        seconds=seconds,
        names=tuple(member.name for member in replicas if not member.off),
        spares=tuple(member.name for member in replicas if member.off),
        services=tuple(member.name for member in members if member.role != "replica"),
        clients=tuple(f"c{k}" for k in range(clients)) if system.operations else (),
        events=tuple(events),
        messages=tuple(sorted(taken - asked)),
        news=tuple(event for event in _NEWS if event in events) or tuple(events),
        writes=any(durable_fields(member.node_class) for member in replicas),
    )


def _is_administration(kind: type) -> bool:
    return bool(getattr(kind, "is_administration", False))


def drawn_faults(setting: Circumstances, streams: Streams) -> tuple[Fault, ...]:
    """The faults of a storm. Each has the name of its kind, so that none shares its draws with another."""
    level = streams["nemesis"].choice(_LEVELS)
    chosen: dict[str, float] = {}
    for name, one in kinds.items():
        draw = streams[f"nemesis/{name}/chosen"].random()
        if not one.never(setting) and draw < level * one.weight:
            chosen[name] = draw / one.weight
    if setting.system.max_down is not None:
        chosen = _one_of_the_crashing(chosen)
    return tuple(fault for name in chosen for fault in _faults_of(kinds[name], setting, streams))


def _faults_of(one: FaultKind, setting: Circumstances, streams: Streams) -> list[Fault]:
    drawn = one.draw(setting, streams[f"nemesis/{one.name}"])
    faults = [fault for fault in drawn if fault.begins < setting.seconds]  # a scenario refuses the others
    numbers = [f" {k}" if len(faults) > 1 else "" for k in range(len(faults))]
    return [
        dataclasses.replace(fault, name=f"{one.name}{number}")
        for fault, number in zip(faults, numbers, strict=True)
    ]


def _one_of_the_crashing(chosen: dict[str, float]) -> dict[str, float]:
    """Of the kinds that take members down, only one: each keeps the bound of members down by itself."""
    crashing = [name for name in chosen if kinds[name].crashes]
    kept = min(crashing, key=lambda name: chosen[name], default=None)
    return {name: draw for name, draw in chosen.items() if name not in crashing or name == kept}


def with_options(system: System, streams: Streams, *, keep: Collection[str] = ()) -> System:
    """The system with alternatives for those of its fields that were not given (`System.safe_options`).

    A field to which a subclass gives another default counts as given, and so do those in ``keep``.
    """
    for field, alternatives in system.safe_options.items():
        value = streams[f"nemesis/option {field}"].choice(alternatives)
        if field not in keep and not _is_given(system, field) and value != getattr(system, field):
            try:
                system = system.changed(**{field: value})
            except ValueError:
                continue  # it does not go with an option that was drawn before
    return system


def _is_given(system: System, field: str) -> bool:
    declared = next(cls for cls in type(system).__mro__ if "safe_options" in vars(cls))
    fields = [cls.__dataclass_fields__[field] for cls in (type(system), declared)]  # type: ignore[attr-defined]
    mine, its = [(one.default, one.default_factory) for one in fields]
    return field in system.given or mine != its


def undrawn(system: System) -> Mapping[str, str]:
    """What no storm ever draws for a system: kinds of faults, classes of faults, fields -> the reason."""
    setting = setting_of(system, 8.0, 4)
    found = {name: reason for name, one in kinds.items() if (reason := one.never(setting))}
    drawn = {cls for one in kinds.values() if not one.never(setting) for cls in one.covers}
    faults = import_module("sim.faults")
    for name in faults.__all__:
        cls = getattr(faults, name)
        if (
            isinstance(cls, type)
            and issubclass(cls, Fault)
            and cls not in (Fault, Strike)
            and cls not in drawn
        ):
            found[name] = "no kind of faults that it allows makes one"
    for field in dataclasses.fields(system):
        if field.init and field.name not in system.safe_options:
            found[f"field {field.name}"] = f"it stays {getattr(system, field.name)!r}"
    return found
