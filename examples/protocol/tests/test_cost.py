"""What an operation costs, exactly: two messages for each other replica, four message delays for the client."""

from __future__ import annotations

import pytest
from sim.testing import Stage

from firstlog.system import FirstLog

DELAY = 0.01  # seconds of each message on the stage


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_a_command_costs_an_append_and_an_answer_for_each_other_replica(nodes: int) -> None:
    # With such a heartbeat no timer fires meanwhile.
    stage = Stage(FirstLog(nodes=nodes, heartbeat=10.0, detection=100.0))
    stage.ask("n0", "put", "x", 1)
    stage.run(1.0)
    others = nodes - 1
    assert [len(stage.sent(kind)) for kind in ("Append", "Held")] == [others, others]
    trips = 1 if nodes == 1 else 2
    assert stage.client.answered == pytest.approx([2 * trips * DELAY])


def test_the_slower_half_costs_no_time() -> None:
    stage = Stage(FirstLog(nodes=5, heartbeat=10.0, detection=100.0))
    stage.isolate("n3", "n4")
    stage.ask("n0", "put", "x", 1)
    stage.run(1.0)
    assert stage.client.answered == pytest.approx([4 * DELAY])


def test_without_a_majority_there_is_no_answer() -> None:
    stage = Stage(FirstLog(nodes=3, heartbeat=10.0, detection=100.0))
    stage.isolate("n1", "n2")
    stage.ask("n0", "put", "x", 1)
    stage.run(1.0)
    assert stage.client.answered == []
