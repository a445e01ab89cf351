"""Outages after failures in message delays: van Renesse & Schneider (OSDI 2004), section 4, detection excluded.

The outage of a service lasts from the decision of the master (or view service) until requests are served again: the
earliest reply to one that keeps asking, less what a reply takes in normal times. The paper's figures hold
the delay in which the master tells the clients as well; ours learn by asking, so that ours may be shorter.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Reply
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.system import System

CHAIN, PAIR = ChainReplication(nodes=4, service_at="n2"), PrimaryBackup(nodes=3)
LEASE = PrimaryBackup(nodes=3, reads="lease")
STEP = 10  # requests per message delay


def decision(stage: Any, system: System, victim: str) -> float:
    """When the service decides on the next view or chain."""
    s = stage(system)
    s.run(0.02)
    s.latency("n0")  # a write of which the backups have yet to learn that it took effect
    s.crash(victim)
    while not s.events("view"):
        s.cluster.env.step()
    return float(s.now)


def outage(stage: Any, system: System, victim: str, kind: str, asked: str) -> float:
    """In message delays, for requests that reach ``asked`` from the decision on, each just after a tenth of a delay."""
    decided = decision(stage, system, victim)
    s = stage(system)
    s.run(0.02)
    s.latency("n0")  # a write of which the backups have yet to learn that it took effect
    s.crash(victim)
    s.run(decided - 0.999 * s.delta - s.now)
    asks = []
    for session in range(10 * STEP):
        asks.append(s.ask(asked, kind, session=10 + session, key=f"k{session}"))
        s.run(s.delta / STEP)
    s.run(0.1)
    first = min(t for t, _, reply in s.client.heard_of(Reply) if reply.sequence in asks)
    calm = s.latency(asked, kind, session=1) - 1  # from arrival to reply, once all is settled
    return float((first - decided) / s.delta - calm)


@pytest.mark.parametrize(
    ("system", "victim", "kind", "asked", "ours", "paper"),
    [
        (CHAIN, "n0", "get", "n3", 0, 0),  # the head
        (CHAIN, "n0", "put", "n1", 1, 2),
        (CHAIN, "n1", "get", "n3", 0, 0),  # the middle
        (CHAIN, "n3", "get", "n2", 1, 2),  # the tail
        (LEASE, "n0", "get", "n1", 3, 5),  # the primary
        (PAIR, "n0", "put", "n1", 3, 5),
        (LEASE, "n2", "get", "n0", 0, 0),  # a backup
        (PAIR, "n2", "put", "n0", 1, 1),
    ],
)
def test_outages_in_message_delays(
    stage: Any, system: System, victim: str, kind: str, asked: str, ours: float, paper: float
) -> None:
    found = outage(stage, system, victim, kind, asked)
    assert found == pytest.approx(ours, abs=2e-3)
    assert found <= paper + 2e-3


@pytest.mark.parametrize(("victim", "delays"), [("n1", 4), ("n2", 3), ("n3", 2)])
def test_updates_on_their_way_are_answered_that_many_delays_after_the_decision(
    stage: Any, victim: str, delays: int
) -> None:
    """The middle: told, sent on by the predecessor, then down the chain; the paper's 4. The tail: its predecessor
    is told, and answers; the paper's 2. No update is refused meanwhile.
    """
    decided = decision(stage, CHAIN, victim)
    s = stage(CHAIN)
    s.run(0.02)
    s.latency("n0")
    s.crash(victim)
    s.run(decided - 6 * s.delta - s.now)
    lost = s.ask("n0")
    s.run(0.1)
    (told,) = [t for t, _, reply in s.client.heard_of(Reply) if reply.sequence == lost]
    assert (told - decided) / s.delta == pytest.approx(delays)
    assert not s.client.redirects
