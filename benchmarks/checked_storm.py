"""Plays hand-made storms for `bench_checking`, with whatever version of `sim` is on the path.

It uses only names that commit 01f9e07 has, too, so that one script drives both trees. It reads a line of JSON for each
storm, and answers with a line: CPU seconds of the run, the messages that reached a node, and events. With an
argument, a folder, it leaves a profile (cProfile) of each storm there.

    echo '["Raft", 1, 8.0, true]' | PYTHONPATH=. python benchmarks/checked_storm.py
"""

from __future__ import annotations

import cProfile
import json
import sys
import time
from pathlib import Path
from typing import Any

from sim import protocols
from sim.cluster import Disk, Machine
from sim.distributions import Exponential, Mixture
from sim.faults import Crash, Fault, Flaky, Partition, Pause
from sim.lab import Scenario
from sim.network.topology import lan
from sim.protocols.client import Retry
from sim.system import System
from sim.workload import ClosedLoop, Mix, UniformKeys

WEIGHTS = {"get": 4.0, "put": 3.0, "cas": 1.0, "append": 1.0, "increment": 1.0, "delete": 0.3}


def faults_of(system: System, length: float) -> list[Fault]:
    """The same for every seed: two crashes, a partition, a pause and a disturbed member, one after the other."""
    names = [member.name for member in system.members()]
    if len(names) < 3:
        return [Pause(names[0], at=0.3 * length, duration=0.3)]
    return [
        Crash(names[0], at=0.1 * length, down=0.5),
        Partition((tuple(names[:2]), tuple(names[2:])), at=0.3 * length, duration=0.1 * length),
        Pause(names[2], at=0.5 * length, duration=0.3),
        Flaky(names[1], at=0.6 * length, duration=0.1 * length, loss=0.3),
        Crash(names[1], at=0.8 * length, down=0.5),
    ]


def storm(name: str, length: float, *, check: bool) -> Scenario:
    """Losses, copies, late messages, syncs of half a millisecond, and the faults above; four clients, three keys."""
    system = getattr(protocols, name)()
    latency = Mixture(((0.97, Exponential(0.004)), (0.03, Exponential(0.05))))
    kinds = tuple((kind, weight) for kind, weight in WEIGHTS.items() if kind in system.operations)
    return Scenario(
        system=system,
        network=lan(latency, loss=0.02, duplicate=0.05),
        workload=ClosedLoop(clients=4, think=Exponential(0.02), mix=Mix(kinds, UniformKeys(3))),
        faults=faults_of(system, length),
        duration=length,
        machines=Machine(per_message=0.0001, disk=Disk(fsync=Exponential(0.0005))),
        retry=Retry(timeout=0.3, backoff=0.02, backoff_max=0.3),
        check=check,
    )


def measured(name: str, seed: int, length: float, check: bool, folder: Path | None = None) -> list[Any]:
    """CPU seconds, messages that reached a node, events; and what broke, if anything did."""
    scenario = storm(name, length, check=check)
    profile = cProfile.Profile() if folder else None
    begun = time.process_time()
    run = profile.runcall(scenario.run, seed) if profile else scenario.run(seed)
    seconds = time.process_time() - begun
    if profile:
        profile.dump_stats(folder / f"{name}-{seed}.prof")
    broken = None if run.violation is None else str(run.violation)
    return [seconds, int(run.nodes["messages_in"].sum()), run.events_processed, broken]


def main(folder: str = "") -> None:
    """Answer each line of standard input."""
    for line in sys.stdin:
        try:
            answer: Any = measured(*json.loads(line), Path(folder) if folder else None)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
