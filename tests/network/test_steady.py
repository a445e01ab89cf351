"""On links that keep order the measured round trips come back too, however many messages are sent."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster import Cluster
from sim.kernel import Streams
from sim.network import Constant, Exponential, Gamma, Uniform, constant, lan, wan
from sim.network.fit import BOUNDS, LEVELS
from sim.network.measurements import shipped_table
from sim.network.steady import coherence_time, latency_over_time
from sim.network.topology import LinkSpec
from sim.node import Node, message
from sim.system import Member
from sim.units import ms
from tests.budget import mostly_nightly

ROWS = shipped_table().rows


@message
class Ping:
    number: int


@message
class Pong:
    number: int


class Asker(Node):
    gap = 1 * ms  # 1,000 messages a second

    def on_start(self) -> None:
        self.sent: list[float] = []
        self.trips: list[float] = []
        self.set_timer("ping", self.gap)

    def on_ping_timeout(self) -> None:
        self.send("answerer", Ping(len(self.sent)))
        self.sent.append(self.now)
        self.set_timer("ping", self.gap)

    def on_pong(self, src: str, msg: Pong) -> None:
        self.trips.append(self.now - self.sent[msg.number])


class Answerer(Node):
    def on_ping(self, src: str, msg: Ping) -> None:
        self.send(src, Pong(msg.number))


def round_trips(a: str, b: str, seconds: float, **line: Any) -> np.ndarray:
    made = Cluster(wan(a, b, **line), 5)
    made.add(Member("asker", Asker), place=a)
    made.add(Member("answerer", Answerer), place=b)
    made.boot()
    made.env.run(until=seconds)
    return np.array(made.hosts["asker"].node.trips)


def misses(trips: np.ndarray, a: str, b: str) -> np.ndarray:
    """Deviations of p50, p75, p95 and p99 in units of their bounds."""
    table = np.array(shipped_table().between(a, b).percentiles[:4])
    return np.abs(np.quantile(trips, LEVELS[:4]) / table - 1) / BOUNDS


@pytest.mark.parametrize("transport", ["datagram", "fifo", "stream"])
def test_measured_round_trips_come_back_at_a_thousand_messages_a_second(transport: str) -> None:
    # An ordered link has only so many conditions in a minute, so a pair whose tail is not too steep.
    trips = round_trips("sydney", "saopaulo", 60.0, transport=transport)
    assert len(trips) > 59_000
    assert misses(trips, "sydney", "saopaulo").max() <= 1


def test_with_a_latency_for_each_message_an_ordered_link_is_far_slower_than_measured() -> None:
    """Why there is a coherence time: every message waits for the slowest of many before it."""
    trips = round_trips("virginia", "oregon", 20.0, transport="fifo", coherence=0)
    assert misses(trips, "virginia", "oregon")[:2].min() > 3


@pytest.mark.parametrize(
    "row", mostly_nightly(ROWS, lambda row: row in ROWS[::8]), ids=lambda row: f"{row.src}-{row.dst}"
)
def test_ordered_links_have_the_percentiles_of_every_row(row: Any) -> None:
    """Order kept by waiting, as links do; a message every 10 ms for five thousand spans."""
    network = wan(transport="fifo")
    there, back = network.link(row.src, row.dst), network.link(row.dst, row.src)
    times = np.arange(0.0, 5000 * there.coherence_time, 10 * ms)
    arrived = times
    for number, link in enumerate((there, back)):
        latency = latency_over_time(link.latency, link.coherence_time, np.random.default_rng([7, number]))
        arrived = np.maximum.accumulate([t + latency(t) for t in arrived.tolist()])
    assert misses(arrived - times, row.src, row.dst).max() <= 1


@given(
    st.lists(st.floats(0.0, 5.0), max_size=30).map(sorted),
    st.lists(st.floats(0.0, 5.0), max_size=30).map(sorted),
)
def test_the_latency_at_a_time_does_not_depend_on_the_traffic(some: list[float], others: list[float]) -> None:
    first, second = (
        latency_over_time(Exponential(0.1), 0.25, Streams(3).generator("link/a->b/latency")) for _ in range(2)
    )
    busy = {time: first(time) for time in sorted([*some, *others])}
    assert [second(time) for time in some] == [busy[time] for time in some]


def test_one_latency_is_kept_for_the_coherence_time_and_then_redrawn() -> None:
    latency = latency_over_time(Uniform(0.0, 1.0), 2.0, np.random.default_rng(1))
    times = np.arange(0.0, 4000.0, 0.1)
    values = np.array([latency(t) for t in times.tolist()])
    changes = times[np.flatnonzero(np.diff(values))]
    assert np.diff(changes) == pytest.approx(2.0, abs=0.11)
    assert len(changes) == pytest.approx(2000, abs=1)
    assert abs(values.mean() - 0.5) < 3 * np.sqrt(1 / 12 / 2000)


def test_links_do_not_change_in_step() -> None:
    changes = set()
    for seed in range(5):
        latency = latency_over_time(Gamma(2.0, 0.1), 2.0, np.random.default_rng(seed))
        values = [latency(t) for t in np.arange(0.0, 2.5, 0.01).tolist()]
        changes.add(int(np.flatnonzero(np.diff(values))[0]))
    assert len(changes) == 5


def test_without_a_coherence_time_each_call_draws() -> None:
    latency = latency_over_time(Uniform(0.0, 1.0), 0.0, np.random.default_rng(1))
    assert len({latency(0.0) for _ in range(100)}) == 100


def test_the_coherence_time_is_long_against_the_variation_and_can_be_set() -> None:
    assert coherence_time(Constant(0.1)) == 0.0
    assert coherence_time(Uniform(1.0, 2.0)) == pytest.approx(9.8)
    assert coherence_time(Uniform(1 * ms, 1.001 * ms)) == 0.010
    assert LinkSpec(Uniform(1.0, 2.0), transport="fifo").coherence_time == pytest.approx(9.8)
    assert LinkSpec(Uniform(1.0, 2.0), transport="stream", coherence=0.5).coherence_time == 0.5
    assert LinkSpec(Uniform(1.0, 2.0)).coherence_time == 0.0
    assert constant(1.0, transport="fifo").link("lan", "lan").coherence_time == 0.0
    with pytest.raises(ValueError, match=r"coherence .* not -1"):
        lan(1.0, coherence=-1)
