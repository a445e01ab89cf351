"""Outages after failures in message delays (van Renesse and Schneider, OSDI 2004, section 4)."""

from __future__ import annotations

from sim.protocols import ChainReplication, PrimaryBackup
from sim.protocols.client import Reply
from sim.protocols.command import Command
from sim.system import System
from sim.testing import Stage
from sim.validation.form import SHOWN, Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

CHAIN, PAIR = ChainReplication(nodes=4, service_at="n2"), PrimaryBackup(nodes=3)
LEASE = PrimaryBackup(nodes=3, reads="lease")
STEP = 10  # requests per message delay


DELAY = 0.001  # seconds


class _Asked(Stage):
    """A stage whose client asks members, and waits."""

    def request(self, name: str, kind: str, session: int, key: str = "x") -> int:
        """The client sends a command to a member; its sequence number."""
        self.sequence += 1
        self.send_command(name, Command(session, self.sequence, kind, key, self.sequence))
        return self.sequence

    def calm(self, name: str, kind: str = "put") -> float:
        """How long the reply to a request takes, in message delays."""
        asked, before = self.now, len(self.client.replies)
        self.request(name, kind, session=1)
        while len(self.client.replies) == before:
            self.cluster.env.step()
        return float((self.now - asked) / DELAY)


def _crashed(system: System, victim: str) -> _Asked:
    stage = _Asked(system, delay=DELAY)
    stage.run(0.02)
    stage.calm("n0")  # a write of which the backups have yet to learn that it took effect
    stage.crash(victim)
    return stage


def outage(seed: int, *, system: System, victim: str, kind: str, asked: str, detour: float) -> Figures:
    """Message delays from the decision of the service until requests are served again.

    Requests reach the member ``asked`` from the decision on, each just after a tenth of a delay; what a reply takes in
    normal times is subtracted. ``detour``: how many delays later than they could the requests begin to arrive.
    """
    probe = _crashed(system, victim)
    while not probe.events("view"):
        probe.cluster.env.step()
    decided = float(probe.now)
    stage = _crashed(system, victim)
    stage.run(decided + (detour - 0.999) * DELAY - stage.now)
    asks = []
    for session in range(10 * STEP):
        asks.append(stage.request(asked, kind, session=10 + session, key=f"k{session}"))
        stage.run(DELAY / STEP)
    stage.run(0.1)
    first = min(t for t, _, reply in stage.client.heard_of(Reply) if reply.sequence in asks)
    calm = stage.calm(asked, kind) - 1  # from arrival to reply, once all is settled
    return {"outage": round(float((first - decided) / DELAY - calm), 2)}


def in_delays(*, system: System, victim: str, kind: str, asked: str, detour: float) -> Figures:
    """What our protocols need, step by step."""
    if isinstance(system, ChainReplication):
        found = {"n0": 0.0 if kind == "get" else 1.0, "n1": 0.0, "n3": 1.0}[victim]
    else:
        found = 3.0 if victim == "n0" else (0.0 if kind == "get" else 1.0)
    return {"outage": found}


def _case(name: str, system: System, victim: str, kind: str, asked: str, published: float) -> Case:
    return Case(
        name=name,
        settings={"system": system, "victim": victim, "kind": kind, "asked": asked},
        published={"outage": published},
        published_tolerance=SHOWN,
        why=(
            "the paper counts the delay in which the master tells the clients, too, and for a primary one "
            "that elects; "
            "ours learn by asking. No outage is longer than the paper's."
        ),
        fast=True,
    )


RESULT = Published(
    name="chain_failover",
    title="Outages after a failure, in message delays",
    source="van Renesse and Schneider, Chain Replication, OSDI 2004, section 4",
    certainty="Read.",
    setup=(
        "Detection excluded: from the decision of the master, or of the view service, until a request is "
        "served that "
        "arrives at the member that will serve it. Four servers in a chain; a primary and two backups."
    ),
    unit="message delays",
    measure=outage,
    expect=in_delays,
    expected_by=(
        "the steps of our protocols, exactly: a member that gets a role is told (1); a new primary then "
        "confirms with "
        "its backups what it holds (2 more); a primary is told of a backup's failure (1)."
    ),
    settings={"detour": 0.0},
    cases=(
        _case("chain, head, queries", CHAIN, "n0", "get", "n3", 0.0),
        _case("chain, head, updates", CHAIN, "n0", "put", "n1", 2.0),
        _case("chain, middle, queries", CHAIN, "n1", "get", "n3", 0.0),
        _case("chain, tail, queries", CHAIN, "n3", "get", "n2", 2.0),
        _case("primary, queries under a lease", LEASE, "n0", "get", "n1", 5.0),
        _case("primary, updates", PAIR, "n0", "put", "n1", 5.0),
        _case("backup, queries under a lease", LEASE, "n2", "get", "n0", 0.0),
        _case("backup, updates", PAIR, "n2", "put", "n0", 1.0),
    ),
    perturbations=(Perturbation(what="requests begin to arrive five delays later", off={"detour": 5.0}),),
    tolerance=0.01,
    deterministic=True,
)
