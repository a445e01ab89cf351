"""The chance that a joint failure stops, or loses, some group of a fleet, by placement (Cidon et al., ATC 2013)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from sim.faults import Crash
from sim.lab import Scenario
from sim.network import constant
from sim.placement import Copysets, Placement, RandomServers, failing
from sim.protocols import ChainReplication, Raft, ShardedChain, ShardedRaft
from sim.protocols.client import Retry
from sim.protocols.sharding import ShardedSystem
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, Script, ScriptedCall

__all__ = ["RESULT"]

SERVERS, GROUPS, R = 12, 12, 3
CRASH, ASK, END = 0.5, 2.5, 5.0  # seconds; detection takes 0.5 s to 1 s


def chains(**placed: Any) -> ShardedSystem:
    return ShardedChain(group=ChainReplication(nodes=R), groups=GROUPS, servers=SERVERS, **placed)


def raft_groups(**placed: Any) -> ShardedSystem:
    return ShardedRaft(group=Raft(nodes=R), groups=GROUPS, servers=SERVERS, **placed)


def measured(
    seed: int,
    *,
    fleet: Callable[..., ShardedSystem],
    placement: Placement,
    failed: int,
    needed: int,
    runs: int,
) -> Figures:
    """The share of joint failures after which some group answers no write; and in which all of a group have failed.

    Each failure meets another draw of the placement. For the second figure there are a hundred times as many.
    """
    rng = np.random.default_rng([seed, 0x9A])
    stopped = lost = 0
    for number, dead in enumerate(failing(SERVERS, failed, 100 * runs, rng).tolist()):
        system = fleet(placement=placement, placement_seed=100 * runs * seed + number)
        down = {system.machines[i] for i in dead}
        lost += any(down.issuperset(machines) for machines in system.placed)
        if number < runs:
            used = {
                machine for machines in system.placed for machine in machines
            }  # the others have nobody to crash
            stopped += _is_stopped(seed, system, sorted(down & used))
    return {"stopped": stopped / runs, "lost": lost / (100 * runs)}


def _is_stopped(seed: int, system: ShardedSystem, down: list[str]) -> bool:
    """Whether some group does not answer a write, some time after these machines have crashed."""
    keys: dict[int, str] = {}
    for number in range(100 * GROUPS):
        keys.setdefault(system.group_for(f"k{number}"), f"k{number}")
    calls = tuple(
        ScriptedCall(client=f"c{group}", at=ASK, kind="put", key=keys[group], value=group)
        for group in range(GROUPS)
    )
    run = Scenario(
        system=system,
        network=constant(0.001),
        workload=Script(of=ClosedLoop(clients=GROUPS), calls=calls),
        faults=[Crash(machine, at=CRASH) for machine in down],
        retry=Retry(timeout=0.1),
        duration=END,
    ).run(seed)
    return int((run.operations["status"] == "ok").sum()) < GROUPS


def exactly(
    *, fleet: Callable[..., ShardedSystem], placement: Placement, failed: int, needed: int, runs: int
) -> Figures:
    """By counting: which failures leave a group less than ``needed`` of its three machines, or none."""
    return {
        name: _some(placement, failed, least) for name, least in (("stopped", R - needed + 1), ("lost", R))
    }


def _some(placement: Placement, failed: int, least: int) -> float:
    """The probability that at least one group has so many failed machines."""
    if isinstance(placement, Copysets):
        return _some_copyset(placement.permutations, failed, least)
    chance = sum(comb(R, k) * comb(SERVERS - R, failed - k) for k in range(least, R + 1))
    return 1 - (1 - chance / comb(SERVERS, failed)) ** GROUPS


def _some_copyset(permutations: int, failed: int, least: int) -> float:
    """Of each permutation, some sets have so many failed machines; each group is on a set drawn from all."""
    sets = SERVERS // R
    of_one = np.zeros(sets + 1)
    for dead in combinations(range(SERVERS), failed):
        hit = Counter(server // R for server in dead)
        of_one[sum(count >= least for count in hit.values())] += 1 / comb(SERVERS, failed)
    chances = np.ones(1)
    for _ in range(permutations):
        chances = np.convolve(chances, of_one)
    spared = (1 - np.arange(len(chances)) / (permutations * sets)) ** GROUPS
    return float(1 - (chances * spared).sum())


def _case(
    name: str,
    fleet: Callable[..., ShardedSystem],
    placement: Placement,
    failed: int,
    needed: int,
    tolerance: float,
    lost: float = 0.1,
) -> Case:
    return Case(
        name=name,
        settings={"fleet": fleet, "placement": placement, "failed": failed, "needed": needed},
        published={"stopped": None, "lost": None},
        samples=8,
        tolerance={"stopped": tolerance, "lost": lost},
    )


ANYWHERE, FEW, MORE = RandomServers(R), Copysets(R, 2), Copysets(R, 4)

RESULT = Published(
    name="placed_groups",
    title="Groups and chains that a joint failure stops, by placement",
    source=(
        "Cidon et al., Copysets: Reducing the Frequency of Data Loss in Cloud Storage, USENIX ATC 2013, "
        "by which groups are placed"
    ),
    certainty="Derived; the paper has no figures for so few servers.",
    setup=(
        "Twelve machines with twelve groups of three servers: placed at random, on the copysets of one permutation (a "
        "scatter width of 2), or on those of two. Some machines crash together, and stay down. Two seconds later a "
        "client asks each group to write, and has 2.5 s for it. *Stopped*: some group does not answer. A chain answers "
        "as long as one of its servers is up, a Raft group as long as a majority is. *Lost*: all machines of some "
        "group have crashed. Each failure meets another draw of the placement."
    ),
    unit="share of joint failures",
    measure=measured,
    expect=exactly,
    expected_by="counting failures and placements, exactly.",
    settings={"runs": 50},
    cases=(
        _case("chains, random, 6 of 12 fail", chains, ANYWHERE, 6, 1, 0.15),
        _case("chains, copysets, 6 of 12 fail", chains, FEW, 6, 1, 0.3),
        _case("chains, copysets of two permutations, 6 of 12 fail", chains, MORE, 6, 1, 0.25),
        _case("Raft, random, 3 of 12 fail", raft_groups, ANYWHERE, 3, 2, 0.12),
        _case("Raft, copysets, 3 of 12 fail", raft_groups, FEW, 3, 2, 0.2, 0.15),
    ),
    perturbations=(
        Perturbation(
            what="a group needs a majority, as those of Raft do",
            off={"fleet": raft_groups},
            cases=(
                "chains, random, 6 of 12 fail",
                "chains, copysets, 6 of 12 fail",
                "chains, copysets of two permutations, 6 of 12 fail",
            ),
            figures=("stopped",),
        ),
        Perturbation(
            what="groups are placed on the copysets of one permutation",
            off={"placement": FEW},
            cases=(
                "chains, random, 6 of 12 fail",
                "Raft, random, 3 of 12 fail",
            ),
        ),
        Perturbation(
            what="groups are placed at random",
            off={"placement": ANYWHERE},
            cases=(
                "chains, copysets, 6 of 12 fail",
                "chains, copysets of two permutations, 6 of 12 fail",
                "Raft, copysets, 3 of 12 fail",
            ),
        ),
    ),
    tolerance=0.1,
)
