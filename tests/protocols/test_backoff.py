"""Exponential backoff is a number however often somebody tried: there is one formula, and all use it."""

from __future__ import annotations

import ast
from pathlib import Path

from sim import Retry, Scenario
from sim.faults import Crash
from sim.network import constant
from sim.protocols import Raft
from sim.protocols.backoff import Backoff, longest_wait
from sim.workload import ClosedLoop

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_doubles_up_to_its_most_and_stays_there() -> None:
    assert [longest_wait(0.1, 0.5, attempts) for attempts in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.5]
    assert longest_wait(0.05, 1.0, 10**9) == 1.0
    assert longest_wait(0.0, 1.0, 10**9) == 0.0
    assert longest_wait(1e300, 1e301, 2000) == 1e301


def test_waits_double_while_nothing_comes_of_the_attempts_and_begin_again_when_something_does() -> None:
    backoff = Backoff(0.1, 0.5)
    assert [backoff.wait(progress) for progress in (7, 7, 7, 7, 8, 8, 7)] == [
        0.1,
        0.2,
        0.4,
        0.5,
        0.1,
        0.2,
        0.1,
    ]


def test_a_client_without_an_answer_retries_until_the_run_ends() -> None:
    scenario = Scenario(
        system=Raft(nodes=3),
        network=constant(0.0001),
        workload=ClosedLoop(clients=1),
        faults=[Crash(f"n{i}", at=0.0) for i in range(3)],
        retry=Retry(timeout=0.001, backoff=0.0005, backoff_max=0.001),
        duration=2.5,
    )
    assert scenario.run(seed=1).operations["attempts"].max() > 1100


# Powers of a number that are bounded by what stands around them.
BOUNDED = {
    "2.0 ** min(attempts - 1, _MOST_DOUBLINGS)",
    "2.0 ** self.refusals",  # at most 5
    "10.0 ** (-phi)",  # a probability
    "10.0 ** math.floor(math.log10(rough))",  # of a float
}


def test_every_doubling_wait_uses_longest_wait() -> None:
    """``2.0 ** n`` overflows at 1,024, so a wait that doubles is the business of `longest_wait`."""
    found = {
        ast.unparse(node): path
        for path in sorted((ROOT / "sim").rglob("*.py"))
        if "**" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Pow)
        and isinstance(node.left, ast.Constant)
        and isinstance(node.left.value, float)
        and not (isinstance(node.right, ast.UnaryOp) and isinstance(node.right.op, ast.USub))  # it shrinks
        and any(isinstance(part, ast.Name) for part in ast.walk(node.right))
    }
    assert {text: path for text, path in found.items() if text not in BOUNDED} == {}
    assert found
