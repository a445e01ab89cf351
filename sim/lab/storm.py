"""A storm: faults drawn from a seed, with safety checked while they strike, and progress demanded after them.

The method is that of TigerBeetle's simulator: each seed draws its own mix of fault rates (a *swarm*), so that
some seeds lose many messages and crash nothing, and others the reverse. During the storm, invariants are checked
after every event. Then all faults end and all members restart. Within a stated bound, each client must get answers to
its open operations and to new operations, and each replica must catch up (`sim.lab.progress`). If the system promises
convergence, all replicas must agree within the time that the system states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim.arguments import checked
from sim.cluster import Clock, Disk, Machine
from sim.distributions import Constant, Exponential, Mixture
from sim.faults import Fault
from sim.kernel import Stream, Streams
from sim.lab.application_model import application_of
from sim.lab.led import has_leader
from sim.lab.nemesis import drawn_faults, setting_of, with_options
from sim.lab.progress import demand_progress, progress_bound
from sim.lab.returned import refuse_returned
from sim.lab.run import Run, finish_broken
from sim.lab.scenario import Scenario
from sim.lab.simulation import Simulation
from sim.network.topology import Topology, lan
from sim.protocols.client import Retry
from sim.protocols.kv import KeyValueStore
from sim.system import LivenessViolation, System, Timing, Violation
from sim.workload import ClosedLoop, Mix, UniformKeys

if TYPE_CHECKING:
    from sim.analysis.checks import Verdict

__all__ = ["draw_storm", "play_out", "progress_bound", "run_storm"]

_LENGTHS = (1.5, 3.0, 6.0)
"""Simulated seconds of faults: many things go wrong soon, and a short storm costs little."""
_HEARTBEATS = (0.02, 0.03, 0.05)
"""Seconds between heartbeats of systems with a leader: the sooner a leader is missed, the more leaders has a storm."""
_STALL = 0.6  # seconds of a stalled sync: longer than the failure detection of most systems here
_DRIFT = 0.2  # largest error of the rates of clocks, for systems without a bound
_LOADS = ((4, 0.02), (4, 0.05), (2, 0.005), (8, 0.05), (10, 0.1), (3, 0.3))
"""Clients, and the mean of their think times (seconds) in the shortest storm; in longer ones they think longer, so
that a storm has about as many operations. Many operations at once let leaders have long tails, and few operations leave
a system in the state that an election has made."""
_RUSH, _RUSH_LOAD = 0.25, (10, 0.015)
"""How many storms have a rush: many clients that hardly think all want one key, and mostly read it."""
_READS = (0.3, 1.0, 1.0, 4.0)
"""Factors on the weights of reads: clients that mostly read stay with a leader that is cut off from the others."""
_KEYS = (1, 3, 3, 6)
_WEIGHTS = {
    "get": 4.0,
    "put": 3.0,
    "cas": 1.0,
    "append": 1.0,
    "increment": 1.0,
    "delete": 0.3,
    "add": 3.0,
    "remove": 1.0,
}


@checked
def draw_storm(
    system: System,
    seed: int,
    *,
    length: float | None = None,
    clients: int | None = None,
    keys: int | None = None,
    extra_faults: Iterable[Fault] = (),
    options: bool = True,
) -> Scenario:
    """Draw a storm for a system from a seed: a scenario.

    The network loses, doubles and reorders messages, and some are 0.2 s late; syncs take milliseconds, and on some
    disks one in a hundred stalls for 0.6 s; clocks are wrong. The seed chooses among all kinds of faults
    (`sim.lab.nemesis`), among the requests of an administrator that the system serves, and, with ``options``, among its
    safe options (`System.safe_options`) and heartbeats, for the fields that were not given. All stay within the fault
    model of the system (`System.max_down`, `System.disks_may_be_lost`, `System.disks_may_be_damaged`,
    `System.max_clock_drift`, `System.wall_clock_may_jump`). `undrawn` lists what no storm of a system has.

    Parameters
    ----------
    length:
        Seconds of faults; None: the seed draws them.
    clients, keys:
        The number of clients, and of keys; None: the seed draws them, and how long clients think between operations.
    extra_faults:
        Faults besides those that are drawn.
    """
    streams = Streams(seed)
    if options:
        extra_faults = tuple(extra_faults)
        keep = ("nodes",) if extra_faults else ()  # they may name members
        system = _in_a_hurry(with_options(system, streams, keep=keep), streams["nemesis/heartbeat"])
    length = streams["nemesis/length"].choice(_LENGTHS) if length is None else length
    drawn_clients, think = streams["nemesis/load"].choice(_LOADS)
    rush = streams["nemesis/rush"].chance(_RUSH)
    if rush:
        drawn_clients, think = _RUSH_LOAD
    think *= max(1.0, length / _LENGTHS[0])
    reads = max(_READS) if rush else streams["nemesis/reads"].choice(_READS)
    clients = drawn_clients if clients is None else clients
    drawn_keys = streams["nemesis/keys"].choice(_KEYS)
    if keys is None:
        keys = 1 if rush else drawn_keys
    return Scenario(
        system=system,
        network=_network(streams["nemesis/network"]),
        workload=ClosedLoop(clients=clients, think=Exponential(think), mix=_mix(system, keys, reads)),
        faults=(*drawn_faults(setting_of(system, length, clients), streams), *extra_faults),
        duration=length,
        machines=_machines(system, streams["nemesis/machines"], _disk(streams["nemesis/disks"])),
        retry=Retry(
            timeout=0.3,
            backoff=0.02,
            backoff_max=0.3,
            deadline=streams["nemesis/deadline"].choice((None, 1.5)),
        ),
        check=True,
        name=f"storm {seed}",
    )


def _in_a_hurry(system: System, stream: Stream) -> System:
    """A system with a leader that is missed sooner or later, unless its times were given."""
    heartbeat = stream.choice(_HEARTBEATS)
    if not has_leader(system) or {"heartbeat", "detection"} & system.given:
        return system
    try:
        hurried = system.changed(heartbeat=heartbeat)
        hurried.with_timing(Timing.of(heartbeat))  # as a scenario will: the detection timeout follows from it
    except ValueError:
        return system  # a time that was given does not go with it
    return hurried


def _network(stream: Stream) -> Topology:
    late, mean = stream.choice(((0.03, 0.01), (0.03, 0.2), (0.3, 0.03)))
    latency = Mixture(((1.0 - late, Exponential(0.004)), (late, Exponential(mean))))
    return lan(latency, loss=stream.choice((0.0, 0.02, 0.2)), duplicate=stream.choice((0.0, 0.05, 0.2)))


def _disk(stream: Stream) -> Disk:
    """A disk whose syncs take milliseconds; in a quarter of the seeds, one sync in a hundred stalls for 0.6 s."""
    usual = Exponential(stream.choice((0.0005, 0.005)))
    return Disk(fsync=Mixture(((0.99, usual), (0.01, Constant(_STALL)))) if stream.below(4) == 0 else usual)


def _mix(system: System, keys: int, reads: float) -> Mix:
    application = application_of(system) or KeyValueStore
    kinds = system.operations - application.not_judged
    factors = dict.fromkeys(application.reads, reads)
    usual = tuple(
        (kind, weight * factors.get(kind, 1.0)) for kind, weight in _WEIGHTS.items() if kind in kinds
    )
    return Mix((*usual, *((kind, 1.0) for kind in sorted(kinds - _WEIGHTS.keys()))), UniformKeys(keys))


def _machines(system: System, stream: Stream, disk: Disk) -> dict[str, Machine]:
    """Machines on which messages cost core time in half of the seeds, and with wrong clocks in half of the seeds."""
    machine = Machine(per_message=stream.choice((0.0, 0.0001)), disk=disk)
    wrong, most = stream.chance(0.5), _DRIFT if system.max_clock_drift is None else system.max_clock_drift
    machines = {}
    for member in system.members():
        drift, offset = stream.uniform(-1.0, 1.0), stream.uniform(-100.0, 100.0)
        # A system that relies on exact rates of clocks may rely on their offsets, too.
        clock = (
            Clock(offset if most or system.wall_clock_may_jump else 0.0, drift * most) if wrong else Clock()
        )
        machines[member.name] = dataclasses.replace(machine, clock=clock)
    return machines


@checked
def run_storm(scenario: Scenario, seed: int, *, bound: float | None = None, settle: float = 0.0) -> Run:
    """Run one storm. ``run.violation`` is the broken safety invariant, or the missing progress; None if all is well.

    Parameters
    ----------
    scenario:
        The storm; `draw_storm` draws one.
    bound:
        Seconds after the storm within which all clients must get their answers; then the same time again within which
        all replicas must catch up. None: `progress_bound`.
    settle:
        Seconds without faults after that, before the invariants of the whole state are checked: for systems that
        converge after some time.
    """
    return play_out(Simulation(scenario, seed), bound=bound, settle=settle)


def play_out(
    simulation: Simulation, *, bound: float | None = None, settle: float = 0.0, calm: bool = True
) -> Run:
    """Run a simulation to the end of its storm, end all faults, and demand progress; see `run_storm`.

    ``calm=False``: end with the storm, and demand nothing.
    """
    limit = progress_bound(simulation.resolved) if bound is None else bound
    violation: Violation | None = None
    convergence: Verdict | None = None
    try:
        simulation.run()
        if calm:
            simulation.calm()
            demand_progress(simulation, limit)
            if settle:
                simulation.run(until=simulation.now + settle)
            convergence = _demand_convergence(simulation)
        simulation.finish()
    except Violation as broken:
        violation = finish_broken(simulation, broken)
    run = Run.of(simulation, violation, 0.0, convergence)
    run.storm = True
    return run


def _demand_convergence(simulation: Simulation) -> Verdict | None:
    """If the system promises convergence, wait for the promised time and raise LivenessViolation unless all agree."""
    found = simulation.settle()
    if found is not None and found.valid is False:
        raise LivenessViolation(
            "convergence after healing",
            simulation.now,
            tuple(simulation.replicas),
            (f"nobody wrote, and nothing failed, for {simulation.settling_time:g} s", found.reason),
        )
    if found is not None and simulation.system.replaces:
        values = simulation.system.replica_values(simulation.members) or {}
        refuse_returned(simulation.recorder.operations, values, simulation.now)
    return found
