"""The syncs that fio measured become the fsync of a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim import Disk
from sim.readers.fio import read_fio

LATENCY = {
    "min": 400_000,
    "max": 9_000_000,
    "mean": 1_100_000.0,
    "N": 1000,
    "percentile": {"50.000000": 1_000_000, "99.000000": 3_000_000},
}


def output(folder: Path, **changes: Any) -> Path:
    sync = {"total_ios": 1000, "lat_ns": {**LATENCY, **changes}}
    jobs = [{"jobname": "log", "sync": sync}, {"jobname": "reads", "sync": {"total_ios": 0}}]
    path = folder / "fio.json"
    path.write_text(json.dumps({"fio version": "fio-3.35", "jobs": jobs}))
    return path


def test_a_disk_has_the_percentiles_of_its_syncs(tmp_path: Path) -> None:
    disk = Disk.from_fio(output(tmp_path), bandwidth=200e6)
    times = [disk.latency.quantile(level) for level in (0.0, 0.5, 0.99, 1.0)]
    assert times == pytest.approx([0.0004, 0.001, 0.003, 0.009])
    assert disk.bandwidth == 200e6
    note = str(read_fio(tmp_path / "fio.json").note)
    assert "1,000 syncs of job 'log'" in note
    assert "1 other jobs" in note


@pytest.mark.parametrize(
    ("changes", "job", "message"),
    [
        ({"percentile": {}}, None, r"jobs\[0\].sync.lat_ns: percentiles are needed"),
        ({"percentile": {"half": 5}}, None, "a level from 0 to 100 is needed, not 'half'"),
        ({"max": "long"}, None, r"lat_ns.max: nanoseconds >= 0 are needed, not 'long'"),
        ({}, "reads", "a job 'reads' with syncs is needed; jobs with syncs: 'log'"),
    ],
)
def test_output_without_usable_syncs_is_refused(tmp_path: Path, changes: Any, job: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Disk.from_fio(output(tmp_path, **changes), job=job)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", r"fio.json, line 1, column 2: not JSON"), ("[]", "with .fio version. and .jobs.")],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "fio.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Disk.from_fio(tmp_path / "fio.json")
