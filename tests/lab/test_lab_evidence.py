"""A verdict needs evidence: where no operation succeeded, nothing is valid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from sim import Member, Node, Scenario, System, compare
from sim.analysis.checks import CONSISTENCY, check, strongest
from sim.commands.check import check as command
from sim.protocols import BasicRaft, Crdt
from sim.protocols.client import Client, Request
from sim.workload import ClosedLoop, NoLoad, UniformKeys


def row(kind: str, status: str, value: Any, result: Any = None) -> dict[str, Any]:
    end = {} if status == "info" else {"returned": 2.0}
    told = {"process": 1, "kind": kind, "key": "x", "value": value, "called": 1.0, "status": status, **end}
    return told if result is None else {**told, "result": result}


HISTORIES: dict[str, list[dict[str, Any]]] = {
    "failed": [row("write", "fail", 1), row("cas", "fail", [1, 2])],
    "unanswered": [row("write", "info", 1), row("read", "info", None)],
    "both": [row("write", "info", 1), row("write", "fail", 2)],
}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ("process", "kind", "key", "value", "called", "returned", "status")
    return pd.DataFrame(rows, columns=list(columns))


@pytest.mark.parametrize("name", CONSISTENCY)
@pytest.mark.parametrize("rows", [[], *HISTORIES.values()], ids=["empty", *HISTORIES])
def test_a_history_in_which_nothing_succeeded_is_unknown(rows: list[dict[str, Any]], name: str) -> None:
    verdict = check(frame(rows), name)
    assert verdict.status == "unknown"
    if name != "eventual":  # which has a reason of its own: there is no read
        assert verdict.reason.startswith("No evidence: ")
        assert check(frame([*rows, row("write", "ok", 3)]), name).ok


def test_no_model_is_the_strongest_of_such_a_history() -> None:
    assert strongest(frame(HISTORIES["both"])) == "none"


def test_a_failed_cas_is_evidence_where_it_says_what_the_value_was() -> None:
    rows = frame([row("cas", "fail", [1, 2])])
    assert check(rows, model="cas-register", failed_cas="mismatch").status == "valid"
    assert check(rows, model="cas-register", failed_cas="drop").status == "unknown"


@pytest.mark.parametrize("model", ["linearizable", "strongest"])
@pytest.mark.parametrize("name", HISTORIES)
def test_sim_check_ends_with_3(tmp_path: Path, name: str, model: str) -> None:
    file = tmp_path / "h.jsonl"
    file.write_text("".join(json.dumps(told) + "\n" for told in HISTORIES[name]))
    found = CliRunner().invoke(command, [str(file), "--consistency", model])
    assert found.exit_code == 3
    assert ("No evidence" in found.output) is (model == "linearizable")


class Silent(Node):
    """Answers nobody."""

    def on_request(self, src: str, msg: Request) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Nobody(System):
    client_class = Client
    consistency = "linearizable"

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{i}", Silent) for i in range(3))


def test_a_run_without_answers_is_unknown() -> None:
    scenario = Scenario(system=Nobody(), workload=ClosedLoop(clients=2, keys=UniformKeys(2)), duration=1.0)
    assert scenario.run(1).check().status == "unknown"
    assert not scenario.run(1).check().ok
    table = compare([Nobody(), BasicRaft(nodes=3)], scenario, seeds=[1, 2], workers=1).table()
    assert list(table["checked"]) == ["0/2 valid, 2 unknown", "2/2 valid"]


def test_convergence_is_unknown_for_replicas_without_writes() -> None:
    scenario = Scenario(system=Crdt(), workload=NoLoad(), duration=0.5)
    assert scenario.run(1).check().status == "unknown"
