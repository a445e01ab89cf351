"""Whatever happens to a store, a row is what was written or is gone, and what is said of it is one line."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.lab.store import FILE, ResultStore, Row, StoreError

COUNT = 40


def row(seed: int) -> Row:
    """A row like that of a run, of a few kilobytes."""
    frames = {"operations": f"{seed} ".encode() * 500}
    made = Row(
        "ok",
        digest=f"digest {seed}",
        verdict="valid",
        measures={"p50": seed / 7, "p99": math.inf, "lost": math.nan},
    )
    digests = {"operations": sha(frames["operations"])}
    told = json.dumps({"measures": list(made.measures), "sha256": digests, "more": f"{seed} " * 700})
    return Row(**{**vars(made), "told": told, "frames": frames, "kept": True})


def sha(data: bytes) -> str:
    return sha256(data).hexdigest()


def keep_all(store: ResultStore, seeds: range = range(COUNT)) -> None:
    for seed in seeds:
        store.keep("key", seed, row(seed))


def fill(folder: Path, seeds: range = range(COUNT)) -> None:
    with ResultStore(folder, "resume") as store:
        keep_all(store, seeds)


def readable(folder: Path, use: Any = "resume") -> list[int]:
    """The seeds whose rows are there; each row must be what was written."""
    found = []
    with ResultStore(folder, use) as store:
        for seed in range(COUNT):
            held = store.row("key", seed)
            if held is not None:
                packed = store.frames("key", seed)
                assert held.seal("key", seed) == row(seed).seal("key", seed)
                assert packed == row(seed).frames
                assert held.holds(packed)
                found.append(seed)
    return found


DIES = """
import os, sys
sys.path[:0] = [{tests!r}]
from test_store_damage import row
from sim.lab.store import ResultStore
store = ResultStore({folder!r}, "new")
for seed in range({count}):
    store.keep("key", seed, row(seed))
os._exit(9)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store whose writer was killed, so that its rows are in the log that SQLite writes ahead."""
    folder = tmp_path_factory.mktemp("killed")
    code = DIES.format(tests=str(Path(__file__).parent), folder=str(folder), count=COUNT)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (folder / f"{FILE}-wal").stat().st_size > 100_000
    return folder


def copied(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for suffix in ("", "-wal"):  # the memory that processes share is gone with them
        if (source / f"{FILE}{suffix}").exists():
            shutil.copy(source / f"{FILE}{suffix}", target)
    return target


def test_a_killed_writer_loses_no_row(killed: Path, tmp_path: Path) -> None:
    assert readable(copied(killed, tmp_path / "copy")) == list(range(COUNT))


def test_a_half_written_row_is_lost_completely(killed: Path, tmp_path: Path) -> None:
    size = (killed / f"{FILE}-wal").stat().st_size
    stream = np.random.default_rng(1)
    known = set()
    for cut in [0, 1, 31, size - 1, size - 512, size - 4096, *stream.integers(0, size, 20)]:
        folder = copied(killed, tmp_path / "copy")
        os.truncate(folder / f"{FILE}-wal", int(cut))
        found = readable(folder)
        assert found == list(range(len(found)))  # those before it are there
        known.add(len(found))
    assert len(known) > 10
    assert COUNT - 1 in known


def test_a_block_of_the_log_that_holds_something_else_ends_it(killed: Path, tmp_path: Path) -> None:
    size = (killed / f"{FILE}-wal").stat().st_size
    for at in np.random.default_rng(2).integers(32, size, 10):
        folder = copied(killed, tmp_path / "copy")
        with (folder / f"{FILE}-wal").open("r+b") as file:
            file.seek(int(at))
            file.write(b"\xff" * 64)
        found = readable(folder)
        assert found == list(range(len(found)))


def test_a_last_block_that_is_gone_is_said_and_resume_saves_the_rest(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / FILE
    os.truncate(path, path.stat().st_size - 4096)
    with pytest.raises(
        StoreError, match=r"results.sqlite is damaged .*: going on with resume saves what can be read"
    ):
        readable(tmp_path, "read")
    with pytest.warns(UserWarning, match=r"was damaged: \d+ runs could be saved, the others are made again"):
        saved = readable(tmp_path)
    assert COUNT - 10 <= len(saved) < COUNT
    assert readable(tmp_path) == saved
    assert (tmp_path / f"{FILE}.damaged-1").exists()
    fill(tmp_path)
    assert readable(tmp_path, "read") == list(range(COUNT))


@pytest.mark.filterwarnings("ignore:.*was damaged")
def test_bytes_that_changed_are_never_taken_for_results(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    fill(whole)
    size = (whole / FILE).stat().st_size
    stream = np.random.default_rng(3)
    kept = []
    for at in stream.integers(100, size, 40):
        folder = copied(whole, tmp_path / "copy")
        with (folder / FILE).open("r+b") as file:
            file.seek(int(at))
            # Random bytes are seldom a text that can be read; digits among others are.
            file.write(b"55555" if at % 2 else bytes(stream.integers(0, 256, 40, dtype=np.uint8)))
        kept.append(len(readable(folder)))
    assert max(kept) == COUNT
    assert min(kept) < COUNT


@pytest.mark.parametrize("content", [b"seed,p50\n1,2\n" * 20, b"SQLite format 3\0", os.urandom(5000), b"x"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    for use in ("new", "resume", "read"):
        with pytest.raises(StoreError, match="is no store of results"):
            ResultStore(tmp_path, use)  # type: ignore[arg-type]
    assert (tmp_path / FILE).read_bytes() == content


def test_a_file_of_another_program_or_form_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match="is no store of results: another program made it"):
        ResultStore(tmp_path, "resume")
    assert (tmp_path / FILE).read_bytes() == before
    (tmp_path / FILE).unlink()
    fill(tmp_path)
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="has the form 99; this version reads the form 1"):
        ResultStore(tmp_path, "resume")


def test_there_must_be_something_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no results.sqlite in .*nothing"):
        ResultStore(tmp_path / "nothing", "read")
    assert not (tmp_path / "nothing").exists()


def test_two_digests_of_one_run_are_refused(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.keep("key", 1, row(1))
        store.keep("key", 1, row(1))
        with pytest.raises(ValueError, match="seed 1 gave two runs: the digests digest 1 and digest 2"):
            store.keep("key", 1, row(2))
        assert store.count() == 1


FULL = """
import resource, signal, sys
sys.path[:0] = [{tests!r}]
from test_store_damage import row
from sim.lab.store import ResultStore, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with ResultStore({folder!r}, "new") as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for seed in range(40):
            store.keep("key", seed, row(seed))
    except StoreError as error:
        print(seed, error)
"""


def test_a_disk_that_is_full_is_said_and_what_has_finished_stays(tmp_path: Path) -> None:
    code = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seed, _, said = done.stdout.partition(" ")
    assert 0 < int(seed) < COUNT
    assert "results.sqlite cannot grow" in said
    assert said.strip().endswith("what has finished is kept; make room, then go on with resume")
    assert readable(tmp_path, "read") == list(range(int(seed)))
    fill(tmp_path)
    assert readable(tmp_path) == list(range(COUNT))


def test_a_full_page_budget_is_said_too(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store._connection.execute("PRAGMA max_page_count = 30")
        with pytest.raises(StoreError, match=r"results.sqlite cannot grow \(database or disk is full\)"):
            keep_all(store)
    found = readable(tmp_path, "read")
    assert found
    assert found == list(range(len(found)))


def test_a_store_is_one_file_when_it_is_closed(tmp_path: Path) -> None:
    fill(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.claims", FILE]
