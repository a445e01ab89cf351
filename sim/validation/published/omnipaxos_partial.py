"""Partial partitions over protocols with a leader (Ng, Haridi, Carbone, Omni-Paxos, EuroSys 2023, section 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

from sim.faults import ChainedCut, ConstrainedElection, Fault, Partition, QuorumLoss
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import BasicRaft, MultiPaxos, OmniPaxos, Raft, ViewstampedReplication
from sim.protocols.client import Retry
from sim.validation.form import SHOWN, Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

T = 0.2
"""The detection timeout, seconds."""
AT, LASTS = 2.0, 20.0
FIVE = ("n1", "n2", "n3", "n4", "n0")  # n0 leads; n1 is the server that reaches all
RAFT, VR, PAXOS, OMNI = BasicRaft(), ViewstampedReplication(), MultiPaxos(), OmniPaxos()
PRE_VOTE = Raft(pre_vote=True)

How = Literal["partial", "nothing", "everything"]


def fault_of(cut: str, how: How) -> tuple[Fault, ...]:
    """The cut; or nothing is cut; or every server is alone."""
    if how == "nothing":
        return ()
    if how == "everything":
        return (Partition(tuple((name,) for name in sorted(FIVE)[: 3 if cut == "chained" else 5]), at=AT),)
    return {
        "quorum loss": (QuorumLoss(at=AT, members=FIVE),),
        "constrained": (ConstrainedElection(at=AT, members=FIVE, behind=0.15),),
        "chained": (ChainedCut(at=AT, members=("n0", "n1", "n2")),),
    }[cut]


def measured(seed: int, *, system: Any, cut: str, within: float, how: How) -> Figures:
    """Whether writes go on in the second half of the cut, and come again in time; whether leaders stop changing."""
    idle = cut == "chained"
    run = Scenario(
        system=system.changed(nodes=3 if idle else 5, heartbeat=T / 10, detection=T),
        network=constant(0.001),
        workload=ClosedLoop(
            clients=5, keys=UniformKeys(100), reads=0.0, operations=1 if idle else None, think=0.25
        ),
        retry=Retry(timeout=T / 2, backoff=0.02, backoff_max=0.1),
        faults=fault_of(cut, how),
        duration=AT + LASTS,
    ).run(seed)
    summary = run.summary()
    if idle:
        return {"stable": float(summary["elections"] <= 1)}
    answered = run.operations.loc[run.operations["status"] == "ok", "returned"]
    figures = {"progress": float((answered > AT + LASTS / 2).any())}
    if within:
        times = [AT, *sorted(answered[answered > AT]), AT + LASTS]
        longest = max(later - earlier for earlier, later in pairwise(times))
        figures["in time"] = float(longest <= within * T)
    return figures


def reasoned(*, system: Any, cut: str, within: float, how: How) -> Figures:
    """What the rules of our protocols make of a cut."""
    if cut == "chained":
        return {"stable": float(system == OMNI)}
    if system == OMNI:
        return {"progress": 1.0, "in time": 1.0}
    if cut == "quorum loss":
        return {"progress": float(system in (RAFT, PAXOS))}
    return {"progress": float(system == PAXOS)}


def case(
    name: str,
    system: Any,
    cut: str,
    published: Mapping[str, float | None],
    within: float = 0.0,
    why: str = "",
) -> Case:
    settings = {"system": system, "cut": cut, "within": within}
    return Case(
        name=f"{cut}, {name}",
        settings=settings,
        published=published,
        published_tolerance=SHOWN if why else None,
        why=why,
        samples=3,
        fast=name == "Omni-Paxos" and cut != "constrained",
    )


NO, YES = {"progress": 0.0}, {"progress": 1.0}

RESULT = Published(
    name="omnipaxos_partial",
    title="Partial partitions: which protocols go on, and which keep one leader",
    source="Ng, Haridi, Carbone, Omni-Paxos, EuroSys 2023, figure 5 and section 7.2; the authors' blog, 8 May 2023",
    certainty="Read in the blog; the paper at second hand.",
    setup=(
        "Quorum loss: five servers, only the links of one follower are left. Constrained: the same, the leader is cut "
        "off wholly, and that follower was cut off 0.15 s earlier, so that its log is behind. Chained: three servers "
        "in a row, the leader at an end, no load. The cut lasts 100 detection timeouts. 1 means yes: writes are "
        "answered in its second half; the longest wait for an answer is within the timeouts that the paper claims; at "
        "most one leader is elected."
    ),
    unit="1 = yes, 0 = no",
    measure=measured,
    expect=reasoned,
    expected_by="the rules of the protocols as they are simulated.",
    settings={"how": "partial"},
    cases=(
        case(
            "Raft",
            RAFT,
            "quorum loss",
            NO,
            why="Terms of servers that hear no leader rise, and depose it when they reach the follower in the middle, "
            "which then stands itself (Howard and Abraham 2020). With PreVote no terms rise: see the next case.",
        ),
        case("Raft, PreVote", PRE_VOTE, "quorum loss", {"progress": None}),
        case(
            "Multi-Paxos",
            PAXOS,
            "quorum loss",
            NO,
            why="A follower that promised a higher ballot refuses the leader's proposals, so it has no leader and "
            "campaigns; the paper's Multi-Paxos campaigns only when the leader is silent "
            "(tried in tests/paper/test_omnipaxos_paper.py).",
        ),
        case("VR", VR, "quorum loss", NO),
        case("Omni-Paxos", OMNI, "quorum loss", {"progress": 1.0, "in time": 1.0}, within=4.0),
        case("Raft", RAFT, "constrained", NO),
        case("Multi-Paxos", PAXOS, "constrained", YES),
        case("VR", VR, "constrained", NO),
        case("Omni-Paxos", OMNI, "constrained", {"progress": 1.0, "in time": 1.0}, within=3.0),
        case("Raft", RAFT, "chained", {"stable": 0.0}),
        case("Multi-Paxos", PAXOS, "chained", {"stable": 0.0}),
        case("Omni-Paxos", OMNI, "chained", {"stable": 1.0}),
    ),
    perturbations=(
        Perturbation(
            what="nothing is cut",
            off={"how": "nothing"},
            cases=(
                "quorum loss, VR",
                "quorum loss, Raft, PreVote",
                "constrained, Raft",
                "constrained, VR",
                "chained, Raft",
                "chained, Multi-Paxos",
            ),
        ),
        Perturbation(
            what="every server is cut off",
            off={"how": "everything"},
            cases=(
                "quorum loss, Raft",
                "quorum loss, Multi-Paxos",
                "quorum loss, Omni-Paxos",
                "constrained, Multi-Paxos",
                "constrained, Omni-Paxos",
            ),
        ),
        Perturbation(
            what="another system that gossips ballots",
            off={"system": PAXOS},
            cases=("chained, Omni-Paxos",),
        ),
    ),
    tolerance=0.1,
)
