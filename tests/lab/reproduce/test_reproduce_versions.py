"""The digest of a run does not depend on the version of Python and NumPy: compared with what this machine has.

Where `.ci/run` runs the tests once more on a newer Python, this one finds the environment of the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import json, platform, numpy
from sim import Scenario
from sim.distributions import LogNormal
from sim.faults import Crash
from sim.network import lan, wan
from sim.protocols import EPaxos, PrimaryBackup, Raft
from sim.workload import OpenLoop, Zipf

load = OpenLoop(clients=3, rate=50.0, keys=Zipf(50))
digests = [
    Scenario(system=system, network=network, workload=load, faults=[Crash("n0", at=1.0, down=0.5)], duration=2.0)
    .run(seed=3)
    .digest()
    for system in (Raft(nodes=3), EPaxos(nodes=3), PrimaryBackup(nodes=3))
    for network in (lan(LogNormal(median=0.01, sigma=0.5)), wan("virginia", "oregon", "ireland"))
]
print(json.dumps({"version": platform.python_version() + " " + numpy.__version__, "digests": digests}))
"""


def digests(python: str) -> dict[str, object] | None:
    """What this Python gives; None where it cannot run the simulator."""
    done = subprocess.run(
        [python, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, object] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def others() -> list[str]:
    """Pythons besides this one: environments of the checkout, those of pyenv, and one that is named."""
    places = [*ROOT.glob(".venv*/bin/python"), *Path.home().glob(".pyenv/versions/3.*/bin/python")]
    named = os.environ.get("QUORUMLAB_OTHER_PYTHON")
    mine = Path(sys.prefix).resolve()
    return [
        *([named] if named else []),
        *(str(p) for p in sorted(places) if p.parent.parent.resolve() != mine),
    ]


def test_digests_are_equal_on_every_python_of_this_machine() -> None:
    mine = digests(sys.executable)
    assert mine is not None
    compared = [
        found for found in map(digests, others()) if found is not None and found["version"] != mine["version"]
    ]
    if not compared:
        pytest.skip(f"no other Python of this machine has NumPy and SimPy; this is {mine['version']}")
    for found in compared:
        assert found["digests"] == mine["digests"], (found["version"], mine["version"])
