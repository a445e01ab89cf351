"""Recorded storms of every system are the same runs: in another process, too, and under another hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sim.protocols
from sim.lab.fuzz.playing import play
from sim.lab.storm import draw_storm
from sim.system import System
from tests.command import ROOT

SYSTEMS = tuple(
    name
    for name in sim.protocols.__all__
    if isinstance(found := getattr(sim.protocols, name), type) and issubclass(found, System)
)
FEW = ("BasicRaft", "ChainReplication", "LeaderLease")
"""Those of which a fault that waited for a leader struck after the storm (see tests/faults/test_for_good.py)."""

AGAIN = """
import json, sys
from pathlib import Path
from sim.lab.fuzz.playing import play
from sim.lab.scenario import Scenario
for line in Path(sys.argv[1]).read_text().splitlines():
    seed, written = json.loads(line)
    print(play(Scenario.from_dict(written), seed).run.digest())
"""


def records(names: tuple[str, ...], seeds: range, length: float, file: Path) -> list[str]:
    """Record these storms into a file; returns the digests of the storms."""
    digests, lines = [], []
    for name in names:
        for seed in seeds:
            first = play(draw_storm(getattr(sim.protocols, name)(), seed, length=length), seed)
            lines.append(json.dumps([seed, first.simulation.recorded().to_dict()]))
            digests.append(first.run.digest())
    file.write_text("\n".join(lines), encoding="utf-8")
    return digests


def played_elsewhere(file: Path, hash_seed: str) -> list[str]:
    """The digests of the runs of a file, played in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(file)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_recorded_storms_are_the_same_runs_in_another_process_under_another_hash_seed(tmp_path: Path) -> None:
    digests = records(FEW, range(100, 101), 3.0, tmp_path / "storms.jsonl")
    assert played_elsewhere(tmp_path / "storms.jsonl", "7") == digests


@pytest.mark.nightly
@pytest.mark.parametrize("name", SYSTEMS)
def test_many_recorded_storms_of_every_system_are_the_same_runs(tmp_path: Path, name: str) -> None:
    digests = records((name,), range(100, 130), 3.0, tmp_path / "storms.jsonl")
    for hash_seed in ("1", "2"):
        assert played_elsewhere(tmp_path / "storms.jsonl", hash_seed) == digests
