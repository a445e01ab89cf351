"""Links: latency, loss, duplication, order, bandwidth, bursts, cuts, holding back, and what is counted."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

from sim.cluster import Cluster
from sim.kernel import Streams
from sim.network import Constant, Exponential, GilbertElliott, Topology, Uniform, constant, lan, matrix
from sim.network.disturbances import Disturbance
from sim.network.link import FEW, HEADER_BYTES
from sim.node import Node, message
from sim.system import Member


@message
class Parcel:
    number: int


@message
class Blob:
    payload: bytes


class Post(Node):
    def on_start(self) -> None:
        self.got: list[tuple[float, int]] = []

    def on_parcel(self, src: str, msg: Parcel) -> None:
        self.got.append((self.now, msg.number))

    def on_blob(self, src: str, msg: Blob) -> None:
        self.got.append((self.now, len(msg.payload)))


class Sink(Node):
    def on_parcel(self, src: str, msg: Parcel) -> None:
        """Takes it."""


def cluster(topology: Topology, seed: int = 1, **options: Any) -> Cluster:
    made = Cluster(topology, seed, **options)
    for name in ("a", "b"):
        made.add(Member(name, Post), place=topology.regions[0])
    made.boot()
    return made


def post(made: Cluster, count: int, gap: float = 0.0) -> None:
    """Send parcels 0, 1, ... from a to b, one every ``gap`` seconds."""
    for number in range(count):
        made.env.call_at(number * gap, lambda n: made.nodes["a"].send("b", Parcel(n)), number)


def received(made: Cluster) -> list[tuple[float, int]]:
    return made.nodes["b"].got  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(params=["plain", "traced", "checked"])
def options(request: pytest.FixtureRequest) -> dict[str, bool]:
    """The hot path and the careful one must agree."""
    return {"plain": {}, "traced": {"tracing": True}, "checked": {"checking": True}}[request.param]


def test_a_message_takes_the_latency_of_its_link(options: dict[str, bool]) -> None:
    made = cluster(constant(0.25), **options)
    post(made, 2, gap=1.0)
    made.env.run()
    assert received(made) == [(0.25, 0), (1.25, 1)]


def test_the_latencies_of_a_link_follow_its_distribution_and_its_own_stream(options: dict[str, bool]) -> None:
    made = cluster(lan(Exponential(0.010)), **options)
    post(made, 4000)
    made.env.run()
    times = {number: time for time, number in received(made)}
    drawn = Exponential(0.010).sampler(Streams(1).generator("link/a->b/latency"))
    assert [times[n] for n in range(4000)] == [drawn() for _ in range(4000)]


@pytest.mark.parametrize("before", [0, 1, 2, FEW - 1, FEW, FEW + 1, 3 * FEW])
@pytest.mark.parametrize("change", ["rewire", "disturb", "calm"])
def test_a_link_draws_on_where_it_was_when_it_becomes_another_kind_of_link(before: int, change: str) -> None:
    made = cluster(lan(Exponential(0.010)))
    network, slow = made.network, Disturbance(delay=1.0)
    changes = {
        "rewire": network.rewire,
        "calm": network.calm,
        "disturb": lambda: network.disturb([("a", "b")], slow),
    }
    for number in range(4 * FEW):
        if number == before:
            changes[change]()
        if number == before + FEW + 2:
            network.relieve([("a", "b")], slow)
        made.nodes["a"].send("b", Parcel(number))
    made.env.run()
    drawn = Exponential(0.010).sampler(Streams(1).generator("link/a->b/latency"))
    late = range(before, before + FEW + 2) if change == "disturb" else ()
    wanted = [drawn() + (number in late) for number in range(4 * FEW)]
    assert [time for time, _ in sorted(received(made), key=lambda got: got[1])] == wanted


def test_a_link_that_is_used_once_costs_next_to_nothing() -> None:
    made = Cluster(lan(Exponential(0.010)))
    names = [f"n{number}" for number in range(600)]
    for name in names:
        made.add(Member(name, Sink), place="lan")
    made.boot()
    gc.collect()
    tracemalloc.start()
    for name in names[1:]:
        made.nodes["n0"].send(name, Parcel(1))
    made.env.run()
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 599 < 400  # bytes


def test_a_fraction_of_all_messages_is_lost_and_counted(options: dict[str, bool]) -> None:
    made = cluster(constant(0.001, loss=0.2), **options)
    post(made, 10_000)
    made.env.run()
    link = made.network.links["a", "b"]
    assert link.messages == 10_000
    assert len(received(made)) == 10_000 - link.lost
    assert abs(link.lost - 2000) < 3 * np.sqrt(10_000 * 0.2 * 0.8)


def test_losing_messages_does_not_change_the_latencies_drawn() -> None:
    quiet, lossy = cluster(lan(Uniform(0.0, 1.0))), cluster(lan(Uniform(0.0, 1.0), loss=0.5))
    for made in (quiet, lossy):
        post(made, 50)
        made.env.run()
    first = {time for time, _ in received(quiet)}
    assert len(received(lossy)) < 40
    assert {time for time, _ in received(lossy)} <= first


def test_duplicates_arrive_with_latencies_of_their_own() -> None:
    made = cluster(lan(Exponential(0.010), duplicate=0.3))
    post(made, 5000)
    made.env.run()
    link = made.network.links["a", "b"]
    assert len(received(made)) == 5000 + link.duplicated
    assert abs(link.duplicated - 1500) < 3 * np.sqrt(5000 * 0.3 * 0.7)
    assert len({time for time, _ in received(made)}) == len(received(made))


def test_datagrams_overtake_each_other_and_fifo_keeps_the_order() -> None:
    for transport, ordered in (("datagram", False), ("fifo", True), ("stream", True)):
        made = cluster(lan(Exponential(0.010), transport=transport))  # type: ignore[misc]
        post(made, 300, gap=0.001)
        made.env.run()
        numbers = [number for _, number in received(made)]
        assert sorted(numbers) == list(range(300))
        assert (numbers == sorted(numbers)) is ordered


def test_a_stream_turns_loss_into_delay_and_blocks_what_comes_behind() -> None:
    made = cluster(constant(0.010, loss=0.3, transport="stream", retransmit=0.2))
    post(made, 1000, gap=0.01)
    made.env.run()
    got = received(made)
    assert [number for _, number in got] == list(range(1000)), "nothing is lost, order is kept"
    late = sum(1 for time, number in got if time > number * 0.01 + 0.011)
    assert late > 500, "one lost segment holds up what was sent after it"
    assert made.network.links["a", "b"].lost > 300


def test_a_lost_segment_is_sent_again_after_a_timeout_that_doubles() -> None:
    delays = set()
    for seed in range(60):
        made = cluster(constant(0.010, loss=0.5, transport="stream", retransmit=0.2), seed)
        post(made, 1)
        made.env.run()
        delays.add(round(received(made)[0][0], 9))
    assert {0.010, 0.210, 0.610} <= delays <= {round(0.010 + 0.2 * (2**k - 1), 9) for k in range(12)}


def test_messages_queue_for_the_bandwidth_of_a_link() -> None:
    made = cluster(constant(0.010, bandwidth=1000.0))
    size = 1000 - HEADER_BYTES  # one second each
    for _ in range(3):
        made.nodes["a"].send("b", Blob(b"x" * size))
    made.env.run()
    assert [round(time, 9) for time, _ in received(made)] == [1.010, 2.010, 3.010]


def test_bursts_lose_in_runs() -> None:
    made = cluster(constant(0.001, burst=GilbertElliott(enter=0.01, leave=0.1)), tracing=True)
    post(made, 20_000, gap=0.001)
    made.env.run()
    arrived = {number for _, number in received(made)}
    lost = [number not in arrived for number in range(20_000)]
    runs = [len(r) for r in "".join("x" if one else " " for one in lost).split()]
    assert np.mean(lost) == pytest.approx(0.01 / 0.11, rel=0.25)
    assert np.mean(runs) == pytest.approx(10, rel=0.25)


def test_a_cut_is_directed_and_loses_what_is_sent_while_it_lasts() -> None:
    made = cluster(constant(0.010))
    post(made, 3, gap=1.0)
    for number in range(3):
        made.env.call_at(number * 1.0, lambda n: made.nodes["b"].send("a", Parcel(n)), number)
    made.env.call_at(0.5, lambda _: made.network.cut([("a", "b")]))
    made.env.call_at(1.5, lambda _: made.network.heal([("a", "b")]))
    made.env.run()
    assert [number for _, number in received(made)] == [0, 2]
    assert [n for _, n in made.nodes["a"].got] == [0, 1, 2]  # type: ignore[attr-defined]
    assert made.network.links["a", "b"].lost == 1


def test_what_is_on_its_way_when_a_link_is_cut_still_arrives() -> None:
    made = cluster(constant(1.0))
    post(made, 1)
    made.env.call_at(0.5, lambda _: made.network.cut([("a", "b")]))
    made.env.run()
    assert received(made) == [(1.0, 0)]


def test_two_cuts_of_a_link_need_two_heals() -> None:
    made = cluster(constant(0.010))
    made.network.cut([("a", "b")])
    made.network.cut([("a", "b")])
    made.network.heal([("a", "b")])
    assert made.network.is_cut("a", "b")
    made.network.heal([("a", "b")])
    assert not made.network.is_cut("a", "b")


def test_a_stream_keeps_what_is_sent_over_a_cut_and_delivers_it_after_the_heal() -> None:
    made = cluster(constant(0.010, transport="stream"))
    post(made, 3, gap=1.0)
    made.env.call_at(0.5, lambda _: made.network.cut([("a", "b")]))
    made.env.call_at(2.5, lambda _: made.network.heal([("a", "b")]))
    made.env.run()
    assert [number for _, number in received(made)] == [0, 1, 2]
    assert received(made)[1][0] >= 2.5


@pytest.mark.parametrize("victim", ["a", "b"])
def test_what_a_stream_keeps_over_a_cut_dies_with_either_end(victim: str) -> None:
    made = cluster(constant(0.010, transport="stream"))
    made.network.cut([("a", "b")])
    post(made, 1)
    made.env.run(until=1.0)
    made.crash(victim)
    made.restart(victim)
    made.network.heal([("a", "b")])
    made.env.run()
    assert received(made) == []
    assert made.network.links["a", "b"].lost == 1


def test_held_messages_arrive_when_they_are_released_in_order() -> None:
    made = cluster(constant(0.010))
    made.network.hold(lambda src, dst, msg: msg.number % 2 == 1)
    post(made, 4, gap=0.1)
    made.env.run(until=1.0)
    assert [n for _, n in received(made)] == [0, 2]
    assert [h.message.number for h in made.network.held] == [1, 3]
    assert made.network.release(lambda held: held.message.number == 3, stop=False) == 1
    made.env.run(until=2.0)
    made.network.release()
    made.env.run()
    assert received(made)[2:] == [(1.0, 3), (2.0, 1)]


def test_every_message_of_a_traced_run_has_one_row_with_its_fate() -> None:
    made = cluster(constant(0.010, loss=0.3), tracing=True)
    post(made, 200, gap=0.01)
    made.env.call_at(0.5, lambda _: made.crash("b"))
    made.env.call_at(1.0, lambda _: made.restart("b"))
    made.env.call_at(1.5, lambda _: made.network.cut([("a", "b")]))
    made.env.run(until=1.995)
    made.finish()
    frame = made.recorder.frame("messages")
    fates = frame["fate"].value_counts().to_dict()
    assert len(frame) == 200
    assert set(fates) == {"delivered", "lost", "crashed", "cut"}
    assert fates["cut"] == 49  # the one sent at 1.5 s went before the cut
    assert frame.loc[frame["fate"].isin(["lost", "cut"]), "delivered"].isna().all()
    assert (frame["bytes"] == HEADER_BYTES + 8).all()
    row = made.recorder.frame("links").iloc[0]
    assert (row["messages"], row["bytes"]) == (200, 200 * (HEADER_BYTES + 8))
    assert row["lost"] == fates["lost"] + fates["cut"]


def test_a_message_that_is_changed_after_it_was_sent_is_caught() -> None:
    @message
    class Bag:
        items: Any

    class Sack(Post):
        def on_bag(self, src: str, msg: Bag) -> None:
            """Takes it."""

    made = Cluster(constant(0.010), checking=True)
    for name in ("a", "b"):
        made.add(Member(name, Sack), place="lan")
    made.boot()
    shared = [1]
    made.nodes["a"].send("b", Bag(shared))
    shared.append(2)
    with pytest.raises(AssertionError, match="was changed after it was sent"):
        made.env.run()


def test_links_are_made_on_first_use() -> None:
    made = Cluster(constant(0.001))
    for number in range(2000):
        made.add(Member(f"n{number}", Post), place="lan")
    made.boot()
    made.nodes["n0"].send("n1999", Parcel(1))
    assert list(made.network.links) == [("n0", "n1999")]


def test_a_client_at_a_node_reaches_it_without_delay_and_others_as_from_there() -> None:
    made = Cluster(matrix(["x", "y"], [[0.001, 0.1], [0.1, 0.001]]))
    made.add(Member("a", Post), place="x")
    made.add(Member("b", Post), place="y")
    made.add(Member("c", Post, group="c"), place="x", beside="a")
    made.boot()
    for name in ("a", "b"):
        made.nodes["c"].send(name, Parcel(1))
    made.env.run()
    assert made.nodes["a"].got == [(0.0, 1)]  # type: ignore[attr-defined]
    assert made.nodes["b"].got == [(0.1, 1)]  # type: ignore[attr-defined]


def test_sending_to_an_unknown_node_is_refused_with_both_names() -> None:
    made = cluster(constant(0.001))
    with pytest.raises(LookupError, match="a sends to 'zz'"):
        made.nodes["a"].send("zz", Parcel(1))


def test_a_constant_latency_is_exact_over_many_messages() -> None:
    made = cluster(lan(Constant(0.125)))
    post(made, 100, gap=0.125)
    made.env.run()
    assert received(made) == [(0.125 * (n + 1), n) for n in range(100)]
