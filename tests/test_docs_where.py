"""What docs/design.md says is somewhere, is called there: by the plainest run in which it happens at all."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from sim import Disk, Machine, Scenario, sweep
from sim.engine import COMPILED
from sim.faults import Crash
from sim.lab import draw_storm
from sim.lab.fuzz import shrink_schedule
from sim.lab.fuzz.playing import play
from sim.network import lan
from sim.protocols import EPaxos, HeartbeatDetectors, MultiPaxos, Raft, RpcStore
from sim.workload import OpenLoop
from tests.test_docs import ROOT, where_rows


def _run(**fields: Any) -> None:
    fields.setdefault("system", Raft(nodes=3))
    run = Scenario(duration=0.8, **fields).run(seed=1)
    run.summary()
    run.check()


CRASH = Crash("leader", at=0.4, down=0.2)
RUNS: dict[str, Callable[[Path], Any]] = {
    "plain": lambda folder: _run(),
    "faults": lambda folder: _run(faults=[CRASH]),
    "disk": lambda folder: _run(machines=Machine(disk=Disk(fsync=0.001)), faults=[CRASH]),
    "checked": lambda folder: _run(check=True),
    "bandwidth": lambda folder: _run(network=lan(0.001, bandwidth=1e6)),
    "rows": lambda folder: _run(network=lan(0.001, bandwidth=1e6), trace=True),
    "traced": lambda folder: _run(trace="full"),
    "quorums": lambda folder: _run(system=MultiPaxos(nodes=3)),
    "suspicion": lambda folder: _run(
        system=HeartbeatDetectors(nodes=3),
        workload=OpenLoop(reads=1.0),
        check=True,
        faults=[Crash("n0", at=0.2)],
    ),
    "stories": lambda folder: _run(system=RpcStore(front=True)),
    "conflicts": lambda folder: _run(system=EPaxos(nodes=3)),
    "sweep": lambda folder: sweep(
        Scenario(system=Raft(nodes=3), duration=0.2),
        {"system.nodes": [3]},
        seeds=1,
        workers=1,
        progress=None,
        out=folder,
    ),
    "fuzz": lambda folder: _fuzz(),
    "live": lambda folder: _live(),
}


def _live() -> None:
    live = Scenario(system=Raft(nodes=3), duration=0.8).start(1)
    live.run(until=0.4)
    live.crash("n1")
    live.run(until=0.6)
    live.back(0.1)
    live.script()
    live._repr_html_()


def _fuzz() -> None:
    storm = draw_storm(Raft(nodes=3), 0, length=0.3)
    play(storm, 0).simulation.recorded()
    shrink_schedule(storm, 0)


# What happens -> the runs in which it does, the plainest first; all others happen in a plain run.
WHERE = {
    "a message leaves its node": ("plain", "disk"),
    "a message is delayed, lost, duplicated": ("plain", "checked", "bandwidth"),
    "a message is delivered": ("plain", "disk"),
    "a handler that yields goes on": ("stories",),
    "a node sends to itself": ("disk",),
    "a node crashes, restarts": ("faults",),
    "what a crash loses": ("disk",),
    "a quorum is counted": ("quorums",),
    "a peer is suspected": ("suspicion",),
    "what is replicated, and what a command touches": ("plain", "conflicts"),
    "a replica answers a client, or finds a request a duplicate": ("plain", "quorums"),
    "a fault strikes": ("faults",),
    "an invariant is checked": ("checked",),
    "agreement of replicas is judged": ("checked",),
    '"durable before send" is judged': ("checked",),
    "what broke in a run is named": ("fuzz",),
    "a storm is recorded as a schedule": ("fuzz",),
    "a schedule is shrunk": ("fuzz",),
    "a run is kept, or found to be there already": ("sweep",),
    "a run gets its key": ("sweep",),
    "a step gets its row in a full trace": ("traced",),
    "a message that was changed in flight is detected": ("checked",),
    "a message gets its row in a trace": ("rows",),
    "what a user does by hand is noted, undone, written as a script": ("live",),
    "a result shows itself in a notebook": ("live",),
}
# A contract is never called. The rest needs other processes, clusters, files or a trace, and has tests of its own.
ELSEWHERE = {
    "a host promises a service to its node",
    "a run gets a process, and a process that dies is replaced",
    "a run goes to a cluster",
    "a file of another program is read",
    "an incident is played back",
    "a critical path is found",
    "a published result is simulated again and judged",
    "a frame becomes a page to step through",
    "a report is written",
}
ROWS = [row for row in where_rows() if row[0] not in ELSEWHERE]


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[CodeType]]:
    @cache
    def of(name: str) -> set[CodeType]:
        found: set[CodeType] = set()

        def notice(frame: FrameType, event: str, argument: object) -> None:
            if event == "call":
                found.add(frame.f_code)

        before = sys.getprofile()
        sys.setprofile(notice)
        try:
            RUNS[name](tmp_path_factory.mktemp(name))
        finally:
            sys.setprofile(before)
        return found

    return of


def _subclasses(cls: type) -> Iterator[type]:
    yield cls
    for below in cls.__subclasses__():
        yield from _subclasses(below)


def _code(member: Any) -> CodeType | None:
    """The code of a method or of a property."""
    return getattr(getattr(member, "fget", member), "__code__", None)


def _module(file: Path) -> Any:
    return importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def test_every_row_of_the_table_is_known_here() -> None:
    rows = {what for what, _, _ in where_rows()}
    assert rows >= ELSEWHERE | set(WHERE)


@pytest.mark.skipif(not COMPILED, reason="all tests of this file run in this process")
def test_what_the_design_says_is_called_with_the_python_engine() -> None:
    """The table names Python sources; Python does not see calls between compiled ones."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "SIM_ENGINE": "python"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(COMPILED, reason="asked in a process with the Python engine")
@pytest.mark.parametrize(("what", "files", "functions"), ROWS, ids=lambda x: x if isinstance(x, str) else "")
def test_what_the_design_says_is_called_is_called(
    what: str, files: list[Path], functions: list[str], called: Callable[[str], set[CodeType]]
) -> None:
    runs = WHERE.get(what, ("plain",))
    codes = {code for run in runs for code in called(run)}
    first: list[str] = []
    sources = {str(path) for file in files for path in (file.glob("*.py") if file.is_dir() else [file])}
    owner: type | None = None
    for function in functions:
        named, _, name = function.rpartition(".")
        if named:
            owner = next(
                getattr(_module(f), named) for f in files if f.is_file() and hasattr(_module(f), named)
            )
        own = {_code(vars(cls).get(name)) for cls in (_subclasses(owner) if owner else ())}
        there = {code for code in codes if code.co_filename in sources and code.co_name == name}
        found = (codes & own) or (set() if named else there)
        assert found, f"{what}: {function} is never called"
        first += [function] if found & called(runs[0]) else []
    assert first, f"{what}: none of {', '.join(functions)} is called by the {runs[0]} run"
