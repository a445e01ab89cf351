"""Chain replication, sentence by sentence: van Renesse & Schneider, OSDI 2004; and CRAQ: Terrace & Freedman 2009."""

from __future__ import annotations

from typing import Any

import pytest

from sim.cluster import Cluster
from sim.network.topology import constant
from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.membership.views.config_master import Alive, Chain, ChainIs, ConfigurationMaster
from sim.protocols.replication.chain.craq import Craq, CraqNode, Version, VersionQuery
from sim.protocols.replication.chain.node import Ack, ChainNode, Forward, Update
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.system import Member, System
from sim.testing import Bench

MEMBERS = ("n0", "n1", "n2", "n3")
SYSTEM = ChainReplication(nodes=4, heartbeat=0.1, detection=1.0)


def server(name: str, system: ChainReplication = SYSTEM, kind: type[ChainNode] = ChainNode) -> Bench[Any]:
    bench: Bench[Any] = Bench(kind, name, members=MEMBERS, settings=system)
    bench.take()
    return bench


def put(number: int, value: str = "v") -> Command:
    return Command(number, 1, "put", "x", value)


def update(number: int, value: str = "v") -> Update:
    return Update(1, put(number, value), f"client{number}")


# Section 3: the protocol


def test_update_requests_are_processed_by_the_head_and_forwarded_to_its_successor() -> None:
    s = server("n0")
    s.deliver("client", Request(put(1)))
    assert [(dst, type(m)) for dst, m in s.sent] == [("n1", Forward)]


def test_the_reply_for_every_request_is_generated_and_sent_by_the_tail() -> None:
    s = server("n3")
    s.deliver("n2", Forward(1, 0, 0, 0, (update(1),)))
    assert s.take("client1") == [Reply(1, 1, "ok", "v")]


def test_a_middle_server_forwards_and_sends_no_reply() -> None:
    s = server("n1")
    s.deliver("n0", Forward(1, 0, 0, 0, (update(1),)))
    assert [(dst, type(m)) for dst, m in s.sent] == [("n2", Forward)]


def test_each_query_request_is_directed_to_the_tail_and_processed_there_atomically() -> None:
    tail, head = server("n3"), server("n0")
    tail.deliver("n2", Forward(1, 0, 0, 0, (update(1),)))
    query = Request(Command(9, 1, "get", "x"))
    assert tail.deliver("client", query) == [("client", Reply(9, 1, "ok", "v"))]
    assert head.deliver("client", query) == [("client", Redirect(9, 1, "n3"))]


def test_the_tail_sends_an_acknowledgement_that_travels_up_the_chain() -> None:
    tail, middle = server("n3"), server("n1")
    tail.deliver("n2", Forward(1, 0, 0, 0, (update(1),)))
    assert tail.take("n2") == [Ack(1, 1)]
    middle.deliver("n0", Forward(1, 0, 0, 0, (update(1),)))
    middle.take()
    assert middle.deliver("n2", Ack(1, 1)) == [("n0", Ack(1, 1))]


def test_sent_holds_what_was_forwarded_and_is_not_acknowledged() -> None:
    s = server("n1")
    s.deliver("n0", Forward(1, 0, 0, 0, (update(1), update(2))))
    assert (s.node.acked, s.node.last) == (0, 2)
    s.deliver("n2", Ack(1, 1))
    assert s.node.entries_after(s.node.acked, 9) == (update(2),)


# Section 3.2: failures


def adopt(s: Bench[Any], *members: str, since: tuple[int, ...] = ()) -> None:
    s.take()
    s.deliver("master", ChainIs(Chain(2, members, since or (1,) * len(members)), s.node.departures.stamp()))


def test_when_the_head_fails_the_successor_becomes_head() -> None:
    s = server("n1")
    adopt(s, "n1", "n2", "n3")
    s.deliver("client", Request(put(1)))
    assert [type(m) for m in s.take("n2")] == [Forward]


def test_when_the_tail_fails_its_predecessor_becomes_tail_and_what_is_in_sent_counts_as_processed() -> None:
    s = server("n2")
    s.deliver("n1", Forward(1, 0, 0, 0, (update(1), update(2))))
    s.deliver("n3", Ack(1, 1))
    adopt(s, "n0", "n1", "n2")
    assert s.take("client2") == [Reply(2, 1, "ok", "v")]
    assert s.take("client1") == []  # the old tail has answered it
    assert Ack(2, 2) in s.take("n1") or s.node.acked == 2


