"""The load of the busiest replica, in exchanges per command (Ailijiang, Charapko, Demirbas, SIGMOD 2019)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sim.distributions import Uniform
from sim.lab import Scenario
from sim.network import lan
from sim.protocols import EPaxos, Mencius, MultiPaxos
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

NODES = 9
COMMANDS = 20  # of each client
LATENCY = lan(
    Uniform(0.0009, 0.0011)
)  # seconds: no two answers come together, no message overtakes its cause


def exchanges(seed: int, *, system: Any, leaders: int, quorum: int, answer: str, decided: str) -> Figures:
    """Exchanges (a question and its answer) per command at the busiest replica.

    Counted are answers that reached a leader before its command was decided, and answers that a replica sent.
    ``answer``: their class. ``decided``: the class of what a leader sends once it has decided; "": to the client.
    """
    run = Scenario(
        system=system,
        network=LATENCY,
        workload=ClosedLoop(
            clients={f"n{i}": 1 for i in range(leaders)},
            think=0.2,
            operations=COMMANDS,
            keys=UniformKeys(100_000),
            reads=0.0,
        ),
        duration=10.0,
        trace=True,
    ).run(seed)
    between = run.messages[run.messages["src"] != run.messages["dst"]]
    answers = between[between["kind"] == answer]
    found = {f"n{i}": int((answers["src"] == f"n{i}").sum()) for i in range(NODES)}
    for leader, commands in run.operations.groupby("node"):
        came = answers.loc[answers["dst"] == leader, "delivered"].sort_values()
        ends = _decisions(decided, str(leader), commands, between)
        for called, at in zip(commands["called"], ends, strict=True):
            found[str(leader)] += int(came.between(called, at).sum())
    return {"exchanges": max(found.values()) / len(run.operations)}


def _decisions(decided: str, leader: str, commands: pd.DataFrame, between: pd.DataFrame) -> list[float]:
    """When each command of a leader was decided, in order (seconds)."""
    if not decided:
        return [float(time) for time in commands["returned"]]
    told = between[(between["kind"] == decided) & (between["src"] == leader)]
    return sorted(dict.fromkeys(float(time) for time in told["sent"]))


def formula(*, system: Any, leaders: int, quorum: int, answer: str, decided: str) -> Figures:
    """(Q + L - 2) / L, without conflicts."""
    return {"exchanges": (quorum + leaders - 2) / leaders}


def _case(name: str, system: Any, leaders: int, quorum: int, published: float | None, **more: Any) -> Case:
    settings = {"answer": "Accepted", "decided": "", **more}
    return Case(
        name=name,
        settings={"system": system, "leaders": leaders, "quorum": quorum, **settings},
        published={"exchanges": published},
        fast=leaders == 1,
    )


MAJORITY, FLEXIBLE = MultiPaxos(nodes=NODES), MultiPaxos(nodes=NODES, phase1=7, phase2=3)

RESULT = Published(
    name="paxi_load",
    title="The load of the busiest replica",
    source="Ailijiang, Charapko, Demirbas, Dissecting the Performance of Replication Protocols, SIGMOD 2019",
    certainty="Recalled, and derived again by counting messages.",
    setup=(
        "Nine replicas; each leader has a client, and waits until all is quiet before its next command. Counted are "
        "the answers that a leader needed: ours are sent by all replicas, so that a leader handles more than it needs, "
        "and its capacity does not follow 1 / load. 4/3 was published for EPaxos with majorities; Mencius has them."
    ),
    unit="exchanges per command",
    measure=exchanges,
    expect=formula,
    expected_by="(Q + L - 2) / L for L leaders and quorums of Q, exactly.",
    cases=(
        _case("Multi-Paxos", MAJORITY, 1, 5, 4.0),
        _case("Multi-Paxos, phase 2 of 3", FLEXIBLE, 1, 3, None),
        _case("Mencius", Mencius(nodes=NODES), NODES, 5, 4 / 3, decided="Chosen"),
        _case("EPaxos, fast quorum of 8", EPaxos(nodes=NODES), NODES, 8, None, answer="PreAcceptOk"),
    ),
    perturbations=(
        Perturbation(what="phase 2 takes 3 votes", off={"system": FLEXIBLE}, cases=("Multi-Paxos",)),
        Perturbation(
            what="phase 2 takes a majority", off={"system": MAJORITY}, cases=("Multi-Paxos, phase 2 of 3",)
        ),
        Perturbation(
            what="one replica leads all commands",
            off={"leaders": 1},
            cases=("Mencius", "EPaxos, fast quorum of 8"),
        ),
    ),
    tolerance=0.0,
    deterministic=True,
)
