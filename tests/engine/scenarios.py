"""Scenarios that the two builds of the engine run: all systems, and networks, machines and loads of all kinds.

Each is a storm (`sim.lab.draw_storm`: crashes, restarts, pauses, partitions, clocks) on another network, other machines
and another load, which its number draws. It runs *checked*, *traced*, *sampled* (a share of
the messages is traced), or *bare*: without checks and without a trace, which is the quick path through links and hosts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.distributions import Constant, Distribution, Exponential, Gamma, LogNormal, Mixture, Pareto, Uniform
from sim.kernel import Stream, Streams
from sim.lab import draw_storm
from sim.lab.run import Run
from sim.network import GilbertElliott, Topology, lan
from sim.system import System
from sim.workload import ClosedLoop, OpenLoop, Workload
from tests.scripts import script

__all__ = ["MODES", "Told", "drawn", "systems", "tell_scenarios", "tell_storms", "told"]

ROOT = Path(__file__).resolve().parents[2]
Told = dict[str, Any]

MODES: dict[str, dict[str, Any]] = {
    "checked": {"check": True, "trace": False},
    "traced": {"check": False, "trace": True},
    "sampled": {"check": False, "trace": 0.3},
    "bare": {"check": False, "trace": False},
}
LATENCIES: tuple[Distribution, ...] = (
    Constant(0.002),
    Uniform(0.001, 0.004),
    Exponential(0.003),
    LogNormal(median=0.002, sigma=0.7),
    Gamma(shape=2.0, scale=0.0015),
    Pareto(0.001, 2.5),
    Mixture(((0.95, Constant(0.001)), (0.05, Exponential(0.05)))),
)
LINES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"loss": 0.05},
    {"loss": 0.02, "duplicate": 0.1},
    {"transport": "fifo", "loss": 0.01},
    {"transport": "stream", "loss": 0.02},
    {"transport": "stream", "bandwidth": 1e6, "loss": 0.01},
    {"bandwidth": 2e5},
    {"burst": GilbertElliott(enter=0.05, leave=0.3)},
)
MACHINES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"per_message": 1e-4, "cores": 2},
    {"per_message": 2e-4, "per_byte": 1e-7, "per_send": 5e-5, "per_send_byte": 1e-8},
    {"per_message": 1e-4, "discipline": "priority"},
    {"per_message": 1e-4, "cores": 2, "discipline": "processor-sharing"},
    {"nic": 1e6},
    {"nic": 1e6, "per_message": 5e-5, "cores": 4},
)
DISKS = (Disk(), Disk(), Disk(fsync=0.001), Disk(fsync=Exponential(0.002)))


def systems() -> list[tuple[str, System]]:
    """All systems of the library, and some with options, by name."""
    return list(script(ROOT / "validation" / "digests.py").systems().items())


def drawn(number: int, length: float) -> tuple[str, Scenario]:
    """The name and the scenario that a number draws; ``length``: simulated seconds."""
    named = systems()
    name, system = named[number % len(named)]
    storm = draw_storm(system, number, length=length)
    stream = Streams(number)["tests/engine"]
    changes: dict[str, Any] = {
        "machines": _machines(storm, stream),
        "workload": _workload(storm, stream),
        "network": _network(stream),
    }
    for left in (changes, {"machines": changes["machines"]}, {}):
        try:
            return name, dataclasses.replace(storm, **left)
        except ValueError:  # times of the system (a lease, a grace) that do not go with the network
            continue
    raise AssertionError("the storm itself is a scenario")


def _network(stream: Stream) -> Topology:
    return lan(stream.choice(LATENCIES), **stream.choice(LINES))


def _machines(storm: Scenario, stream: Stream) -> dict[str, Machine]:
    """The machines of a storm, which keep their clocks, with other cores, cards and disks."""
    changes = {**stream.choice(MACHINES), "disk": stream.choice(DISKS)}
    assert isinstance(storm.machines, dict)
    clocks = {name: machine.clock for name, machine in storm.machines.items()}
    return {name: Machine(clock=clock, **changes) for name, clock in clocks.items()}


def _workload(storm: Scenario, stream: Stream) -> Workload:
    """The operations of a storm, from a closed or from an open loop."""
    load = storm.workload
    assert isinstance(load, ClosedLoop)
    return OpenLoop(rate=150.0, clients=load.clients, mix=load.mix) if stream.chance(0.4) else load


def tell_scenarios(first: int, end: int, length: float, modes: str = " ".join(MODES)) -> Iterator[Told]:
    """What the scenarios from one number to another give, in each of the modes."""
    for number in range(first, end):
        name, scenario = drawn(number, length)
        for mode in modes.split():
            changed = dataclasses.replace(scenario, **MODES[mode])
            yield {"name": f"{number} {name}, {mode}", **told(changed, number)}


def tell_storms(first: int, end: int, length: float) -> Iterator[Told]:
    """What storms give that are checked and traced; each fourth one has a full trace."""
    named = systems()
    for number in range(first, end):
        name, system = named[number % len(named)]
        trace = "full" if number % 4 == 0 else True
        storm = dataclasses.replace(draw_storm(system, number, length=length), trace=trace)
        yield {"name": f"storm {number} of {name}", **told(storm, number)}


def told(scenario: Scenario, seed: int) -> Told:
    """What a run of a scenario gives: all that must not depend on the engine."""
    try:
        run = scenario.run(seed)
    except Exception as error:
        return {"raised": [type(error).__name__, str(error), *getattr(error, "__notes__", ())]}
    return {"digest": run.digest(), "events": run.events_processed, "ended": run.ended, **_seen(run)}


def _seen(run: Run) -> Told:
    """The digest of each frame, the sums of its counters, and the verdicts."""
    frames = run.frames
    counted = ("messages", "bytes", "lost", "duplicated", "messages_in", "messages_out", "busy", "queue_max")
    return {
        "frames": {
            name: _digest(f"{frame.to_dict('list')} {frame.dtypes}") for name, frame in frames.items()
        },
        "rows": {name: len(frame) for name, frame in frames.items()},
        "counters": {
            f"{name}.{column}": repr(sum(frames[name][column]))
            for name in ("links", "nodes")
            for column in counted
            if column in frames[name]
        },
        "violation": repr(run.violation),
        "convergence": str(run.convergence),
        "lost": run.acknowledged_lost,
        "verdict": str(run.check(steps=2000)),
    }


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
