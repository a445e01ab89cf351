"""A scenario to begin with: what `sim init` writes."""

from __future__ import annotations

from dataclasses import replace

from sim.faults import Crash
from sim.lab.application_model import application_of
from sim.lab.scenario import Scenario
from sim.network import wan
from sim.protocols import Raft
from sim.system import System
from sim.workload import Mix, NoLoad, OpenLoop, Workload
from sim.written.commented import commented_toml

__all__ = ["first_file", "first_scenario"]

_HEAD = """\
# A scenario of quorumlab, in TOML. All times are simulated seconds.
#
#   sim describe FILE                                  says in sentences what will be run
#   sim run FILE                                       runs it under one seed
#   sim compare Raft MultiPaxos --scenario FILE        runs several systems in it
#   sim sweep FILE --vary system.nodes=3,5,7           varies its fields
#
# A line such as `#warmup = 0.0` is a field at its default: take the # away and change the value. Where <...>
# stands, write a value of your own. Where a text says None, the field is left out. `sim list` shows the
# classes that there are.

# The seed of `sim run`; with --seed another. `sim compare` and `sim sweep` take --seeds, and refuse a file
# with a seed.
# An integer (of at least 0); default: 1.
#seed = 1
"""


def first_scenario(system: System | None = None) -> Scenario:
    """A scenario to change: a system (default: Raft, three nodes) in three regions, whose leader crashes.

    A system without a leader loses its first replica; a system that serves no clients gets no load.
    """
    chosen = Raft(nodes=3) if system is None else system
    led = any(name in chosen.made_of() for name in ("leader", "leaders"))
    replicas = [member.name for member in chosen.members() if member.role == "replica" and not member.off]
    return Scenario(
        system=chosen,
        network=wan("virginia", "oregon", "ireland"),
        workload=_load(chosen),
        faults=[Crash("leader" if led else replicas[0], at=5.0, down=3.0)],
        duration=15.0,
        warmup=1.0,
        name="a crash in three regions",
    )


def _load(system: System) -> Workload:
    """An open load of the operations that a system serves; of gets and puts, where it serves both."""
    if not system.operations:
        return NoLoad()
    load = OpenLoop(clients=3, rate=50.0)
    if application_of(system) is not None or {"get", "put"} <= system.operations:
        return load
    return replace(load, mix=Mix(tuple((kind, 1.0) for kind in sorted(system.operations))))


def first_file(scenario: Scenario) -> str:
    """A scenario as TOML, with every field, its meaning, its unit and its default in comments."""
    return commented_toml(scenario, [_HEAD])
