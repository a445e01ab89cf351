"""Weighted votes and weak representatives: latency and blocking by configuration (Gifford, SOSP 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from sim.cluster import Machine
from sim.faults import Crash
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import Abd
from sim.protocols.client import Retry
from sim.protocols.quorums import Weighted
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

MEMBERS = ("n0", "n1", "n2")
WAY = 0.0001  # seconds between two hosts
VALUE = (
    10_000_000  # bytes: what a value takes of a representative is then all but a millionth of what it works
)
UNWRITTEN = (0, -1)  # the timestamp of a key that nobody has written

Votes = tuple[int, int, int]


def measured(
    seed: int,
    *,
    votes: Votes,
    r: int,
    w: int,
    times: Sequence[float],
    at: str,
    up: float,
    values: str,
    scale: float,
) -> Figures:
    """The latency (ms) of reads and writes; and the probability that each is blocked, over all sets that are up."""
    system = Abd(nodes=3, reads=Weighted(votes, r), writes=Weighted(votes, w), one_phase=True, values=values)  # type: ignore[arg-type]
    return {**_latencies(seed, system, times, at, scale), **_blocked(seed, system, at, up)}


def _latencies(seed: int, system: Abd, times: Sequence[float], at: str, scale: float) -> dict[str, float]:
    """A representative takes its time for each value that it stores or sends: so many seconds a byte."""
    per_byte = [scale * time / 1000 / VALUE for time in times]
    run = Scenario(
        system=system,
        network=constant(WAY),
        workload=ClosedLoop(
            clients={at: 1}, think=2.0, operations=20, reads=0.5, keys=UniformKeys(1), value_bytes=VALUE
        ),
        machines={
            name: Machine(per_byte=cost, per_send_byte=cost)
            for name, cost in zip(MEMBERS, per_byte, strict=True)
        },
        duration=100.0,
    ).run(seed)
    done = run.operations
    assert len(done) == 20
    reads = done[(done["kind"] == "get") & done["result"].map(lambda timestamp: timestamp != UNWRITTEN)]
    return {
        "read": 1000 * float(reads["latency"].mean()),
        "write": 1000 * float(done[done["kind"] == "put"]["latency"].mean()),
    }


def _blocked(seed: int, system: Abd, at: str, up: float) -> dict[str, float]:
    """The chance of each set of representatives that are down, where an operation is not answered in ten seconds."""
    found = {"read blocked": 0.0, "write blocked": 0.0}
    for are_up in product((True, False), repeat=len(MEMBERS)):
        chance = prod(up if is_up else 1 - up for is_up in are_up)
        for name, share in (("read blocked", 1.0), ("write blocked", 0.0)):
            run = Scenario(
                system=system,
                network=constant(WAY),
                workload=ClosedLoop(clients={at: 1}, operations=1, reads=share, keys=UniformKeys(1)),
                faults=[
                    Crash(member, at=0.0) for member, is_up in zip(MEMBERS, are_up, strict=True) if not is_up
                ],
                retry=Retry(timeout=1.0, deadline=10.0),
                duration=11.0,
            ).run(seed)
            if run.operations["status"].iloc[0] != "ok":
                found[name] += chance
    return found


def exactly(
    *, votes: Votes, r: int, w: int, times: Sequence[float], at: str, up: float, values: str, scale: float
) -> Figures:
    """The least quorum is waited for: the time of the slowest of it, and the way there and back."""
    system = Abd(nodes=3, reads=Weighted(votes, r), writes=Weighted(votes, w))
    near = MEMBERS.index(at)
    write = min(
        max(times[MEMBERS.index(name)] + _way(name, at) for name in quorum)
        for quorum in Weighted(votes, w).minimal(system.names)
    )
    asked = min(max(_way(name, at) for name in quorum) for quorum in Weighted(votes, r).minimal(system.names))
    down = 1 - up
    return {
        "read": max(times[near], asked),
        "write": write,
        "read blocked": _none(votes, r, down),
        "write blocked": _none(votes, w, down),
    }


def _way(name: str, at: str) -> float:
    """There and back (ms)."""
    return 0.0 if name == at else 2000 * WAY


def _none(votes: Votes, needed: int, down: float) -> float:
    """The probability that the votes of those that are up are too few."""
    total = 0.0
    for lost in product((0, 1), repeat=3):
        if sum(vote for vote, is_lost in zip(votes, lost, strict=True) if not is_lost) < needed:
            total += down ** sum(lost) * (1 - down) ** (3 - sum(lost))
    return total


FIGURES = {"read": None, "write": None, "read blocked": None, "write blocked": None}


def _case(name: str, votes: Votes, r: int, w: int, times: Sequence[float], at: str) -> Case:
    return Case(
        name=name,
        settings={"votes": votes, "r": r, "w": w, "times": times, "at": at},
        published=FIGURES,
        fast=True,
    )


WEAK = _case("votes 1, 0, 0; r = 1, w = 1", (1, 0, 0), 1, 1, (75.0, 65.0, 65.0), "n1")

RESULT = Published(
    name="gifford_voting",
    title="Weighted votes and weak representatives",
    source="Gifford, Weighted Voting for Replicated Data, SOSP 1979",
    certainty=(
        "Derived. The paper could not be read: the configurations (votes, quorums, times of representatives) are of "
        "the kind of its examples, and no figure is given as published."
    ),
    setup=(
        "Three representatives: ABD's servers, in one phase; a read collects timestamps, and takes the value of the "
        "nearest one that is current. A representative works 75, 65 and 65 ms on a value that it sends or stores; in "
        "the second configuration 75, 100 and 750 ms, in the third 75, 750 and 750 ms. The client is at the second "
        "representative of the first configuration, which has no vote, and else at the first; a message takes 0.1 ms. "
        "Blocking: each representative is up with probability 0.99. An operation is simulated for each of the eight "
        "sets that may be up, and is blocked if it has no answer after ten seconds."
    ),
    unit="ms; probability",
    measure=measured,
    expect=exactly,
    expected_by=(
        "the slowest representative of the quickest quorum, and counting votes, exactly (but for the bytes around "
        "values: a millionth)."
    ),
    settings={"up": 0.99, "values": "nearest", "scale": 1.0},
    cases=(
        WEAK,
        _case("votes 2, 1, 1; r = 2, w = 3", (2, 1, 1), 2, 3, (75.0, 100.0, 750.0), "n0"),
        _case("votes 1, 1, 1; r = 1, w = 3", (1, 1, 1), 1, 3, (75.0, 750.0, 750.0), "n0"),
    ),
    perturbations=(
        Perturbation(
            what="representatives take 1 % longer", scale={"scale": 1.01}, figures=("read", "write")
        ),
        Perturbation(
            what="each is down with 1.5 % instead of 1 %",
            scale={"up": 0.985 / 0.99},
            figures=("read blocked", "write blocked"),
        ),
        Perturbation(
            what="weak representatives are not read",
            off={"values": "all"},
            cases=(WEAK.name,),
            figures=("read",),
        ),
    ),
    tolerance=0.005,
    deterministic=True,
)
