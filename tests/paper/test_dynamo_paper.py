"""DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store" (SOSP 2007), a test for each claim used."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim.protocols import Dynamo
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.replication.dynamo import DynamoNode, Stamped
from sim.protocols.replication.dynamo.messages import (
    Answer,
    Get,
    GetReply,
    Handoff,
    HandoffAck,
    Leaves,
    Ping,
    Pong,
    Put,
    PutAck,
    Repair,
    Tree,
    Update,
)
from sim.protocols.replication.dynamo.versions import write_siblings
from sim.protocols.rings import Ring
from sim.testing import Bench

SYSTEM = Dynamo(nodes=5, n=3, r=2, w=2, heartbeat=0.05, detection=0.5)
KEY = next(k for k in (f"k{i}" for i in range(1000)) if SYSTEM.order(k)[0] == "n0")
HOMES, SPARES = SYSTEM.order(KEY)[:3], SYSTEM.order(KEY)[3:]
OLD, NEW = Stamped((1.0, 1, 1), "old"), Stamped((2.0, 1, 2), "new")


def node(name: str = "n0", **changes: Any) -> Bench[DynamoNode]:
    system = dataclasses.replace(SYSTEM, **changes)
    return Bench(DynamoNode, name, members=system.names, settings=system, keep_own=True)


def ticket_of(bench: Bench[DynamoNode]) -> tuple[int, int]:
    (ticket,) = bench.node.coordinator.operations
    return ticket


def writing(bench: Bench[DynamoNode], version: Any = NEW) -> list[tuple[str, Any]]:
    return bench.deliver("client", Update(1, 2, KEY, version))


def reading(bench: Bench[DynamoNode]) -> list[tuple[str, Any]]:
    return bench.deliver("client", Request(Command(1, 3, "get", KEY)))


def test_4_2_a_preference_list_skips_positions_so_that_its_nodes_are_distinct() -> None:
    ring = Ring.of((name, SYSTEM.points, name) for name in SYSTEM.names)
    met = list(ring.walk(KEY))
    assert len(met) == 5 * SYSTEM.points
    assert tuple(dict.fromkeys(met)) == SYSTEM.order(KEY)
    assert len(set(SYSTEM.order(KEY))) == 5


@pytest.mark.parametrize("name", ["n0", SPARES[0]])
def test_4_5_any_node_may_coordinate_and_sends_to_the_n_homes(name: str) -> None:
    sent = writing(node(name))
    assert [(dst, msg.version, msg.home) for dst, msg in sent] == [(home, NEW, home) for home in HOMES]
    assert {type(msg) for _, msg in sent} == {Put}


def test_4_5_a_put_succeeds_when_w_nodes_have_written_it() -> None:
    bench = node(w=2)
    writing(bench)
    ticket = ticket_of(bench)
    assert bench.deliver(HOMES[1], PutAck(ticket, HOMES[1])) == []
    assert bench.deliver(HOMES[1], PutAck(ticket, HOMES[1])) == []  # who, not how many
    assert bench.deliver(HOMES[2], PutAck(ticket, HOMES[2])) == [("client", Answer(1, 2, "ok"))]


def test_4_5_a_get_asks_all_n_and_waits_for_r() -> None:
    bench = node(r=2)
    sent = reading(bench)
    assert [(dst, type(msg)) for dst, msg in sent] == [(home, Get) for home in HOMES]
    ticket = ticket_of(bench)
    assert bench.deliver(HOMES[1], GetReply(ticket, OLD, HOMES[1])) == []
    ((dst, answer),) = bench.deliver(HOMES[2], GetReply(ticket, NEW, HOMES[2]))
    assert (dst, answer.value, answer.version) == ("client", "new", NEW)


def test_4_4_versions_that_are_causally_unrelated_are_all_returned_and_a_write_with_their_context_collapses_them() -> (
    None
):
    one, other = (write_siblings(s, None, v, 0, deletes=False) for s, v in ((1, "a"), (2, "b")))
    bench = node(versions="siblings")
    reading(bench)
    ticket = ticket_of(bench)
    bench.deliver(HOMES[1], GetReply(ticket, one, HOMES[1]))
    ((_, answer),) = bench.deliver(HOMES[2], GetReply(ticket, other, HOMES[2]))
    assert answer.value == ("a", "b")
    both = write_siblings(3, answer.version.context, "c", 0, deletes=False)
    assert one.merge(both).merge(other).shown == ("c",)


def test_4_6_operations_go_to_the_first_n_healthy_nodes_with_a_hint_of_the_home_that_they_replace() -> None:
    bench = node(sloppy=True)
    bench.node.coordinator.suspect(HOMES[1])
    sent = writing(bench)
    assert [(dst, msg.home) for dst, msg in sent] == [
        (HOMES[0], HOMES[0]),
        (SPARES[0], HOMES[1]),
        (HOMES[2], HOMES[2]),
    ]
    keeper = node(SPARES[0], sloppy=True)
    keeper.deliver("n0", sent[1][1])
    assert KEY not in keeper.node.store
    assert keeper.node.handoff.hints[KEY] == ((HOMES[1], NEW, 0.0),)


def test_4_6_hints_are_offered_from_time_to_time_and_dropped_once_their_home_has_them() -> None:
    keeper = node(SPARES[0])
    keeper.deliver("n0", Put((0, 1), KEY, NEW, HOMES[1]))
    keeper.take()
    for _ in range(2):  # the first offer is lost
        keeper.advance(SYSTEM.handoff_every)
        (offer,) = keeper.take(HOMES[1], Handoff)
        assert offer.hints == ((KEY, NEW, 0.0),)
    home = node(HOMES[1])
    assert home.deliver(SPARES[0], offer) == [(SPARES[0], HandoffAck(offer.number))]
    assert home.node.store[KEY] == NEW
    keeper.deliver(HOMES[1], HandoffAck(offer.number))
    assert not keeper.node.handoff.hints
    restarted = keeper.restart()
    assert not restarted.handoff.hints


def test_4_6_a_hint_survives_a_restart_of_its_keeper() -> None:
    keeper = node(SPARES[0])
    keeper.deliver("n0", Put((0, 1), KEY, NEW, HOMES[1]))
    keeper.restart()
    keeper.advance(SYSTEM.handoff_every)
    assert len(keeper.take(HOMES[1], Handoff)) == 1


def test_4_7_roots_are_exchanged_first_and_children_only_where_they_differ() -> None:
    mine, theirs = node("n0"), node(HOMES[1])
    for bench in (mine, theirs):
        bench.node.keep(KEY, OLD)
    root = Tree(((0, 0, mine.node.anti_entropy.trees[HOMES[1]].root),))
    assert theirs.deliver("n0", root) == []
    mine.node.keep(KEY, NEW)
    message: Any = Tree(((0, 0, mine.node.anti_entropy.trees[HOMES[1]].root),))
    levels = []
    asked, asks = theirs, mine
    while isinstance(message, Tree):
        levels.append((message.hashes[0][0], len(message.hashes)))
        ((_, message),) = asked.deliver(asks.name, message)
        asked, asks = asks, asked
    assert levels == [(0, 1), *((level, SYSTEM.fanout) for level in range(1, SYSTEM.depth + 1))]
    assert isinstance(message, Leaves)
    for _, answer in asked.deliver(asks.name, message):
        asks.deliver(asked.name, answer)
    assert mine.node.store[KEY] == theirs.node.store[KEY] == NEW


def test_4_8_a_node_that_does_not_answer_is_suspected_and_probed_from_time_to_time() -> None:
    bench = node()
    writing(bench)
    ticket = ticket_of(bench)
    for home in (HOMES[0], HOMES[2]):
        bench.deliver(home, PutAck(ticket, home))
    bench.take()
    bench.advance(SYSTEM.timeout)
    assert list(bench.node.coordinator.suspected) == [HOMES[1]]
    assert bench.take(SPARES[0], Put)[0].home == HOMES[1]
    bench.advance(3.5 * SYSTEM.probe_every)
    assert bench.take(HOMES[1], Ping) == [Ping()] * 3
    bench.deliver(HOMES[1], Pong())
    assert not bench.node.coordinator.suspected


def test_5_after_the_reply_the_coordinator_waits_for_the_others_and_updates_stale_homes() -> None:
    bench = node(r=1, repair="background")
    reading(bench)
    ticket = ticket_of(bench)
    bench.deliver(HOMES[0], GetReply(ticket, NEW, HOMES[0]))
    assert bench.deliver(HOMES[1], GetReply(ticket, None, HOMES[1])) == []
    sent = bench.deliver(HOMES[2], GetReply(ticket, OLD, HOMES[2]))
    assert sent == [(home, Repair(ticket, KEY, NEW, home)) for home in HOMES[1:]]
    assert not bench.node.coordinator.operations


def test_5_a_home_that_never_answers_does_not_block_the_repair_of_the_others() -> None:
    bench = node(r=1, repair="background")
    reading(bench)
    ticket = ticket_of(bench)
    bench.deliver(HOMES[0], GetReply(ticket, NEW, HOMES[0]))
    bench.deliver(HOMES[1], GetReply(ticket, OLD, HOMES[1]))
    bench.take()
    bench.advance(4 * SYSTEM.timeout)
    assert bench.take(HOMES[1], Repair) == [Repair(ticket, KEY, NEW, HOMES[1])]
    assert not bench.node.coordinator.operations
