"""Mencius: its four rules, what an operation costs, storms."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import Mencius
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.consensus.mencius.messages import (
    Accepted,
    Chosen,
    Fetch,
    Heartbeat,
    Known,
    Prepare,
    Promise,
    Revoke,
    Suggest,
)
from sim.protocols.consensus.mencius.node import MenciusNode
from sim.testing import Bench, survive
from tests.budget import storms

DELTA = 0.01
SLOW = Mencius(nodes=3, heartbeat=0.2, detection=2.0)
MEMBERS = ("n0", "n1", "n2")


def work_messages(s: Any) -> Counter[str]:
    return Counter(m[0] for m in s.messages() if m[0] != "Heartbeat")


def replica(name: str = "n0", seed: int = 0) -> Bench[MenciusNode]:
    bench = Bench(MenciusNode, name, members=MEMBERS, settings=SLOW, seed=seed, keep_own=True)
    bench.deliver_self()
    return bench


def put(value: Any, session: int = 1) -> Command:
    return Command(session, 1, "put", "x", value)


# Costs


@pytest.mark.parametrize("n", [1, 3, 5, 7])
@pytest.mark.parametrize(("beside", "delays"), [(None, 4), ("n0", 2)])
def test_any_replica_serves_in_two_delays_and_three_messages_a_peer(
    stage: Callable[..., Any], n: int, beside: str | None, delays: int
) -> None:
    s = stage(Mencius(nodes=n, heartbeat=5.0, detection=50.0), beside=beside and f"n{n - 1}")
    s.ask(f"n{n - 1}", value="v")
    s.run(1.0)
    here = 0 if n > 1 else 2
    assert s.client.answered[0] == pytest.approx((delays - here) * DELTA)
    expected = {"Suggest": n - 1, "Accepted": n - 1, "Chosen": n - 1} if n > 1 else {}
    assert work_messages(s) == expected


def test_all_replicas_may_suggest_at_once_and_none_waits_for_another_leader(
    stage: Callable[..., Any],
) -> None:
    s = stage(Mencius(nodes=5, heartbeat=5.0, detection=50.0))
    for i in range(5):
        s.ask(f"n{i}", "increment", 1, session=i)
    s.run(1.0)
    # The first slot's is answered at once, the others learn one delay later that it was chosen.
    assert sorted(round(t / DELTA) for t in s.client.answered) == [4, 5, 5, 5, 5]
    assert sorted(r.result for r in s.replies) == [1, 2, 3, 4, 5]
    s.finish()


# The rules


def test_slots_go_round_the_replicas() -> None:
    bench = replica()
    assert [bench.node.owner(slot) for slot in range(1, 7)] == ["n0", "n1", "n2"] * 2
    for name, first in zip(MEMBERS, (1, 2, 3), strict=True):
        node = replica(name).node
        assert [node.own_after(slot) for slot in range(7)] == [
            next(s for s in range(slot + 1, 99) if node.owner(s) == name) for slot in range(7)
        ]
        assert node.own_after(0) == first


def test_rule_1_a_client_s_command_is_suggested_in_the_next_own_slot() -> None:
    bench = replica("n1")
    bench.node.suggest(put("a"))
    bench.node.suggest(put("b", session=2))
    assert [m.slot for m in bench.take("n0", Suggest)] == [2, 5]


def test_rule_2_a_suggestion_makes_the_others_skip_their_slots_before_it() -> None:
    bench = replica("n0")
    bench.deliver("n1", Suggest(8, put("a"), 2))
    assert bench.take("n1", Accepted) == [Accepted(8, Ballot(0, "n1"), 1, 10)]  # 1, 4 and 7 are skipped
    bench.node.suggest(put("b", session=2))
    assert bench.take("n1", Suggest) == [Suggest(10, put("b", session=2), 1)]


def test_a_coordinator_s_skip_is_a_no_op_chosen_at_once() -> None:
    bench = replica("n0")
    bench.deliver("n2", Suggest(6, put("a"), 3))
    assert bench.node.decided == {3: NOOP}
    bench.deliver_self()  # its own skips of 1 and 4 are on disk
    assert bench.node.applied == 1


def test_an_overtaken_suggestion_still_tells_of_the_skips_before_it() -> None:
    bench = replica("n1")
    bench.deliver("n0", Accepted(99, Ballot(0, "n1"), 7, 10))  # n0 has suggested in 4 and skipped 7
    assert sorted(bench.node.decided) == [7]
    bench.deliver("n0", Suggest(4, put("a"), 1))
    assert sorted([*bench.node.decided, *range(1, bench.node.applied + 1)]) == [1, 7]


def test_the_news_that_a_suggestion_was_chosen_may_arrive_before_the_suggestion() -> None:
    bench = replica("n1")
    bench.deliver("n0", Chosen(1))
    assert bench.node.applied == 0
    bench.deliver("n0", Suggest(1, put("a"), 1))
    assert bench.node.store.application.data == {"x": "a"}


def test_rule_3_slots_that_hold_up_the_others_are_revoked(stage: Callable[..., Any]) -> None:
    s = stage(Mencius(nodes=3))
    s.crash("n1")
    s.ask("n0", value="v")
    s.run(0.1)
    s.ask("n0", value="w", session=2)  # slot 4; slot 2 is n1's
    s.run(0.3)
    assert [r.value for r in s.replies] == ["v"]
    s.run(1.0)
    assert [r.value for r in s.replies] == ["v", "w"]
    asked = s.now
    s.ask("n0", value="x", session=3)
    s.run(0.2)
    assert s.replies[-1].value == "x"  # n1's next slots were revoked with the first
    assert s.client.answered[-1] - asked == pytest.approx(4 * DELTA)
    s.restart("n1")
    s.run(0.2)
    s.ask("n1", value="y", session=4)
    s.run(0.5)
    assert s.replies[-1].value == "y"
    s.finish()


def test_golden_trace_of_a_revocation(stage: Callable[..., Any], golden: Callable[[str, str], None]) -> None:
    s = stage(Mencius(nodes=3, heartbeat=0.4, detection=0.5, revoke_ahead=3))
    s.crash("n1")
    s.ask("n0", value="v")
    s.run(0.1)
    s.ask("n0", value="w", session=2)  # slot 4; slot 2 is n1's
    s.run(1.1)
    log = [f"slot {slot}: {command}" for slot, command in enumerate(s.node("n0").log, 1)]
    golden("mencius_revocation.txt", "\n".join([s.trace(), "n0 has executed:", *log]))


def test_rule_3_a_suggestion_that_a_replica_accepted_is_recovered(stage: Callable[..., Any]) -> None:
    s = stage(Mencius(nodes=3, heartbeat=0.2, detection=2.0))
    s.ask("n1", value="kept")
    s.run(2.5 * DELTA)  # the suggestion has arrived
    s.crash("n1")
    s.ask("n0", value="later", key="y", session=2)
    s.run(6.0)
    assert s.node("n0").store.application.data == {"x": "kept", "y": "later"}
    s.finish()


def test_rule_4_a_revoked_command_is_suggested_again(stage: Callable[..., Any]) -> None:
    s = stage(Mencius(nodes=3))
    s.isolate("n1")
    s.ask("n1", value="stubborn", key="y")
    s.run(0.1)
    s.ask("n0", value="v", session=2)
    s.run(2.0)  # n0 and n2 have revoked n1's slots
    s.heal()
    s.run(1.5)
    assert {r.value for r in s.replies} == {"v", "stubborn"}
    s.finish()


def test_a_slot_in_which_nothing_was_accepted_gets_a_no_op_and_else_the_highest_vote() -> None:
    bench = replica("n0")
    bench.node.highest = 5
    bench.node.revoke("n1", 1)
    ballot = Ballot(1, "n0")
    bench.take()
    first = Promise(ballot, 2, 155, ())
    second = Promise(ballot, 2, 155, ((5, Vote(Ballot(0, "n1"), put("a"))),))
    bench.deliver("n1", first)
    asked = bench.deliver("n2", second)
    assert asked[0][1] == Revoke(ballot, 2, 155, ((5, put("a")),))


def test_an_acceptor_that_promised_a_revocation_refuses_the_late_suggestion() -> None:
    bench = replica("n2")
    bench.deliver("n0", Prepare(Ballot(1, "n0"), 2, 8))
    bench.take()
    assert bench.deliver("n1", Suggest(2, put("late"), 2)) == []
    assert 2 not in bench.node.votes


def test_revocations_that_bring_nothing_wait_twice_as_long_each_time() -> None:
    """Replicas that are slow to send would otherwise refuse each other's for ever."""
    bench = replica("n2")
    bench.deliver("n0", Suggest(4, put("a"), 4))
    waited = []
    for _ in range(6):
        waited.append(bench.timers["stuck", None] - bench.time)
        bench.fire("stuck")
    for wait, least in zip(waited, [2, 2, 4, 8, 16, 16], strict=True):
        assert least <= wait < 2 * least
    bench.deliver("n0", Known(tuple((slot, put(slot, session=slot)) for slot in range(1, 4))))
    assert 2 <= bench.timers["stuck", None] - bench.time < 4


