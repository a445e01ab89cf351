"""Runs of Paxos and its kin do not depend on the hashes of strings, nor on the process."""

from __future__ import annotations

from collections.abc import Callable

CODE = """
from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols import Mencius, MultiPaxos, Paxos
from sim.protocols.quorums import Columns, Rows, Weighted
systems = (
    Paxos(nodes=6, phase1=Columns(2, 3), phase2=Rows(2, 3), learning="distinguished"),
    MultiPaxos(nodes=5, phase1=Weighted((0.1, 0.2, 0.3, 0.2, 0.3)), phase2=Weighted((0.1, 0.2, 0.3, 0.2, 0.3))),
    MultiPaxos(nodes=3, lease=0.3, window=2, batch=3, snapshot_every=4, retain=1),
    Mencius(nodes=5),
)
for system in systems:
    run = chaos(system, 2, scenario=chaos_scenario(system, 2, storm=1.5))
    assert run.violation is None
    print(run.digest())
"""


def test_a_storm_is_the_same_under_another_hash_seed(fresh_python: Callable[..., str]) -> None:
    assert fresh_python(CODE, hash_seed=1) == fresh_python(CODE, hash_seed=2)