def test_when_a_middle_server_fails_its_predecessor_first_sends_its_sent_to_the_new_successor() -> None:
    s = server("n1")
    s.deliver("n0", Forward(1, 0, 0, 0, (update(1), update(2))))
    s.deliver("n2", Ack(1, 1))
    adopt(s, "n0", "n1", "n3")
    forwarded = [m for m in s.take("n3") if isinstance(m, Forward)]
    assert [m.updates for m in forwarded] == [(update(2),)]
    s.deliver("n0", Forward(1, 0, 2, 1, (update(3),)))
    assert [m.updates for m in s.take("n3")] == [(update(3),)]  # and only then what comes next


def test_new_servers_are_added_at_the_tail_which_first_forwards_its_history() -> None:
    tail = server("n2", ChainReplication(nodes=3, heartbeat=0.1, detection=1.0))
    tail.deliver("n1", Forward(1, 0, 0, 0, (update(1),)))
    tail.take()
    tail.deliver(
        "master", ChainIs(Chain(2, ("n0", "n1", "n2", "n3"), (1, 1, 1, 2)), tail.node.departures.stamp())
    )
    (first,) = [m for m in tail.take("n3") if isinstance(m, Forward)]
    assert (first.start, first.position) == (1, 1)
    query = Request(Command(9, 1, "get", "x"))
    assert tail.deliver("client", query) == [("client", Redirect(9, 1, "n3"))]  # it is the tail no more


def test_a_new_tail_serves_only_when_it_has_the_history_of_the_old_one() -> None:
    s = server("n3", ChainReplication(nodes=3, heartbeat=0.1, detection=1.0))
    s.deliver("master", ChainIs(Chain(2, ("n0", "n1", "n2", "n3"), (1, 1, 1, 2)), s.node.departures.stamp()))
    query = Request(Command(9, 1, "get", "x"))
    s.deliver("n2", Forward(2, 2, 0, 0, (update(1),)))
    s.take()
    assert not any(isinstance(m, Reply) for _, m in s.deliver("client", query))
    s.deliver("n2", Forward(2, 2, 1, 1, (update(2, "w"),)))
    s.take()
    assert s.deliver("client", query) == [("client", Reply(9, 1, "ok", "w"))]


def test_messages_of_servers_that_are_no_neighbours_any_more_are_not_heeded() -> None:
    s = server("n2")
    adopt(s, "n0", "n2", "n3")
    s.deliver("n1", Forward(1, 0, 0, 0, (update(1),)))
    assert s.node.last == 0


# Section 3: the master


def master() -> Bench[ConfigurationMaster]:
    return Bench(ConfigurationMaster, "master", members=("master",), settings=SYSTEM)


def alive(m: Bench[ConfigurationMaster], *names: str, **more: Any) -> None:
    chain = m.node.chain
    for name in names:
        m.deliver(name, Alive(chain.number, 1, (0, round(1000 * m.time)), **more))


def test_the_master_removes_a_failed_server_and_keeps_the_order_of_the_others() -> None:
    m = master()
    for _ in range(12):
        m.advance(0.1)
        alive(m, "n0", "n1", "n3")
    assert m.node.chain.members == ("n0", "n1", "n3")


def test_a_server_that_its_predecessor_finds_silent_is_removed_when_its_lease_is_over() -> None:
    m = master()
    alive(m, *MEMBERS)
    alive(m, "n2", silent=("n3",))
    m.advance(0.9)
    alive(m, *MEMBERS)
    assert m.node.chain.members == MEMBERS
    asked = [msg.asked for msg in m.take("n3", ChainIs)]
    assert max(a for a in asked if a is not None) == (0, 0)  # no lease since it was called silent
    m.advance(0.2)
    alive(m, "n0", "n1", "n2")
    assert m.node.chain.members == ("n0", "n1", "n2")


def test_only_its_neighbours_may_report_a_server_as_silent() -> None:
    m = master()
    alive(m, "n0", silent=("n3",))
    for _ in range(12):
        m.advance(0.1)
        alive(m, *MEMBERS)
    assert m.node.chain.members == MEMBERS


def test_a_server_without_the_history_never_remains_alone() -> None:
    m = master()
    for _ in range(12):
        m.advance(0.1)
        alive(m, "n0")
    assert m.node.chain.members == ("n0",)
    m.deliver("n1", Alive(m.node.chain.number, 1, (0, round(1000 * m.time))))
    alive(m, "n0", settled=True, joined=("n1",))
    assert m.node.chain.members == ("n0", "n1")
    for _ in range(30):
        m.advance(0.1)
        m.deliver("n1", Alive(m.node.chain.number, 1, (0, round(1000 * m.time))))
    assert m.node.chain.members == ("n0", "n1")  # n1 has not said that it is settled


