"""Simulations in several threads do not touch each other: there is no state that two runs share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sim import Scenario
from sim.faults import Crash, RandomPartitions
from sim.network import lan, wan
from sim.protocols import Dynamo, EPaxos, Gossip, PrimaryBackup, Raft
from sim.workload import ClosedLoop

WAN = wan("virginia", "california", "oregon", loss=0.02, transport="fifo")
SCENARIOS = (
    Scenario(
        system=Raft(nodes=3),
        network=WAN,
        faults=[Crash("leader", at=0.5, down=0.3)],
        duration=1.5,
        check=True,
    ),
    Scenario(system=PrimaryBackup(nodes=3), faults=[RandomPartitions(0.5, 0.2)], duration=1.0, trace=True),
    Scenario(system=EPaxos(nodes=3), network=lan(loss=0.01), workload=ClosedLoop(clients=3), duration=0.2),
    Scenario(system=Dynamo(nodes=4), duration=0.5, trace="full"),
    Scenario(system=Gossip(nodes=20), duration=0.5),
)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as CPython lets them, so that any shared state shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def digest(task: tuple[Scenario, int]) -> str:
    scenario, seed = task
    return scenario.run(seed).digest()


@pytest.mark.usefixtures("hasty_threads")
def test_a_sweep_in_threads_gives_the_digests_of_a_sweep_in_one() -> None:
    tasks = [(scenario, seed) for seed in (1, 2) for scenario in SCENARIOS]
    with ThreadPoolExecutor(max_workers=5) as threads:
        together = list(threads.map(digest, tasks))
    assert together == [digest(task) for task in tasks]
    assert len({*together}) == len(tasks)


@pytest.mark.usefixtures("hasty_threads")
def test_a_sweep_takes_threads_as_its_executor() -> None:
    varied = {"system": [Raft(nodes=3), Gossip(nodes=5), PrimaryBackup(nodes=3)]}
    scenario = Scenario(system=Raft(nodes=3), duration=0.5)
    with ThreadPoolExecutor(max_workers=4) as threads:
        together = scenario.sweep(varied, seeds=2, executor=threads)
    alone = scenario.sweep(varied, seeds=2, workers=1)
    assert not together.failed
    assert [run.digest() for run in together.runs] == [run.digest() for run in alone.runs]
