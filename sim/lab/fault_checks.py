"""Whether the faults of a scenario can happen in it: their targets, times, triggers, disks, requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.faults.checks import (
    WORDS,
    check_disks,
    check_names,
    check_sizes,
    check_targets,
    check_times,
    check_triggers,
)
from sim.faults.disks import OfDisk
from sim.lab.vocabulary import client_names, vocabulary_of
from sim.node import durable_fields
from sim.settings import MOST_ROWS
from sim.system import check_administration

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["check_faults"]


def check_faults(scenario: Scenario) -> None:
    """Raise ValueError for a fault that could never happen as it is written."""
    faults, system = scenario.faults, scenario.system
    check_times(faults, scenario.duration)
    check_names(faults)
    _check_targets(scenario)
    check_sizes(faults, scenario.resolved.size)
    _check_numbers(scenario)
    if any(isinstance(part, OfDisk) for fault in faults for part in fault.parts()):
        _check_disks(scenario)
    if any(fault.triggers() or fault.message_kinds() for fault in faults):
        check_triggers(faults, vocabulary_of(scenario), system.label)
    _check_administration(scenario)


def _check_targets(scenario: Scenario) -> None:
    found, roles = scenario.resolved, scenario.system.leader_roles
    known = {**found.places, **found.residents, **dict.fromkeys(scenario.network.regions)}
    words = {*known, *roles, *WORDS}
    if any(target not in words for fault in scenario.faults for target in fault.targets()):
        known |= dict.fromkeys(client_names(scenario))
    check_targets(scenario.faults, known, roles)


def _check_numbers(scenario: Scenario) -> None:
    """Raise ValueError for random faults that would be too many to keep in memory."""
    for fault in scenario.faults:
        for name in ("mttf", "every"):
            mean = getattr(fault, name, None)
            if mean is not None and scenario.duration / mean > MOST_ROWS:
                raise ValueError(
                    f"{fault!r}: {name}={mean!r} makes {scenario.duration / mean:.3g} faults in "
                    f"{scenario.duration!r} s: at most {MOST_ROWS:,}"
                )


def _check_disks(scenario: Scenario) -> None:
    found = scenario.resolved
    writers = [member.name for member in found.members if durable_fields(member.node_class)]
    places = {
        place: [name for name in writers if found.places[name] == place] for place in scenario.network.regions
    }
    names = {name: (name,) for name in (*found.places, *client_names(scenario))}
    instant = {name: found.machines[name].disk.instant for name in writers}
    check_disks(scenario.faults, instant, {**places, **found.residents, **names})


def _check_administration(scenario: Scenario) -> None:
    places = scenario.resolved.places
    for fault in scenario.faults:
        for request in fault.requests():
            check_administration(scenario.system, request)
            for name in request.named:
                if name not in places:
                    raise ValueError(f"{fault!r}: {name!r} is no member; the members are {', '.join(places)}")
