"""The load of the busiest replica, in exchanges per command (Ailijiang, Charapko, Demirbas, SIGMOD 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sim.cluster import Machine
from sim.distributions import Uniform
from sim.lab import Scenario
from sim.network import constant, lan
from sim.protocols import EPaxos, Mencius, MultiPaxos
from sim.validation.form import SHOWN, Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

NODES = 9
COMMANDS = 20  # of each client, while exchanges are counted
CLIENTS = 63  # in all, while the capacity is measured
LATENCY = lan(
    Uniform(0.0009, 0.0011)
)  # seconds: no two answers come together, no message overtakes its cause
PER_MESSAGE = 100e-6  # seconds of the only core, for each message that is received


def measured(seed: int, *, system: Any, leaders: int, quorum: int, question: str, tells: str) -> Figures:
    """Exchanges (a question and its answer) per command at the busiest replica, and the commands served a second.

    ``sent`` counts each question once at both ends. ``needed`` counts at a leader only the answers that came before its
    command was decided. ``question``: their class. ``tells``: the class of what a leader sends once it has decided; "":
    to the client.
    """
    run = _run(system, leaders, seed, LATENCY, clients=leaders, think=0.2, operations=COMMANDS)
    between = run.messages[run.messages["src"] != run.messages["dst"]]
    asked = between[between["kind"] == question]
    sent = {name: int((asked["src"] == name).sum() + (asked["dst"] == name).sum()) for name in system.names}
    needed = _needed(run.operations, between, question, tells, system.names)
    served = _run(
        system,
        leaders,
        seed,
        constant(0.0002),
        clients=CLIENTS,
        machines=Machine(per_message=PER_MESSAGE),
        duration=0.6,
        warmup=0.2,
    )
    return {
        "sent": max(sent.values()) / len(run.operations),
        "needed": max(needed.values()) / len(run.operations),
        "capacity": float(served.summary()["throughput"]),
    }


def _run(
    system: Any, leaders: int, seed: int, network: Any, *, clients: int, think: float = 0.0, **more: Any
) -> Any:
    """Writes of clients that are placed at the leaders, all of different keys."""
    operations = more.pop("operations", None)
    return Scenario(
        system=system,
        network=network,
        workload=ClosedLoop(
            clients={f"n{i}": clients // leaders for i in range(leaders)},
            think=think,
            operations=operations,
            keys=UniformKeys(10**6),
            reads=0.0,
        ),
        **{"duration": 10.0, "trace": operations is not None, **more},
    ).run(seed)


ANSWERS = {"Accept": "Accepted", "Suggest": "Accepted", "PreAccept": "PreAcceptOk"}


def _needed(
    operations: pd.DataFrame, between: pd.DataFrame, question: str, tells: str, names: Sequence[str]
) -> Mapping[str, int]:
    """Replica -> the answers that it sent, and those that reached it before its command was decided."""
    answers = between[between["kind"] == ANSWERS[question]]
    found = {name: int((answers["src"] == name).sum()) for name in names}
    for leader, commands in operations.groupby("node"):
        came = answers.loc[answers["dst"] == leader, "delivered"].sort_values()
        ends = _decisions(tells, str(leader), commands, between)
        for called, at in zip(commands["called"], ends, strict=True):
            found[str(leader)] += int(came.between(called, at).sum())
    return found


def _decisions(tells: str, leader: str, commands: pd.DataFrame, between: pd.DataFrame) -> list[float]:
    """When each command of a leader was decided, in order (seconds)."""
    if not tells:
        return [float(time) for time in commands["returned"]]
    told = between[(between["kind"] == tells) & (between["src"] == leader)]
    return sorted(dict.fromkeys(float(time) for time in told["sent"]))


def counted(*, system: Any, leaders: int, quorum: int, question: str, tells: str) -> Figures:
    """``needed``: (Q + L - 2) / L. ``sent``: what is sent to all others, or under thrifty to Q - 1 of them.

    ``capacity``: of a command a replica receives its share of the requests, one message of each exchange, and the
    message that tells the decision, if there is one.
    """
    asked = quorum - 1 if getattr(system, "thrifty", False) else NODES - 1
    sent = asked / leaders + (leaders - 1) / leaders * asked / (NODES - 1)
    received = 1 / leaders + sent + (leaders - 1) / leaders * bool(tells)
    return {
        "sent": sent,
        "needed": (quorum + leaders - 2) / leaders,
        "capacity": 1 / (PER_MESSAGE * received),
    }


def _case(
    name: str,
    system: Any,
    leaders: int,
    quorum: int,
    published: Mapping[str, float | None],
    question: str = "Accept",
    tells: str = "",
) -> Case:
    settings = {"system": system, "leaders": leaders, "quorum": quorum, "question": question, "tells": tells}
    return Case(
        name=name,
        settings=settings,
        published={**published, "capacity": None},
        samples=3,
        tolerance={"capacity": 0.05},
        published_tolerance={"needed": SHOWN},
        why="answers that come after the decision are sent, and cost, all the same",
        fast=leaders == 1,
    )


TO_ALL, FLEXIBLE = MultiPaxos(nodes=NODES), MultiPaxos(nodes=NODES, phase1=7, phase2=3)
THRIFTY, FLEXIBLE_THRIFTY = TO_ALL.changed(thrifty=True), FLEXIBLE.changed(thrifty=True)
EGALITARIAN = EPaxos(nodes=NODES)

RESULT = Published(
    name="paxi_load",
    title="The load of the busiest replica, and the capacity that follows",
    source="Ailijiang, Charapko, Demirbas, Dissecting the Performance of Replication Protocols, SIGMOD 2019",
    certainty="Recalled, and derived again by counting messages.",
    setup=(
        "Nine replicas. For exchanges each leader has a client beside it, and waits until all is quiet before its next "
        "command. *Sent* counts each question, and its answer, once at both ends. *Needed* leaves out, at the leader, "
        "answers that come after the decision. A *thrifty* leader sends only to a quorum: there the formula holds for "
        "what is sent, and the capacity follows it. Without thrifty it does not, whatever the quorum of phase 2. "
        "Capacity: 63 clients write as fast as they can; a message that is received takes 100 us of the only core."
    ),
    unit="exchanges per command; commands / s",
    measure=measured,
    expect=counted,
    expected_by=(
        "(Q + L - 2) / L for L leaders and quorums of Q, exactly; it has each replica in the rounds of all other "
        "leaders, a thrifty one is in (Q - 1) / 8 of them. The capacity is 1 / load, where the load is the exchanges, "
        "the client's request, and the message that tells a decision (EPaxos, Mencius), which the formula leaves out."
    ),
    cases=(
        _case("Multi-Paxos, thrifty", THRIFTY, 1, 5, {"sent": 4.0}),
        _case("Multi-Paxos, phase 2 of 3, thrifty", FLEXIBLE_THRIFTY, 1, 3, {"sent": 2.0}),
        _case(
            "EPaxos, fast quorum of 8, thrifty",
            EGALITARIAN.changed(thrifty=True),
            NODES,
            8,
            {"sent": None},
            "PreAccept",
            "Commit",
        ),
        _case("Multi-Paxos", TO_ALL, 1, 5, {"sent": None, "needed": 4.0}),
        _case("Multi-Paxos, phase 2 of 3", FLEXIBLE, 1, 3, {"sent": None, "needed": 2.0}),
        _case(
            "Mencius", Mencius(nodes=NODES), NODES, 5, {"sent": None, "needed": 4 / 3}, "Suggest", "Chosen"
        ),
    ),
    perturbations=(
        Perturbation(
            what="phase 2 takes 3 votes", off={"system": FLEXIBLE_THRIFTY}, cases=("Multi-Paxos, thrifty",)
        ),
        Perturbation(
            what="phase 2 takes a majority",
            off={"system": THRIFTY},
            cases=("Multi-Paxos, phase 2 of 3, thrifty",),
        ),
        Perturbation(
            what="leaders send to all others",
            off={"system": EGALITARIAN},
            cases=("EPaxos, fast quorum of 8, thrifty",),
        ),
        Perturbation(
            what="phase 2 takes 3 votes, and the leader sends to no others",
            off={"system": FLEXIBLE_THRIFTY},
            cases=("Multi-Paxos",),
        ),
        Perturbation(
            what="phase 2 takes a majority, and the leader sends to no others",
            off={"system": THRIFTY},
            cases=("Multi-Paxos, phase 2 of 3",),
        ),
        Perturbation(what="one replica leads all commands", off={"leaders": 1}, cases=("Mencius",)),
    ),
    tolerance=0.0,
)
