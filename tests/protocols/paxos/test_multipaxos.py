"""Multi-Paxos: what an operation and an election cost, recovery of values, gaps, catching up, retries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import MultiPaxos, Paxos
from sim.protocols.command import NOOP
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.quorums import Explicit, Rows, Weighted

DELTA = 0.01


def settled(stage: Callable[..., Any], system: MultiPaxos | None = None, **more: Any) -> Any:
    """A stage whose leader has won, n0, at a time between two heartbeats."""
    s = stage(system or MultiPaxos(nodes=5), **more)
    s.run(0.055 if not more.get("fsync") else 0.06)
    assert s.node("n0").role == "leader"
    return s


@pytest.mark.parametrize("n", [1, 3, 5, 7])
def test_phase_one_for_all_slots_takes_two_delays_and_one_round_of_messages(
    stage: Callable[..., Any], n: int
) -> None:
    s = stage(MultiPaxos(nodes=n))
    s.run(0.04)
    assert s.events("elected")[0][0] == (pytest.approx(2 * DELTA) if n > 1 else 0.0)
    assert Counter(m[0] for m in s.messages())["Prepare"] == n - 1
    assert Counter(m[0] for m in s.messages())["Promise"] == n - 1


@pytest.mark.parametrize("n", [1, 3, 5, 7])
@pytest.mark.parametrize(("beside", "delays"), [(None, 4), ("n0", 2)])
def test_a_write_takes_two_delays_at_the_leader_and_four_from_afar_and_two_messages_a_follower(
    stage: Callable[..., Any], n: int, beside: str | None, delays: int
) -> None:
    s = settled(stage, MultiPaxos(nodes=n, heartbeat=10.0, detection=100.0), beside=beside)
    start = s.now
    s.ask("n0", value=1)
    s.run(0.2)
    here = 0 if n > 1 else 2  # alone, it needs nobody's answer
    assert s.client.answered[0] - start == pytest.approx((delays - here) * DELTA)
    assert Counter(m[0] for m in s.messages(since=start)) == (
        {"Accept": n - 1, "Accepted": n - 1} if n > 1 else {}
    )


def test_followers_learn_with_the_next_proposal_or_heartbeat(stage: Callable[..., Any]) -> None:
    s = settled(stage)
    s.ask("n0", value=1)
    s.run(0.2)
    assert [s.node(f"n{i}").applied for i in range(5)] == [1] * 5
    assert Counter(m[0] for m in s.messages())["Learn"] == 0


def test_a_follower_redirects_to_the_leader(stage: Callable[..., Any]) -> None:
    s = settled(stage)
    s.ask("n3", value=1)
    s.run(0.1)
    assert s.client.redirects[0].leader == "n0"


def test_requests_that_come_during_phase_one_are_served_after_it(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3))
    s.ask("n0", value=1)
    s.run(0.1)
    assert [r.status for r in s.replies] == ["ok"]


def test_a_new_leader_recovers_a_value_that_only_one_of_its_quorum_knows(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3))
    s.isolate("n2")
    s.ask("n0", value="kept")
    s.run(0.1)
    assert s.replies[0].status == "ok"  # chosen by n0 and n1
    s.crash("n0")
    s.heal()
    s.step("n2", "campaign")
    s.run(0.3)
    assert s.node("n2").role == "leader"
    assert s.node("n2").store.application.data == {"x": "kept"}


def leave_a_gap(s: Any) -> None:
    """Slot 1 is chosen; of slot 2 only n0 knows; slot 3 is accepted by all. Then n0 crashes."""
    s.ask("n0", value="a", session=1)
    s.run(0.03)
    s.isolate("n0")
    s.ask("n0", value="b", session=2)
    s.run(0.015)
    s.heal()
    s.ask("n0", value="c", session=3)
    s.run(0.025)  # the proposal has arrived, the answers have not, and no heartbeat has sent slot 2 again
    s.crash("n0")


def test_a_gap_is_filled_with_a_no_op_and_what_lies_behind_it_is_kept(stage: Callable[..., Any]) -> None:
    """Section 3: the new leader proposes 135 and 140 again, and no-ops in between."""
    s = settled(stage, MultiPaxos(nodes=3, heartbeat=0.2, detection=2.0))
    leave_a_gap(s)
    s.step("n1", "campaign")
    s.run(0.3)
    assert [s.node("n1").votes[slot].command for slot in (2,)] == [NOOP]
    assert s.node("n1").store.application.data == {"x": "c"}
    s.restart("n0")
    s.run(3.0)
    assert s.node("n0").store.application.data == {"x": "c"}
    s.ask_again("n1", value="b", session=2)
    s.run(0.1)
    assert s.replies[-1].status == "ok"
    s.finish()


def test_golden_trace_of_a_gap(stage: Callable[..., Any], golden: Callable[[str, str], None]) -> None:
    s = settled(stage, MultiPaxos(nodes=3, heartbeat=0.2, detection=2.0))
    leave_a_gap(s)
    s.step("n1", "campaign")
    s.run(0.1)
    slots = [f"slot {slot}: {vote.command}" for slot, vote in sorted(s.node("n1").votes.items())]
    golden("multipaxos_gap.txt", "\n".join([s.trace(), "n1 has applied:", *slots]))


def test_a_leader_that_dies_is_replaced_after_one_to_two_detection_times(stage: Callable[..., Any]) -> None:
    s = settled(stage)
    crashed = s.now
    s.crash("n0")
    s.run(1.2)
    elected = s.events("elected")[-1]
    assert 0.5 - 0.05 - 2 * DELTA <= elected[0] - crashed <= 1.0 + 4 * DELTA
    assert elected[1] != "n0"


def test_a_deposed_leader_sends_its_clients_away_and_their_commands_take_effect_once(
    stage: Callable[..., Any],
) -> None:
    s = settled(stage, MultiPaxos(nodes=3))
    s.isolate("n0")
    s.ask("n0", "increment", 1)
    s.run(0.05)
    s.heal()
    s.step("n1", "campaign")
    s.run(0.05)
    assert s.client.redirects
    s.ask_again("n1", "increment", 1)
    s.run(0.05)
    s.ask_again("n1", "increment", 1)
    s.run(0.1)
    assert [r.result for r in s.replies] == [1, 1]
    assert s.node("n1").store.application.data == {"x": 1}


def test_lost_proposals_are_sent_again(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3))
    s.isolate("n0")
    s.ask("n0", value="v")
    s.run(0.02)
    s.heal()
    s.run(0.2)
    assert s.replies[0].status == "ok"


def test_a_lagging_replica_asks_for_what_it_missed(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=3))
    s.crash("n2")
    for i in range(1200):  # more than one answer carries
        s.ask("n0", "increment", 1, session=i)
    s.run(0.1)
    s.restart("n2")
    s.run(0.5)
    assert s.node("n2").applied == 1200
    assert s.node("n2").store.application.data == {"x": 1200}
    assert Counter(m[0] for m in s.messages())["Learned"] == 3
    s.finish()


def test_a_restarted_replica_replays_what_it_had_executed_from_its_own_disk(
    stage: Callable[..., Any],
) -> None:
    s = settled(stage, MultiPaxos(nodes=3), fsync=0.001)
    for i in range(10):
        s.ask("n0", value=i, session=i)
        s.run(0.05)
    s.crash("n2")
    s.restart("n2")
    assert s.node("n2").applied >= 8  # the last ones it knew as applied only after its last vote
    assert s.node("n2").promised == Ballot(1, "n0")


@pytest.mark.parametrize(
    ("phase1", "phase2", "pair"),
    [
        (3, 1, ("n0, n1, n2", "n3")),
        (Weighted((1, 1, 1, 3), 3), 1, ("n3", "n2")),
        (Rows(2, 2), Rows(2, 2), ("n0, n1", "n2, n3")),
        (Explicit((("n0", "n3"),)), Explicit((("n1", "n2"), ("n0", "n1"))), ("n0, n3", "n1, n2")),
    ],
    ids=["counts", "weights", "grid", "sets"],
)
def test_quorums_of_any_kind_that_do_not_meet_are_refused_with_a_pair_that_does_not(
    phase1: Any, phase2: Any, pair: tuple[str, str]
) -> None:
    message = f"the phase-1 quorum {pair[0]} and the phase-2 quorum {pair[1]} do not meet"
    with pytest.raises(ValueError, match=message):
        MultiPaxos(nodes=4, phase1=phase1, phase2=phase2)
    with pytest.raises(ValueError, match=message):
        Paxos(nodes=4, phase1=phase1, phase2=phase2)
    assert MultiPaxos(nodes=4, phase1=phase1, phase2=phase2, unsafe=True).label.startswith("UNSAFE")


def test_small_phase_two_quorums_let_writes_go_on_with_most_replicas_down(stage: Callable[..., Any]) -> None:
    s = settled(stage, MultiPaxos(nodes=5, phase1=4, phase2=2))
    for name in ("n2", "n3", "n4"):
        s.crash(name)
    s.ask("n0", value="v")
    s.run(0.1)
    assert s.replies[0].status == "ok"
    s.crash("n0")
    s.run(5.0)
    assert s.node("n1").role == "candidate"  # four are needed to elect
    s.restart("n0")
    s.restart("n2")
    s.restart("n3")
    s.run(3.0)
    assert {s.node(n).store.application.data["x"] for n in ("n0", "n1", "n2", "n3")} == {"v"}
