"""Links: what arrives how often and in which order, over a bad network and through crashes; and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network import Exponential, constant, lan
from sim.node import Node, durable_log, message, part
from sim.protocols.causality.dots import EMPTY
from sim.protocols.communication import FifoLinks, LoggedLinks, PerfectLinks, StubbornLinks
from sim.protocols.communication.links import Segment, SegmentAck
from sim.system import Member

DELTA = 0.01
COUNT = 60


@message
class Parcel:
    n: int


class Post(Node):
    """Sends parcels over its links, and keeps what it gets."""

    posted = durable_log()
    got = durable_log()
    links = part(PerfectLinks, every=0.05)

    def on_parcel(self, src: str, msg: Parcel) -> None:
        assert src == "a"
        self.got.append(msg.n)

    def post(self, n: int) -> None:
        self.posted.append(n)  # one record with what the links write
        self.links.send("b", Parcel(n))


def over(kind: type[StubbornLinks]) -> type[Post]:
    """The same node over other links."""

    class Other(Post):
        links = part(kind, every=0.05)  # type: ignore[assignment]

    return Other


def cluster_of(node_class: type[Node], network: Any, seed: int = 0, fsync: float = 0.0) -> Cluster:
    cluster = Cluster(network, seed, checking=True, tracing=True)
    for name in ("a", "b"):
        cluster.add(Member(name, node_class), place="lan", profile=Machine(disk=Disk(fsync=fsync)))
    cluster.boot()
    return cluster


def sent(cluster: Cluster, kind: type) -> int:
    return sum(row[0] == kind.__name__ for row in cluster.recorder.messages)


@pytest.mark.parametrize("links", [PerfectLinks, LoggedLinks, FifoLinks])
def test_a_message_costs_one_delay_one_segment_and_one_acknowledgement(links: type[PerfectLinks]) -> None:
    cluster = cluster_of(over(links), constant(DELTA))
    a, b = cluster.hosts["a"].node, cluster.hosts["b"].node
    for n in range(10):
        a.links.send("b", Parcel(n))  # type: ignore[union-attr]
    cluster.env.run(until=DELTA - 1e-9)
    assert not list(b.got)  # type: ignore[union-attr]
    cluster.env.run(until=DELTA + 1e-9)
    assert list(b.got) == list(range(10))  # type: ignore[union-attr]
    cluster.env.run(until=5.0)
    assert (sent(cluster, Segment), sent(cluster, SegmentAck)) == (10, 10)
    assert not a.links.outbox  # type: ignore[union-attr]


def test_a_stubborn_link_repeats_and_delivers_each_time_until_forget() -> None:
    cluster = cluster_of(over(StubbornLinks), constant(DELTA))
    a, b = cluster.hosts["a"].node, cluster.hosts["b"].node
    a.links.send("b", Parcel(7))  # type: ignore[union-attr]
    cluster.env.run(until=0.5 + DELTA / 2)  # sent at 0, 0.05, ..., 0.5; the last is on its way
    assert list(b.got) == [7] * 10  # type: ignore[union-attr]
    a.links.forget("b", 1)  # type: ignore[union-attr]
    cluster.env.run(until=2.0)
    assert list(b.got) == [7] * 11  # type: ignore[union-attr]


def storm(kind: type[StubbornLinks], seed: int, *, crashes: bool) -> tuple[list[int], list[int]]:
    """A parcel every 20 ms over a network that loses, doubles and reorders; then calm. What was posted, what came."""
    network = lan(Exponential(0.02), loss=0.3, duplicate=0.2)
    cluster = cluster_of(over(kind), network, seed, fsync=0.004)
    stream = cluster.streams["test"]

    def life(name: str) -> Any:
        while cluster.env.now < 2.0:
            yield cluster.env.timeout(stream.exponential(0.2))
            cluster.crash(name)
            yield cluster.env.timeout(stream.exponential(0.05))
            cluster.restart(name)

    def load() -> Any:
        for n in range(COUNT):
            host = cluster.hosts["a"]
            if host.is_up:
                host.step(host.node.post, (n,))  # type: ignore[union-attr]
            yield cluster.env.timeout(0.02)

    cluster.env.process(load())
    for name in ("a", "b") if crashes else ():
        cluster.env.process(life(name))
    cluster.env.run(until=4.0)
    cluster.network.calm()
    cluster.env.run(until=6.0)
    a, b = cluster.hosts["a"].node, cluster.hosts["b"].node
    assert not a.links.outbox, "everything is acknowledged in the end"  # type: ignore[union-attr]
    return list(a.posted), list(b.got)  # type: ignore[union-attr]


SEEDS = range(8)


def storms(kind: type[StubbornLinks], *, crashes: bool) -> list[tuple[list[int], list[int]]]:
    return [storm(kind, seed, crashes=crashes) for seed in SEEDS]


def test_perfect_links_deliver_once_over_a_network_that_loses_and_doubles() -> None:
    for posted, got in storms(PerfectLinks, crashes=False):
        assert sorted(got) == posted == list(range(COUNT))


def test_perfect_links_forget_in_a_crash() -> None:
    """The reason for logged links: over restarts something is lost, and something is delivered twice."""
    results = storms(PerfectLinks, crashes=True)
    assert any(set(posted) - set(got) for posted, got in results), "the sender forgot something"
    assert any(len(set(got)) < len(got) for _, got in results), "the receiver forgot that it had something"


@pytest.mark.parametrize("kind", [LoggedLinks, FifoLinks])
def test_logged_links_deliver_exactly_once_through_crashes(kind: type[LoggedLinks]) -> None:
    for posted, got in storms(kind, crashes=True):
        assert sorted(got) == posted
        assert len(posted) > COUNT / 2


def test_fifo_links_keep_the_order_and_logged_links_do_not() -> None:
    assert all(got == posted for posted, got in storms(FifoLinks, crashes=True))
    assert any(got != posted for posted, got in storms(LoggedLinks, crashes=True))


# Mutants


class Credulous(LoggedLinks):
    """Does not look whether it has a message already."""

    def on_segment(self, src: str, msg: Any) -> None:
        self.accept(src, msg, EMPTY)
        self.host.send(src, SegmentAck(msg.life, msg.number), True)


class Hasty(LoggedLinks):
    """Acknowledges before what it promises is on disk."""

    def on_segment(self, src: str, msg: Any) -> None:
        self.host.send(src, SegmentAck(msg.life, msg.number), False)
        super().on_segment(src, msg)


class Faint(PerfectLinks):
    """Sends once."""

    def on_retransmit_timeout(self, which: Any) -> None:
        self.forget(*which)


class Impatient(FifoLinks):
    """Does not wait for what comes before."""

    def expected(self, src: str) -> int:
        return min([n for name, n in self.early if name == src], default=super().expected(src))


def test_without_numbers_messages_are_delivered_twice() -> None:
    assert any(len(got) > len(set(got)) for _, got in storms(Credulous, crashes=False))


def test_an_acknowledgement_before_the_disk_loses_messages() -> None:
    assert any(set(posted) - set(got) for posted, got in storms(Hasty, crashes=True))


def test_without_repetition_messages_are_lost() -> None:
    assert any(set(posted) - set(got) for posted, got in storms(Faint, crashes=False))


def test_without_waiting_messages_overtake_each_other() -> None:
    assert any(got != sorted(got) for _, got in storms(Impatient, crashes=False))


@pytest.mark.parametrize("every", [0.0, -1.0, float("inf")])
def test_settings_that_cannot_work_are_refused(every: float) -> None:
    with pytest.raises(ValueError, match=f"every must be positive seconds, not {every}"):
        part(StubbornLinks, every=every)
