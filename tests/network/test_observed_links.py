"""Links whose messages are watched (checked, traced, doubled, held back) are quick, and give what careful links do."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Cut, Hold, Pause
from sim.lab.run import Run
from sim.network import Exponential, lan
from sim.network.links import Network
from sim.protocols import Raft
from sim.workload import OpenLoop


def run(*, trace: Any = True, check: bool = True, faults: bool = True, **line: float) -> Run:
    scenario = Scenario(
        system=Raft(nodes=3),
        network=lan(Exponential(0.002), **line),
        workload=OpenLoop(clients=2, rate=60.0),
        faults=[
            Hold("AppendEntries", at=0.2, until=0.3),
            Crash("n0", at=0.5, down=0.2),
            Cut("n1", "n2", at=0.8, duration=0.1),
            Pause("n2", at=1.0, duration=0.1),
            Hold("AppendEntriesReply", at=1.2, until=1.3, copies=True),
        ][: 5 * faults],
        duration=1.5,
        trace=trace,
        check=check,
    )
    return scenario.run(seed=3)


@pytest.mark.parametrize(
    "given",
    [
        {"loss": 0.05, "duplicate": 0.2},
        {"loss": 0.05, "duplicate": 0.2, "trace": 0.2},
        {"duplicate": 0.2, "trace": False, "check": False},
    ],
    ids=["checked and traced", "checked and sampled", "neither"],
)
def test_a_quick_link_gives_what_a_careful_link_gives(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    quick = run(**given)
    monkeypatch.setattr(Network, "_is_simple", lambda network, link: False)
    careful = run(**given)
    assert quick.digest() == careful.digest()
    assert quick.events_processed == careful.events_processed
    for name, frame in quick.frames.items():
        assert frame.equals(careful.frames[name]), name


def test_a_checked_link_with_latency_loss_and_duplicates_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what a storm costs is what it does with messages: `careful_link` is for what else a link can do."""

    def careful_link(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("sim.network.links.careful_link", careful_link)
    assert run(faults=False, loss=0.05, duplicate=0.2).digest()
