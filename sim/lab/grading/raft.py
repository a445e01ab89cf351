"""The lab `labs/raft`: a solution's system, its storms, and the points. Nothing here knows how a server is written."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from sim.invariants import backed, once
from sim.kernel import Streams
from sim.lab import Liveness, measure_liveness, run_storm
from sim.lab.grading.storms import DETECTION, HEARTBEAT, election_storm, short_reigns
from sim.lab.scenario import Scenario
from sim.mentions import mentions
from sim.network import constant
from sim.node import Node
from sim.system import Invariant, Member, System
from sim.workload import ClosedLoop

if TYPE_CHECKING:
    from sim.lab.fuzz.judging import Breakage

__all__ = [
    "POINTS",
    "WORTH",
    "broken_in_storms",
    "elections",
    "lost_points",
    "point_of",
    "server_of",
    "storm",
    "system",
    "why_silent",
]

AGREEMENT = (
    "replicas apply the same commands in the same order",
    "replicas that applied the same hold the same",
)
CLIENTS = (
    "each command takes effect once",
    "clients are told what came of their commands",
    "what is applied was asked for",
    "linearizable",
)
POINTS: dict[str, tuple[str, ...]] = {
    "at most one leader in a term": (
        "one elected for each term",
        "one Vote for each term and src",
        "elected is backed by a majority",
    ),
    "servers agree": AGREEMENT,
    "clients see one store": CLIENTS,
    "nothing is lost": ("acknowledged writes survive", "every replica applies what one has applied"),
    "storms end": ("progress after healing", "servers do not flood the network"),
    "elections end": ("elections end",),
}
"""Point -> the invariants that it stands for."""

WORTH: dict[str, int] = {
    "at most one leader in a term": 20,
    "servers agree": 25,
    "clients see one store": 15,
    "nothing is lost": 15,
    "storms end": 15,
    "elections end": 10,
}
"""Point -> what it is worth."""

_MOST_SENT, _MOST_BYTES = 100_000, 100e6
"""Messages in a storm, and their bytes. The solution sends 5,000 of half a megabyte at most."""

_POINT_OF = {invariant: point for point, invariants in POINTS.items() for invariant in invariants}
_ENOUGH = 20  # answers in five quiet seconds to two clients, who could get about 150


@dataclass
class NoFlood(Invariant):
    """What all send in a storm is bounded: a log that grows for ever, or answers without end, would fill the memory."""

    title: ClassVar[str] = "servers do not flood the network"
    sent: int = 0
    bytes: float = 0.0

    @property
    def is_free(self) -> bool:
        return True

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.sent += 1
        self.bytes += message.wire_bytes
        if self.sent > _MOST_SENT or self.bytes > _MOST_BYTES:
            most = f"at most {_MOST_SENT:,} and {_MOST_BYTES / 1e6:.0f} MB are allowed"
            self.violated(src, f"all have sent {self.sent:,} messages of {self.bytes / 1e6:.1f} MB", most)


def server_of(module: ModuleType) -> type[Node]:
    """The server that a submission hands in. Raises ValueError for what the hand-out asks for and it lacks."""
    server = getattr(module, "Server", None)
    if not (isinstance(server, type) and issubclass(server, Node)):
        raise ValueError("it has no class Server that is a Node")
    if "elected" not in mentions(server):
        raise ValueError('its Server never says self.record("elected", term=...)')
    votes = [kind for kind in Member("n0", server).handled if kind.__name__ == "Vote"]
    if not votes or not {"term", "granted"} <= set(votes[0]._fields):  # type: ignore[attr-defined]
        raise ValueError("its Server handles no message Vote with the fields term and granted")
    return server


def why_silent(server: type[Node]) -> str:
    """Why clients get no answers in five seconds in which nothing fails; empty if they get enough.

    A server that does nothing breaks nothing, and gets no points for that. What breaks is left to the storms.
    """
    load = ClosedLoop(clients=2, think=0.05)
    run = Scenario(system=system(server), workload=load, duration=5.0, check=False).run(1)
    if int((run.operations["status"] == "ok").sum()) >= _ENOUGH:
        return ""
    silent = "clients get no answers, although nothing fails"
    return silent if (run.events["event"] == "elected").any() else f"{silent}: no election ends"


def point_of(broken: Breakage) -> str:
    """The point that something which broke in a storm costs."""
    if broken.kind == "liveness" and broken.invariant not in _POINT_OF:
        return "storms end"
    return _POINT_OF.get(broken.invariant, "servers agree")


def system(server: type[Node], nodes: int = 5, **times: float) -> System:
    """A group of servers. It claims to be linearizable; a term has one leader, with the votes of most servers, and
    one vote of each server. A minority may be gone for good."""
    claims: list[Invariant] = [once("elected", per="term"), NoFlood()]
    votes = [kind for kind in Member("n0", server).handled if kind.__name__ == "Vote"]
    claims += [once(kind, per=("term", "src"), value="dst", when=_is_granted) for kind in votes]
    claims += [backed("elected", by=kind, on="term", when=_is_granted) for kind in votes]
    return System.of(server, "linearizable", claims, nodes=nodes, max_gone=(nodes - 1) // 2, **times)


def _is_granted(vote: Any) -> bool:
    return bool(vote.granted)


def storm(server: type[Node], seed: int) -> Scenario:
    """The storm of a seed: two of three have three servers, which need fewer mishaps, the others five.

    Even seeds draw an `election_storm`, odd ones `short_reigns`.
    """
    nodes = Streams(seed)["raft lab/size"].choice((3, 3, 5))
    group = system(server, nodes, detection=DETECTION, heartbeat=HEARTBEAT)
    drawn = (election_storm, short_reigns)[seed % 2](group, seed)
    return dataclasses.replace(drawn, check="free", name=f"raft lab {seed}")


def broken_in_storms(server: type[Node], seeds: range) -> Counter[str]:
    """The invariants that break in the storms of some seeds, with how many break each."""
    found: Counter[str] = Counter()
    for seed in seeds:
        scenario = storm(server, seed)
        run = run_storm(scenario, seed)
        if run.violation is not None:
            found[run.violation.invariant] += 1
        elif run.check().status == "invalid":
            found["linearizable"] += 1
    return found


def elections(server: type[Node], seeds: range = range(100)) -> Liveness:
    """Whether elections end, where a message takes a fifth of the shortest election timeout d.

    Votes of five servers split with a probability of at most 0.06 (r = 0.2, by the formula in `sim.lab.liveness`): two
    elections are enough in 99 % of the runs. They begin within 4d, and take a round trip of 0.4d each; the client needs
    a timeout more. So the claim is a write within 6d, in 95 % of the runs.
    """
    group = system(server, detection=0.1, heartbeat=0.02)
    slow = constant(0.02)
    return measure_liveness(group, seeds, network=slow, leader_within=6.0, write_within=6.0, share=0.95)


def lost_points(broken: Counter[str]) -> list[str]:
    """The points that broken invariants cost; an invariant in no point costs the one of agreement."""
    return list(dict.fromkeys(_POINT_OF.get(invariant, "servers agree") for invariant in broken))
