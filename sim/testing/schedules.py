"""Schedules for tests: Hypothesis strategies that draw faults and operations, and the judge of a schedule.

Hypothesis is imported when a strategy is made: the rest of `sim.testing` works without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.arguments import checked
from sim.cluster import Disk, Machine
from sim.faults import Crash, Cut, Fault, Partition, Pause, Slow
from sim.lab.application_model import application_of
from sim.lab.fuzz.playing import play
from sim.lab.fuzz.replaying import story_of
from sim.lab.scenario import Scenario
from sim.network import Quiet, constant
from sim.protocols.client import Retry
from sim.protocols.kv import KeyValueStore
from sim.settings import Count, Seconds, Whole
from sim.system import System
from sim.workload import ClosedLoop, Mix, Script, ScriptedCall, UniformKeys

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from sim.lab.run import Run

__all__ = ["fault_schedules", "operations", "schedule", "withstand"]

_DURATION = 4.0
_LATENCY, _SYNC = 0.002, 0.001  # seconds: of the network and the disks of a schedule


@checked
def fault_schedules(
    system: System, *, most: Count = 4, duration: Seconds = _DURATION
) -> SearchStrategy[tuple[Fault, ...]]:
    """A Hypothesis strategy: up to ``most`` faults within the fault model of a system, before ``duration`` seconds.

    They are crashes (none if `System.max_down` is 0), pauses, partitions, cuts in one or both directions and slow
    cores, with times in hundredths of a second, so that Hypothesis shrinks them to few and early ones.
    """
    from hypothesis import strategies as st

    names = [member.name for member in system.members() if not member.off]
    times = st.integers(0, max(0, int(100 * duration) - 1)).map(lambda hundredths: hundredths / 100)
    lengths = st.integers(1, 200).map(lambda hundredths: hundredths / 100)
    one = st.sampled_from(names)
    kinds: list[SearchStrategy[Fault]] = [
        st.builds(Pause, one, times, lengths),
        st.builds(Slow, one, times, lengths, st.sampled_from([0.1, 0.01])),
    ]
    if system.max_down != 0:
        kinds.insert(0, st.builds(Crash, one, times, lengths))
    if len(names) > 1:
        groups = one.map(lambda name: ((name,),))
        kinds.append(st.builds(Partition, groups, times, lengths, st.booleans()))
        two = st.permutations(names).map(lambda order: order[:2])
        kinds.append(st.builds(lambda ends, *rest: Cut(*ends, *rest), two, times, lengths, st.booleans()))
    return st.lists(st.one_of(kinds), max_size=most).map(tuple)


@checked
def operations(
    system: System, *, most: Count = 8, clients: Count = 3, keys: Count = 2, duration: Seconds = _DURATION
) -> SearchStrategy[Script]:
    """A Hypothesis strategy: a workload of up to ``most`` operations that a system serves and that can be judged.

    Written values are all different.
    """
    from hypothesis import strategies as st

    mix = _mix(system, keys)
    times = st.integers(0, max(0, int(100 * duration) - 1)).map(lambda hundredths: hundredths / 100)
    one = st.tuples(
        st.integers(0, clients - 1),
        times,
        st.sampled_from(sorted(mix.kinds)),
        st.integers(0, keys - 1),
    )

    def made(drawn: Sequence[tuple[int, float, str, int]]) -> Script:
        calls = [
            ScriptedCall(f"c{client}", at, kind, f"k{key}", _argument(kind, number))
            for number, (client, at, kind, key) in enumerate(drawn)
        ]
        return Script(of=ClosedLoop(clients=clients, mix=mix), calls=tuple(calls))

    return st.lists(one, max_size=most).map(made)


def _mix(system: System, keys: int) -> Mix:
    application = application_of(system)
    unjudged = (KeyValueStore if application is None else application).not_judged
    kinds = sorted(system.operations - unjudged)
    return Mix(tuple((kind, 1.0) for kind in kinds), UniformKeys(keys))


def _argument(kind: str, number: int) -> Any:
    """The argument of an operation; ``number`` makes it another one than those of the other operations."""
    if kind in ("get", "read", "delete", "dequeue", "scan"):
        return None
    if kind == "increment":
        return 1
    if kind == "cas":
        return (None, number)
    return f"{number}," if kind == "append" else number


@checked
def schedule(
    system: System,
    *,
    faults: Sequence[Fault] = (),
    workload: Script | None = None,
    duration: Seconds = _DURATION,
) -> Scenario:
    """The scenario of a schedule: a quiet network of 2 ms, disks whose syncs take 1 ms, invariants asked.

    ``workload``: None: two clients that issue random operations.
    """
    load = workload or ClosedLoop(clients=2, think=0.05, mix=_mix(system, 2))
    return Scenario(
        system=system,
        network=Quiet(constant(_LATENCY)),
        workload=load,
        faults=tuple(faults),
        machines=Machine(disk=Disk(fsync=_SYNC)),
        retry=Retry(timeout=0.3, backoff=0.02, backoff_max=0.3),
        duration=duration,
        check=True,
    )


@checked
def withstand(scenario: Scenario, seed: Whole = 0) -> Run:
    """Play a schedule, end all faults, demand progress, and judge the run; returns it.

    Raises AssertionError with what broke and its story: see `sim.lab.fuzz.judge` for what is judged. No more members
    crash at once than the system allows (`System.max_down`).
    """
    played = play(scenario, seed)
    if played.broken is not None:
        raise AssertionError(f"{played.broken}\n\n{story_of(scenario, seed)[0]}")
    return played.run