# CRAQ, section 2.3


def test_a_clean_object_is_answered_and_a_dirty_one_asked_for_at_the_tail() -> None:
    s = server("n1", Craq(nodes=4, heartbeat=0.1, detection=1.0), CraqNode)
    query = Request(Command(9, 1, "get", "x"))
    assert s.deliver("client", query) == [("client", Reply(9, 1, "ok", None))]
    s.deliver("n0", Forward(1, 0, 0, 0, (update(1, "a"), update(2, "b"))))
    assert s.deliver("client", query) == [("n3", VersionQuery(9, 1, "x"))]
    s.take()
    assert s.deliver("n3", Version(9, 1, 1)) == [("client", Reply(9, 1, "ok", "a"))]


def test_an_acknowledgement_makes_the_latest_version_clean_and_drops_those_before() -> None:
    s = server("n1", Craq(nodes=4, heartbeat=0.1, detection=1.0), CraqNode)
    s.deliver("n0", Forward(1, 0, 0, 0, (update(1, "a"), update(2, "b"), update(3, "c"))))
    s.deliver("n2", Ack(1, 2))
    assert s.node.dirty == {"x": [(3, "c")]}
    assert s.node.clean.application.data == {"x": "b"}
    s.deliver("n2", Ack(1, 3))
    assert s.node.dirty == {}


# Section 4: for how long service is interrupted, in message delays after the failure is noticed


class Asker(Node):
    """A client that keeps what it is told, with the time."""

    def on_start(self) -> None:
        self.replies: list[float] = []

    def on_reply(self, src: str, msg: Reply) -> None:
        self.replies.append(self.now)

    def on_redirect(self, src: str, msg: Redirect) -> None:
        """Not yet."""


def interruption(system: System, service: str, victim: str, target: str, kind: str, normal: int) -> int:
    """Delays from when ``service`` has noticed the failure until a request is sent that is served as fast as ever.

    The client asks the right server at once; being told which that is would take two delays at most.
    """
    delta = 0.001
    for waited in range(12):
        cluster = Cluster(constant(delta), checking=True)
        for member in system.members():
            cluster.add(member, place="lan", settings=system)
        cluster.add(Member("client", Asker, group="clients", role="client"), place="lan")
        cluster.watch(system.invariants())
        cluster.boot()
        cluster.env.run(until=0.02)
        cluster.crash(victim)
        first = len(cluster.recorder.events)
        while not any(e[2] == "view" for e in cluster.recorder.events[first:]):
            cluster.env.step()
        noticed = float(cluster.env.now)
        asked = noticed + waited * delta
        # What arrives at the same time as the notice may be handled before it: a hair later.
        cluster.env.run(until=asked + 1e-9)
        client: Any = cluster.hosts["client"].node
        client.send(target, Request(Command(1, 1, kind, "x", 1)))
        cluster.env.run(until=asked + (normal + 0.5) * delta)
        if client.replies:
            return waited
    raise AssertionError("service is not restored")


TIMES = {"heartbeat": 0.05, "detection": 0.5}
FOUR = ChainReplication(nodes=4, service_at="n2", **TIMES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("victim", "target", "kind", "normal", "published"),
    [
        ("n0", "n3", "get", 2, 0),  # head: query processing is not interrupted,
        ("n0", "n1", "put", 4, 2),  # update processing for two delays
        ("n1", "n3", "get", 2, 0),  # middle: neither is,
        ("n1", "n0", "put", 4, 0),  # though updates may take up to four delays longer
        ("n3", "n2", "get", 2, 2),  # tail: both, for two delays
        ("n3", "n0", "put", 4, 2),
    ],
)
def test_interruption_after_a_failure_in_the_chain(
    victim: str, target: str, kind: str, normal: int, published: int
) -> None:
    allowed = normal + (4 if (victim, kind) == ("n1", "put") else 0)
    assert interruption(FOUR, "master", victim, target, kind, allowed) <= published


def test_interruption_after_the_primary_failed_is_longer_than_a_head_s_but_within_five_delays() -> None:
    system = PrimaryBackup(nodes=4, service_at="n2", **TIMES)  # type: ignore[arg-type]
    head = interruption(FOUR, "master", "n0", "n1", "put", 4)
    assert head < interruption(system, "views", "n0", "n1", "put", 4) <= 5
    assert interruption(system, "views", "n0", "n1", "get", 4) <= 5


def test_interruption_after_a_backup_failed() -> None:
    system = PrimaryBackup(nodes=4, service_at="n2", **TIMES)  # type: ignore[arg-type]
    assert interruption(system, "views", "n3", "n0", "put", 4) <= 3
