"""A hint that is offered in the very last moment before it expires is no violation, whichever clock tells its age."""

from __future__ import annotations

import dataclasses
from typing import Any

from sim import Retry, Scenario
from sim.network import constant
from sim.protocols import Dynamo
from sim.workload import ClosedLoop, Mix, UniformKeys


def test_a_hint_at_the_end_of_its_time_is_judged_with_the_rounding_of_two_clocks() -> None:
    """Offers every 50 ms meet an expiry of 100 ms exactly: the node's clock and the ghost's differ in the last bit."""
    system = Dynamo(
        nodes=5,
        n=3,
        r=2,
        w=2,
        sloppy=True,
        hint_expiry=0.1,
        handoff_every=0.05,
        grace=60.0,
        heartbeat=0.05,
        detection=0.2,
        sync_every=None,
    )
    scenario = Scenario(
        system=system,
        network=constant(0.01),
        workload=ClosedLoop(clients=1, mix=Mix((("put", 1.0),), UniformKeys(1)), think=0.05),
        duration=5.0,
        retry=Retry(timeout=0.25, backoff=0.0, backoff_max=0.0),
        check=True,
    )
    live = scenario.start(1)
    client = next(name for name in live.nodes if name not in live.members)
    asker: Any = live.nodes[client]
    coordinator = asker.settings.contacts[0]
    asker.settings = dataclasses.replace(asker.settings, contacts=(coordinator,))
    for home in [home for home in system.homes("k0") if home != coordinator]:
        live.crash(home)
    live.run(until=1.5)
    answers = [(name, client) for name in system.names]
    live.cut(answers)  # one write stays the last: its hints grow old
    live.run(until=2.3)
    live.heal(answers)
    live.run(until=4.0)
    live.finish()
    assert len(live.acknowledged) > 20  # it goes on
