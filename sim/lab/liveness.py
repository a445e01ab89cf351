"""Measures liveness: the time until a system has a leader, and until it answers a write, in three situations.

`sim.lab.storm` checks whether progress happens at all within a generous bound. This module measures the time under many
seeds and compares it with a claim: a leader, and a first answered write, within k election timeouts in 99 % of the
seeds. The unit is the *shortest* election timeout d (`System.detection_timeout`); Raft draws its own from [d, 2d).

The three situations follow each other in one run, with one client that writes all the time:

1. ``start``: all members boot at once.
2. ``crash``: the leader crashes at a random moment between two heartbeats. In a leaderless system, the replica that
   serves the client crashes.
3. ``power``: all members crash at once, and restart together. No timer is ahead of another, and no member is preferred.
   Left out for systems that keep nothing on disk (`System.max_down`).

**How k was chosen** (before any measurement), from Ongaro's thesis, chapter 9.2. A server waits at most 2d for its
first election, and at most 2d more after each failed election. Votes split if too many servers time out within one
latency L after the first one, so that no candidate gets a majority. With m of n servers up, the probability of this is
``sum(C(m, i) r^i (1-r)^(m-i) for i >= m - n//2)``, where r = L/d. By etcd's rule d is ten round trips or more, so
r <= 0.05. The worst case is n = 3 with 2 up: at most 0.0975 for one election, 0.0095 for two in a row. So **two
elections are enough in 99 % of runs**. They begin within 4d. In each, votes take one round trip and pre-votes another,
of at most 0.1d each. So k = 5 for a leader. A client may then still wait for the crashed leader (its timeout here is
d/2); it also backs off (at most d/10) before each further replica that it asks. Two more timeouts are ample: k = 7 for
a write.

If votes cannot split, one election is enough, so k = 3 and 5: Multi-Paxos (the candidate with the higher ballot wins),
Viewstamped Replication (the view number determines the primary), Mencius (the higher ballot revokes). A view service
waits for d, and checks once per heartbeat (d/10): k = 2 and 4. Omni-Paxos judges at the end of rounds of d: the one in
which the leader crashed, the next one, in which it does not answer and ballots rise, and a third, in which the others
see the new ballot; then comes phase 1. So k = 3.5 and 5.5.

**How many seeds**: if a run is late with probability 1 %, then the probability that none of 299 runs is late is below
5 % (0.99^299 < 0.05). So 299 seeds without a late run prove the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import comb, inf, nan
from typing import TYPE_CHECKING

from sim.arguments import checked
from sim.display import Displayed
from sim.kernel import Streams
from sim.lab.application_model import application_of
from sim.lab.led import has_leader
from sim.lab.scenario import Scenario
from sim.lab.simulation import Simulation
from sim.network.topology import Topology, constant
from sim.protocols.client import Retry
from sim.protocols.kv import READS
from sim.recorder import COLUMNS
from sim.system import System
from sim.workload import ClosedLoop, Mix, UniformKeys

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Awaited", "Liveness", "measure_liveness"]

_PATIENCE = 3  # times the bound for a write, after which a run is given up
_LOOKS = 50  # number of checks per election timeout
_PRAISE = 0.05  # valid: if the claim were false, so few late runs would have at most this probability
_BLAME = 0.001  # invalid: if the claim were true, so many late runs would have at most this probability


@dataclass(frozen=True, slots=True)
class Awaited:
    """The times of one seed in one situation, in election timeouts; inf: the run was given up.

    ``leader`` is NaN in leaderless systems.
    """

    seed: int
    situation: str
    leader: float
    write: float


@dataclass(frozen=True)
class Liveness(Displayed):
    """The result of `measure_liveness`. Times are in election timeouts.

    Attributes
    ----------
    system: the label of the system. waits: the times of each seed and situation.
    leader_within, write_within, share: the claim.
    """

    system: str
    waits: tuple[Awaited, ...]
    leader_within: float
    write_within: float
    share: float

    @property
    def situations(self) -> tuple[str, ...]:
        """The measured situations, in order."""
        return tuple(dict.fromkeys(r.situation for r in self.waits))

    def late(self, situation: str) -> int:
        """The number of seeds without a leader, or without an answered write, in time."""
        return sum(
            wait.leader > self.leader_within or wait.write > self.write_within
            for wait in self.waits
            if wait.situation == situation
        )

    def verdict(self, situation: str) -> bool | None:
        """Whether the claim holds in a situation; None: there are too few seeds to decide.

        True: if the claim were false, so few late runs would have a probability of at most 5 %. False: if the claim
        were true, so many late runs would have a probability of at most 0.1 %.
        """
        count = sum(wait.situation == situation for wait in self.waits)
        late = self.late(situation)
        if _at_most(late, count, 1 - self.share) <= _PRAISE:
            return True
        return False if 1 - _at_most(late - 1, count, 1 - self.share) <= _BLAME else None

    @property
    def valid(self) -> bool | None:
        """Whether the claim holds in all situations; False if it fails in at least one; None if undecided."""
        found = [self.verdict(situation) for situation in self.situations]
        if not found or False in found:
            return False
        return None if None in found else True

    @property
    def status(self) -> str:
        """``"valid"``, ``"invalid"`` or ``"unknown"``."""
        return {True: "valid", False: "invalid", None: "unknown"}[self.valid]

    def frame(self) -> pd.DataFrame:
        """One row for each seed and situation: ``seed, situation, leader, write``."""
        import pandas as pd

        rows = [(r.seed, r.situation, r.leader, r.write) for r in self.waits]
        return pd.DataFrame(rows, columns=["seed", "situation", "leader", "write"])

    def __repr__(self) -> str:
        return f"<Liveness of {self.system}: {self.status}, {len(self.waits)} waits>"

    def text(self) -> str:
        """The claim, whether it holds, and the table."""
        claim = (
            f"a leader within {self.leader_within:g} election timeouts, a write within {self.write_within:g}"
        )
        head = f"{self.system}: {claim}, in {self.share:.0%} of runs: {self.status}"
        return f"{head}\n\n{self.table().to_string()}"

    def table(self) -> pd.DataFrame:
        """One row per situation: seeds, late seeds, and the median, 99th percentile and maximum of both times."""
        frame = self.frame()
        table = frame.groupby("situation", sort=False).agg(seeds=("seed", "size"))
        table["late"] = [self.late(str(situation)) for situation in table.index]
        for what in ("leader", "write"):
            times = frame.groupby("situation", sort=False)[what]
            for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                table[f"{what} {name}"] = times.quantile(q, interpolation="higher")
        return table


@checked
def measure_liveness(
    system: System,
    seeds: Iterable[int],
    *,
    network: Topology | None = None,
    leader_within: float = 5.0,
    write_within: float = 7.0,
    share: float = 0.99,
) -> Liveness:
    """Measure the time to a leader and to the first answered write under many seeds.

    Parameters
    ----------
    network:
        The network; None: every message takes exactly 5 ms. Without jitter, only the system's own randomness prevents
        members from doing the same thing at the same time.
    leader_within, write_within:
        The claim, in election timeouts; see above.
    share:
        The smallest fraction of runs in which the claim must hold.

    Raises ValueError for a system without writes, and for no seeds.
    """
    scenario = _scenario(system, constant(0.005) if network is None else network)
    waits = [found for seed in seeds for found in _measure(scenario, seed, _PATIENCE * write_within)]
    if not waits:
        raise ValueError("measure_liveness: seeds must not be empty")
    return Liveness(system.label, tuple(waits), leader_within, write_within, share)


def _scenario(system: System, network: Topology) -> Scenario:
    application = application_of(system)
    writes = sorted(system.operations - (READS if application is None else application.reads))
    if not writes:
        raise ValueError(
            f"measure_liveness: {system.label} serves no writes, only {sorted(system.operations)}"
        )
    kind = "put" if "put" in writes else writes[0]
    load = ClosedLoop(clients=1, mix=Mix(((kind, 1.0),), UniformKeys(1)))
    timing = Scenario(system=system, network=network, workload=load).resolved.system
    timeout = timing.detection_timeout
    return Scenario(
        system=timing,
        network=network,
        workload=replace(load, think=timeout / 40),
        retry=Retry(timeout=timeout / 2, backoff=timeout / 50, backoff_max=timeout / 10),
        name="liveness",
    )


def _measure(scenario: Scenario, seed: int, limit: float) -> list[Awaited]:
    simulation = Simulation(scenario, seed)
    timeout = simulation.system.detection_timeout

    def after(situation: str, happens: Callable[[], None]) -> bool:
        """Measure one situation; False if it was given up."""
        happens()
        found = _recover(simulation, seed, situation, limit)
        waits.append(found)
        return found.write < inf

    def go_on(timeouts: float) -> None:
        simulation.run(until=simulation.now + timeouts * timeout)

    waits: list[Awaited] = []
    moment = Streams(seed)["liveness"].uniform(0.5, 0.6)  # a heartbeat is a tenth of a timeout
    if not after("start", lambda: None):
        return waits
    go_on(moment)
    (lost,) = simulation.find(simulation.system.leader_roles[0])
    if not after("crash", lambda: simulation.crash(lost)) or simulation.system.max_down is not None:
        return waits
    simulation.restart(lost)
    go_on(1.0)
    for name in simulation.replicas:
        simulation.crash(name)
    go_on(moment)
    after("power", lambda: _restart_all(simulation))
    return waits


def _restart_all(simulation: Simulation) -> None:
    for name in simulation.replicas:
        simulation.restart(name)


def _recover(simulation: Simulation, seed: int, situation: str, limit: float) -> Awaited:
    """Run until there is a leader, and an answer to a write that was called from now on."""
    timeout, since, seen = (
        simulation.system.detection_timeout,
        simulation.now,
        len(simulation.recorder.operations),
    )
    leader = inf if has_leader(simulation.system) else nan
    write = inf
    looks = 0
    while (leader == inf or write == inf) and looks < limit * _LOOKS:
        looks += 1
        simulation.run(until=since + looks * timeout / _LOOKS)
        if leader == inf and simulation.leader is not None:
            leader = looks / _LOOKS
        if write == inf and len(simulation.recorder.operations) > seen:
            write = _first_answer(simulation, since, seen) / timeout
    return Awaited(seed, situation, leader, write)


def _first_answer(simulation: Simulation, since: float, seen: int) -> float:
    """Seconds from ``since`` until the first answer to a write that was called after ``since``; inf: none.

    A failure is an answer where the application gives it (a lock that is held).
    """
    times = []
    for row in simulation.recorder.operations[seen:]:
        done = dict(zip(COLUMNS["operations"], row, strict=True))
        answers = ("ok", "fail") if done["kind"] in simulation.system.may_fail else ("ok",)
        if done["status"] in answers and done["called"] >= since:
            times.append(done["returned"] - since)
    return min(times, default=inf)


def _at_most(late: int, count: int, chance: float) -> float:
    """The probability that at most ``late`` of ``count`` independent events of probability ``chance`` happen."""
    return sum(comb(count, i) * chance**i * (1 - chance) ** (count - i) for i in range(late + 1))
