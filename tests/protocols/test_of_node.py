"""`System.of`: a first protocol needs few names and is a full citizen; a setting has its effect, or is refused."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from sim import Node, Scenario, System, compare, sweep
from sim.protocols import Raft
from sim.protocols.replica import Replica
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import WORKERS
from tests.command import sim

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "first_protocol.md"
PROTOCOL, MISTAKE = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def space(*blocks: str) -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "<notebook cell>", "exec"), made)
    return made


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return space(PROTOCOL, MISTAKE)


def test_the_first_protocol_imports_four_names_and_needs_eight_concepts() -> None:
    """A concept is a name that is imported, or one that the class has from `Replica`. (What handlers, ``on_...``, are
    called is the author's choice, but for ``on_start``; ``settings`` are what `System.of` was given.)"""
    tree = ast.parse(PROTOCOL)
    imported = [
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    store = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Store")
    used = {
        node.attr
        for node in ast.walk(store)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    written = {node.name for node in store.body if isinstance(node, ast.FunctionDef)}
    inherited = sorted(name for name in used | written if hasattr(Replica, name))
    assert imported == ["Scenario", "System", "message", "Replica"]
    assert inherited == ["apply_and_answer", "broadcast", "on_start", "order"]
    assert sum(1 for line in PROTOCOL.splitlines() if line.strip() and not line.startswith("from")) <= 35


@pytest.mark.parametrize("seed", range(2))
def test_the_first_protocol_is_right_and_its_mistake_is_caught(page: dict[str, Any], seed: int) -> None:
    def judged(system: System) -> str:
        load = ClosedLoop(clients=4, keys=UniformKeys(2))
        return Scenario(system=system, workload=load, duration=0.5, check=True).run(seed).check().status

    assert judged(page["store"]) == "valid"
    assert judged(page["hasty"]) == "invalid"


def test_it_is_compared_like_any_other(page: dict[str, Any]) -> None:
    of = page["System"].of(page["Store"], consistency="linearizable", quorum=2)
    comparison = compare(
        [of, Raft()], Scenario(system=of, duration=6.0), seeds=range(1), workers=1, progress=None
    )
    assert list(comparison.table()["checked"]) == ["1/1 valid", "1/1 valid"]
    assert [len(s.system.members()) for s in comparison.scenarios.values()] == [5, 5], "nobody gave a size"


@pytest.mark.parametrize("start_method", WORKERS)
def test_its_class_travels_to_worker_processes(start_method: str) -> None:
    store = space(PROTOCOL)["store"]
    done = sweep(Scenario(system=store), {"duration": [0.5, 1.0]}, **WORKERS[start_method], progress=None)
    assert [run.check().status for run in done.runs] == ["valid", "valid"]


@pytest.mark.parametrize(
    ("written", "code"), [("mine:store", 0), ("mine:store(quorum=3)", 0), ("mine:store(size=3)", 2)]
)
def test_it_runs_from_the_command_line(tmp_path: Path, written: str, code: int) -> None:
    (tmp_path / "mine.py").write_text(PROTOCOL, encoding="utf-8")
    options = ["--seeds", "1", "--workers", "1", "--set", "duration=12"]
    done = sim("compare", written, *options, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    if code:
        assert "never reads self.settings.size" in done.stderr


def test_what_it_is_given_is_read_as_a_setting(page: dict[str, Any]) -> None:
    store = page["store"]
    assert (store.quorum, store.nodes, store.consistency) == (2, 3, "linearizable")
    assert [m.name for m in store.members()] == ["n0", "n1", "n2"]
    assert (store.changed(quorum=3).quorum, store.changed(nodes=5).nodes) == (3, 5)
    assert store.label == "Store(nodes=3, quorum=2)"
    with pytest.raises(AttributeError, match=r"there is no setting 'speed': System.of.* was given quorum"):
        _ = store.speed


class Deaf(Node):
    """Serves no clients."""


class Lone(Replica):
    """Reads one setting."""

    def order(self, command: Any) -> None:
        assert self.settings.limit
        self.apply_and_answer(command)


@pytest.mark.parametrize(
    ("node_class", "given", "complaint"),
    [
        (Deaf, {}, "Deaf has no handler for clients' requests"),
        (object, {}, "must be a class of nodes, not <class 'object'>"),
        (Lone, {"nodes": 0}, "nodes must be an integer of at least 1, not 0"),
        (Lone, {"limited": 3}, "Lone never reads self.settings.limited, so limited=3 would do nothing"),
        (Lone, {"limit": [3]}, r"limit must be an immutable value .*, not \[3\]"),
        (Lone, {"members": 3}, "a setting may not be called 'members'"),
    ],
)
def test_what_would_have_no_effect_is_refused(node_class: Any, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        System.of(node_class, **given)


def test_a_replica_that_orders_nothing_says_so_when_a_client_asks() -> None:
    class Idle(Replica):
        """Overrides nothing."""

    with pytest.raises(NotImplementedError, match=r"Idle overrides neither order\(command\) nor on_request"):
        Scenario(system=System.of(Idle, nodes=1), duration=1.0).run(0)
