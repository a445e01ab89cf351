"""The same scenario and seed give the same run, bit for bit, in every process; and seeds pair runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pandas as pd

from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import Crash, RandomCrashes
from sim.network import Exponential, lan
from sim.protocols import PrimaryBackup, Raft
from sim.workload import ClosedLoop, Mix, OpenLoop, UniformKeys, Zipf

_DIGEST = """
from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import Crash, RandomCrashes, RandomPartitions
from sim.network import wan
from sim.protocols import MultiPaxos, PrimaryBackup, Raft
from sim.workload import ClosedLoop, Zipf
scenario = Scenario(
    system=Raft(nodes=3),
    network=wan("virginia", "california", "oregon", loss=0.02, duplicate=0.02),
    workload=ClosedLoop(clients=5, keys=Zipf(50)),
    faults=[Crash("leader", at=2.0, down=1.0), RandomCrashes(5.0, 1.0), RandomPartitions(4.0, 1.0)],
    machines=Machine(cores=2, per_message=1e-4, disk=Disk(fsync=0.002)),
    duration=8.0, trace=True, check=True,
)
for system in (Raft, MultiPaxos, PrimaryBackup):
    run = scenario.vary("system", system(nodes=3)).run(seed=3)
    assert run.violation is None and len(run.messages) > 100 and len(run.operations) > 20
    print(run.digest())
"""

_STORMS = """
import dataclasses
from sim.lab.storm import draw_storm, run_storm
from sim.protocols import Dynamo, EPaxos, Mencius, MultiPaxos, Paxos
from sim.protocols.quorums import Columns, Rows, Weighted
shares = Weighted((0.1, 0.2, 0.3, 0.2, 0.3))
systems = (
    Paxos(nodes=6, phase1=Columns(2, 3), phase2=Rows(2, 3), learning="distinguished"),
    MultiPaxos(nodes=5, phase1=shares, phase2=shares),
    MultiPaxos(nodes=3, lease=0.3, window=2, batch=3, snapshot_every=4, retain=1),
    Mencius(nodes=5),
    Dynamo(nodes=5, sloppy=True, hint_expiry=0.5, grace=2.8),
    Dynamo(nodes=4, r=Weighted((0.1, 0.2, 0.3)), w=Weighted((0.1, 0.2, 0.3)), repair="blocking"),
    Dynamo(nodes=5, versions="siblings", fanout=3),
)
for system in systems:
    run = run_storm(draw_storm(system, 2, length=1.5), 2)
    assert run.violation is None, run.violation
    print(run.digest())
whole = dataclasses.replace(draw_storm(EPaxos(), 5, length=0.4), trace="full")
print(whole.run(5).digest())
"""


def test_the_trace_digests_are_equal_in_processes_with_different_hash_seeds(
    fresh_python: Callable[..., str],
) -> None:
    """Of runs under faults, of storms of protocols that keep sets and maps, and of a full trace."""
    first, *others = (fresh_python(_DIGEST + _STORMS, hash_seed=hash_seed).split() for hash_seed in (0, 4242))
    assert others == [first]
    assert [len(digest) for digest in first] == [32] * 11
    assert len(set(first)) == 11


def scenario(**changes: object) -> Scenario:
    base = Scenario(
        system=Raft(nodes=3),
        network=lan(Exponential(0.002)),
        workload=OpenLoop(rate=50.0, keys=Zipf(100), reads=0.5, clients=2),
        duration=5.0,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def _arrivals(one: Scenario, seed: int = 5) -> pd.DataFrame:
    frame = one.run(seed).operations
    return frame[["called", "kind", "key", "region"]].reset_index(drop=True)


def test_turning_loss_on_leaves_the_arrivals_unchanged() -> None:
    quiet = _arrivals(scenario())
    lossy = _arrivals(scenario(network=lan(Exponential(0.002), loss=0.2)))
    assert len(quiet) > 200
    pd.testing.assert_frame_equal(quiet, lossy)


def test_another_seed_gives_other_arrivals() -> None:
    assert not _arrivals(scenario(), 5)["called"].equals(_arrivals(scenario(), 6)["called"])


def test_systems_compared_under_one_seed_meet_the_same_arrivals_and_the_same_random_crashes() -> None:
    faults = (RandomCrashes(1.0, 0.3, members=("n1", "n2")),)
    runs = [scenario(faults=faults, system=s).run(5) for s in (Raft(nodes=3), PrimaryBackup(nodes=3))]
    first, second = (r.operations[["called", "kind", "key"]].reset_index(drop=True) for r in runs)
    pd.testing.assert_frame_equal(first, second)
    crashes = [
        r.events[r.events["event"].isin(["crash", "restart"])][["time", "node", "event"]].values.tolist()
        for r in runs
    ]
    assert crashes[0] == crashes[1]
    assert len(crashes[0]) > 4


def test_tracing_and_sampling_do_not_change_what_happens() -> None:
    plain = scenario(faults=(Crash("leader", at=1.0, down=1.0),))
    watched = dataclasses.replace(plain, trace=True, sample_every=0.1)
    pd.testing.assert_frame_equal(plain.run(1).operations, watched.run(1).operations)


def test_checking_does_not_change_what_happens() -> None:
    plain = scenario(
        faults=(Crash("leader", at=1.0, down=1.0),),
        machines=Machine(disk=Disk(fsync=0.001)),
        workload=ClosedLoop(
            clients=3, mix=Mix({"get": 1, "put": 1, "append": 1, "increment": 1}, UniformKeys(5))
        ),
    )
    checked = dataclasses.replace(plain, check=True)
    pd.testing.assert_frame_equal(plain.run(1).operations, checked.run(1).operations)