def test_a_late_suggestion_is_answered_with_its_own_slot_and_not_with_the_whole_log() -> None:
    """A coordinator with many revoked suggestions, on slow cards, got nothing else any more."""
    bench = replica("n2")
    bench.deliver("n0", Known(tuple((slot, put(slot, session=slot)) for slot in range(1, 9))))
    bench.deliver("n0", Prepare(Ballot(1, "n0"), 2, 8))
    bench.take()
    bench.deliver("n1", Suggest(2, put("late"), 2))
    assert bench.take("n1", Known) == [Known(((2, put(2, session=2)),))]


def test_a_restarted_coordinator_uses_no_slot_twice_and_sends_again_what_it_had_suggested() -> None:
    bench = replica("n1")
    bench.node.suggest(put("a"))
    bench.restart()
    bench.deliver_self()
    bench.node.suggest(put("b", session=2))
    assert bench.take("n0", Suggest) == [Suggest(5, put("b", session=2), 5)]
    assert bench.node.open.keys() == {2, 5}


def test_a_replica_that_lags_asks_and_learns(stage: Callable[..., Any]) -> None:
    s = stage(Mencius(nodes=3, revoke_ahead=1000))
    s.crash("n2")
    for session in range(300):
        s.ask("n0", "increment", 1, session=session)
    s.run(3.0)
    s.restart("n2")
    s.run(1.0)
    assert s.node("n2").store.application.data == {"x": 300}
    s.finish()


