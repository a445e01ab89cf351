"""Links that are late, narrow or garble; faults that overlap; messages that are kept back past an event."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Flaky, Hold, OnEvent
from sim.faults.fault import Fault
from sim.network import constant
from sim.network.disturbances import Disturbance, together
from sim.protocols import BasicRaft, PrimaryBackup, Raft
from sim.workload import ClosedLoop, UniformKeys


def scenario(*faults: Fault, **changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": BasicRaft(nodes=3),
        "network": constant(0.005),
        "workload": ClosedLoop(clients=2, keys=UniformKeys(5), think=0.02, value_bytes=500),
        "duration": 4.0,
        "trace": True,
    }
    return Scenario(**{**base, **changes}, faults=faults)


def taken(one: Scenario, begin: float, end: float) -> Any:
    """Seconds on the way to n1, of messages sent between two times."""
    frame = one.run(1).messages
    chosen = frame[
        (frame.dst == "n1") & (frame.sent > begin) & (frame.sent < end) & (frame.fate == "delivered")
    ]
    return (chosen.delivered - chosen.sent).to_numpy()


def test_a_delay_spike_makes_each_message_so_much_later_for_its_time() -> None:
    one = scenario(Flaky("n1", at=1.0, duration=1.0, delay=0.1))
    assert taken(one, 1.0, 2.0) == pytest.approx(0.105)
    assert taken(one, 2.001, 4.0) == pytest.approx(0.005)


def test_a_bandwidth_drop_lets_messages_queue_for_its_time() -> None:
    one = scenario(Flaky("n1", at=1.0, duration=1.0, bandwidth=20_000.0))
    assert taken(one, 1.0, 2.0).min() >= 0.005 + 54 / 20_000
    assert taken(one, 1.0, 2.0).max() > 0.03
    assert taken(one, 2.5, 4.0) == pytest.approx(0.005)


@pytest.mark.parametrize("trace", [True, "full"])
def test_a_garbled_message_is_dropped_by_its_checksum_and_has_a_fate_of_its_own(trace: Any) -> None:
    run = scenario(Flaky("n1", at=1.0, duration=2.0, corrupted=0.3), trace=trace).run(1)
    frame = run.messages[(run.messages.src == "n1") | (run.messages.dst == "n1")]
    during = frame[(frame.sent > 1.0) & (frame.sent < 3.0)]
    assert 0.2 < (during.fate == "corrupted").mean() < 0.4
    assert during[during.fate == "corrupted"].delivered.isna().all()
    assert not (frame[(frame.sent < 1.0) | (frame.sent > 3.0)].fate == "corrupted").any()
    assert run.links.lost.sum() == (run.messages.fate == "corrupted").sum()


def test_a_stream_sends_what_was_garbled_again() -> None:
    network = dataclasses.replace(constant(0.005), transport="stream")
    one = scenario(Flaky("n1", at=1.0, duration=1.0, corrupted=0.2), network=network)
    frame = one.run(1).messages
    assert "corrupted" not in set(frame.fate)
    assert taken(one, 1.0, 2.0).max() > 0.2  # a retransmission timeout
    assert one.run(1).links.lost.sum() > 0


def test_the_end_of_one_disturbance_leaves_another_of_the_same_links_in_force() -> None:
    one = scenario(
        Flaky("n1", at=1.0, duration=2.0, delay=0.1), Flaky("n1", at=1.5, duration=0.5, slowdown=3.0)
    )
    assert taken(one, 1.0, 1.5) == pytest.approx(0.105)
    assert taken(one, 1.51, 2.0) == pytest.approx(0.115)
    assert taken(one, 2.01, 3.0) == pytest.approx(0.105)
    assert taken(one, 3.01, 4.0) == pytest.approx(0.005)


def test_disturbances_act_together() -> None:
    one, other = Disturbance(2.0, 0.1, 0.5, 0.2, 100.0), Disturbance(3.0, 0.2, 0.5, 0.0, 50.0)
    both = together([one, other])
    assert (both.slowdown, both.loss, both.bandwidth) == (6.0, 0.75, 50.0)
    assert (both.delay, both.corrupted) == (pytest.approx(0.3), pytest.approx(0.2))
    assert together([]) == Disturbance()


@pytest.mark.parametrize("how", [{}, {"check": True}, {"trace": "full"}], ids=str)
def test_an_old_message_arrives_after_the_change_of_leader(how: dict[str, Any]) -> None:
    faults = (
        Hold(
            "AppendEntries",
            src="leader",
            dst="n2",
            at=1.0,
            count=1,
            until=OnEvent("elected", nth=2, delay=0.05),
        ),
        Crash("leader", at=1.3, down=1.0),
    )
    run = scenario(*faults, **how).run(1)
    (_, elected) = run.events[run.events.event == "elected"].time[:2]
    frame = run.messages[(run.messages.kind == "AppendEntries") & (run.messages.dst == "n2")]
    late = frame[frame.delivered - frame.sent > 0.006]
    assert list(late.delivered) == [pytest.approx(elected + 0.05)]
    assert late.src.iloc[0] == "n0"
    (end,) = run.events[run.events.event == "release"].detail
    assert end["messages"] == 1


def test_a_class_of_messages_is_kept_back_for_a_time_and_others_are_not() -> None:
    frame = scenario(Hold("AppendEntriesReply", at=1.0, until=1.4, src="n1")).run(1).messages
    mine = frame[(frame.src == "n1") & (frame.sent > 1.0) & (frame.sent < 1.39)]
    kept = mine[mine.kind == "AppendEntriesReply"]
    assert len(kept) > 5
    assert kept.delivered.to_numpy() == pytest.approx(1.4)
    others = frame[(frame.src == "n2") & (frame.sent > 1.0) & (frame.sent < 1.39)]
    assert (others.delivered - others.sent).max() == pytest.approx(0.005)


@pytest.mark.parametrize("how", [{}, {"check": True}, {"trace": "full"}], ids=str)
def test_a_late_copy_arrives_besides_the_message_itself(how: dict[str, Any]) -> None:
    hold = Hold("AppendEntries", at=1.0, until=1.4, src="leader", dst="n2", count=2, copies=True)
    frame = scenario(hold, **how).run(1).messages
    mine = frame[(frame.kind == "AppendEntries") & (frame.dst == "n2") & (frame.sent > 0.9)]
    late = mine[mine.delivered - mine.sent > 0.006]
    assert list(late.delivered) == [pytest.approx(1.4)] * 2
    in_time = mine[(mine.delivered - mine.sent < 0.006) & mine.sent.isin(late.sent)]
    assert len(in_time) == 2


def test_over_an_ordered_link_nothing_is_copied() -> None:
    for transport in ("fifo", "stream"):
        network = dataclasses.replace(constant(0.005), transport=transport)
        runs = [
            scenario(*faults, network=network).run(1)
            for faults in ((), (Hold("AppendEntries", at=1.0, until=1.4, copies=True),))
        ]
        assert len({len(run.messages) for run in runs}) == 1


def test_behind_a_message_that_is_kept_back_an_ordered_link_waits() -> None:
    for transport in ("fifo", "stream"):
        network = dataclasses.replace(constant(0.005), transport=transport)
        hold = Hold("AppendEntries", at=1.0, until=1.3, src="n0", dst="n1", count=1)
        frame = scenario(hold, network=network, system=BasicRaft(nodes=3, leader="n0")).run(1).messages
        mine = frame[(frame.src == "n0") & (frame.dst == "n1") & (frame.fate == "delivered")].sort_values(
            "sent"
        )
        assert list(mine.delivered) == sorted(mine.delivered)
        assert ((mine.delivered - mine.sent) > 0.1).sum() > 3


def test_what_is_still_kept_back_arrives_when_the_faults_end_or_is_told_at_the_end_of_the_run() -> None:
    hold = Hold("AppendEntriesReply", at=1.0, until=OnEvent("elected", nth=99))
    for calm in (False, True):
        simulation = scenario(hold).start(1)
        simulation.run(until=1.5)
        if calm:
            simulation.calm()
        simulation.run(until=1.7)
        simulation.finish()
        fates = [row[5] for row in simulation.recorder.messages]
        assert ("held" in fates) is not calm


def test_a_message_that_no_node_takes_cannot_be_kept_back() -> None:
    with pytest.raises(ValueError, match="has no message 'AppendEntries'"):
        scenario(Hold("AppendEntries", until=2.0), system=PrimaryBackup())
    with pytest.raises(ValueError, match="until must be after at"):
        Hold("AppendEntries", at=2.0, until=1.0)
    assert scenario(Hold("Request", until=2.0), system=Raft(nodes=3)).faults
