"""A system defined outside `sim/` is a full citizen: compare, check, sweep (fork and spawn) and the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sim import Scenario, compare, sweep
from sim.network import constant
from sim.protocols import Raft
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import WORKERS
from tests.command import sim

PACKAGE = '''
"""A store of one server, defined in a user's own package."""
from dataclasses import dataclass
from sim import Member, Node, System, durable_map
from sim.protocols.client import Client, Reply, Request
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions


class LoneNode(Node):
    """Everything on one server, in memory: a crash loses it all."""

    def on_start(self):
        self.store = Sessions(KeyValueStore())

    def on_request(self, src, msg: Request):
        result = self.store.apply(msg.command)
        self.send(src, Reply(msg.command.session, msg.command.sequence, result.status, result.value, result.result))


@dataclass(frozen=True, kw_only=True)
class Lone(System):
    nodes: int = 1

    def members(self):
        return tuple(Member(f"s{i}", LoneNode) for i in range(self.nodes))

    @property
    def client_class(self):
        return Client

    @property
    def consistency(self):
        return "linearizable"

    def holder(self, role, nodes):
        return next(iter(nodes), None)

    def acknowledged_lost(self, acknowledged, nodes):
        return len(nodes["s0"].store.missing(acknowledged)) if "s0" in nodes else None
'''


@pytest.fixture
def lone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    package = tmp_path / "homegrown"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("homegrown", None)
    import homegrown  # type: ignore[import-not-found]

    found: type = homegrown.Lone
    return found


def scenario(system: object) -> Scenario:
    return Scenario(
        system=system,  # type: ignore[arg-type]
        network=constant(0.001),
        workload=ClosedLoop(clients=3, keys=UniformKeys(3)),
        duration=1.0,
    )


def test_it_is_compared_and_checked(lone: type) -> None:
    comparison = compare([lone(), Raft(nodes=3)], scenario(lone()), seeds=range(2), workers=1, progress=None)
    assert list(comparison.table()["checked"]) == ["2/2 valid", "2/2 valid"]
    assert comparison.scenarios["Lone, 1 node"].run(0).check().status == "valid"


@pytest.mark.parametrize("start_method", WORKERS)
def test_it_is_swept_in_worker_processes(
    lone: type, start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path[:1]))
    done = sweep(
        scenario(lone()),
        {"workload__clients": [1, 2]},
        seeds=range(2),
        **WORKERS[start_method],
        progress=None,
    )
    summaries = done.summaries
    assert summaries["workload__clients"].tolist() == [1, 1, 2, 2]
    # One client at 2 ms a round trip does 500 operations in a second (the last one ends at the very end).
    assert summaries["ok"].tolist() == pytest.approx([500, 500, 1000, 1000], abs=2)


@pytest.mark.parametrize("start_method", WORKERS)
def test_a_class_that_no_module_holds_travels_to_workers_too(start_method: str) -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    exec(compile(PACKAGE, "<notebook cell>", "exec"), space)
    lone = space["Lone"]
    done = sweep(
        scenario(lone()),  # type: ignore[operator]
        {"duration": [0.5, 1.0]},
        **WORKERS[start_method],
        progress=None,
    )
    assert [run.check().status for run in done.runs] == ["valid", "valid"]


def test_it_runs_from_the_command_line(lone: type, tmp_path: Path) -> None:
    done = sim(
        *("compare", "homegrown:Lone", "Raft(nodes=3)", "--seeds", "1", "--workers", "1"),
        *("--set", "duration=12", "--out", "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Lone" in done.stdout
    assert (tmp_path / "out" / "latency_cdf.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "operations.csv").exists()