def test_a_replica_that_lags_waits_ever_longer_between_two_fetches_until_it_executes() -> None:
    bench = replica("n2")
    ahead = Heartbeat(10, 11, 11)
    asked = []
    for tick in range(40):
        bench.fire("tick")
        for peer in ("n0", "n1"):
            bench.deliver(peer, ahead)
        if fetches := bench.take(kind=Fetch):
            asked.append(tick)
            assert len(fetches) <= 2  # the coordinator of the next slot, and one replica that is ahead
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits == [1, 2, 4, 8, 16]
    bench.deliver("n0", Known(((1, put("a")),)))
    bench.fire("tick")
    bench.fire("tick")
    assert bench.take(kind=Fetch)


def test_each_command_takes_effect_once_though_two_replicas_suggest_it(stage: Callable[..., Any]) -> None:
    s = stage(Mencius(nodes=3))
    s.ask("n0", "increment", 1)
    s.ask_again("n1", "increment", 1)
    s.run(0.3)
    assert s.node("n2").store.application.data == {"x": 1}
    assert {r.result for r in s.replies} == {1}


# Storms


def mencius(seed: int) -> Mencius:
    """Three or five replicas; in a third of the storms few slots are revoked at once."""
    return Mencius(nodes=3 + 2 * (seed % 2), revoke_ahead=2 if seed % 3 == 2 else 50)


@storms(6, 2.0)
def test_mencius_is_safe_in_every_storm_and_goes_on_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(mencius(seed), seed, length)
