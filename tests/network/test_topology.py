"""Topologies are values that say what each link is like; nonsense is refused at once."""

import dataclasses
import pickle
import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.distributions import Constant, Exponential, Uniform
from sim.network.topology import GilbertElliott, LinkSpec, Topology, constant, lan, matrix
from sim.units import ms

TRIANGLE = matrix(("a", "b", "c"), ((0.001, 0.01, 0.02), (0.011, 0.001, 0.03), (0.021, 0.031, 0.001)))


def test_a_constant_network_takes_exactly_delta_everywhere():
    network = constant(0.05)
    assert network.link("lan", "lan").latency == Constant(0.05)
    assert network.median_rtt("lan", "lan") == 0.1
    assert [network.place(i) for i in range(3)] == ["lan"] * 3


def test_a_matrix_is_directed_and_places_replicas_round_robin():
    assert TRIANGLE.link("a", "b").latency == Constant(0.01)
    assert TRIANGLE.link("b", "a").latency == Constant(0.011)
    assert TRIANGLE.median_rtt("c", "b") == pytest.approx(0.061)
    assert [TRIANGLE.place(i) for i in range(5)] == ["a", "b", "c", "a", "b"]


def test_a_matrix_takes_arrays_and_distributions():
    array = matrix(["x", "y"], np.array([[0.1, 0.2], [0.3, 0.4]]))
    assert array.link("y", "x").latency == Constant(0.3)
    mixed = matrix(["x", "y"], [[0, Exponential(0.1)], [[0.1, 0.2], 0]])
    assert mixed.link("x", "y").latency == Exponential(0.1)
    assert mixed.link("y", "x").latency.mean() == pytest.approx(0.15)


def test_the_median_round_trip_is_that_of_the_sum_not_the_sum_of_medians():
    network = lan(Exponential(1.0))
    # The sum of two exponential times is Erlang: its median solves (1 + x) exp(-x) = 1/2.
    assert network.median_rtt("lan", "lan") == pytest.approx(1.678347, rel=0.002)


def test_what_all_links_share_can_be_replaced():
    lossy = dataclasses.replace(TRIANGLE, loss=0.1, transport="stream", bandwidth=1e6, duplicate=0.2)
    link = lossy.link("a", "c")
    assert (link.loss, link.transport, link.bandwidth, link.duplicate) == (0.1, "stream", 1e6, 0.2)
    assert link.latency == TRIANGLE.link("a", "c").latency
    assert TRIANGLE.link("a", "c").loss == 0.0


def test_the_links_between_two_places_share_one_description():
    assert TRIANGLE.link("a", "b") is TRIANGLE.link("a", "b")


def test_topologies_are_values():
    again = pickle.loads(pickle.dumps(TRIANGLE))
    assert again == TRIANGLE
    assert hash(again) == hash(TRIANGLE)
    assert again != dataclasses.replace(TRIANGLE, loss=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRIANGLE.loss = 0.1


def test_a_topology_of_ones_own_says_only_its_latencies():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Line(Topology):
        def latency(self, src, dst):
            return Constant(0.01 * abs(self.regions.index(src) - self.regions.index(dst)))

    line = Line(regions=("x", "y", "z"), loss=0.25)
    assert line.median_rtt("x", "z") == pytest.approx(0.04)
    assert line.link("x", "y").loss == 0.25


def test_an_unknown_place_is_refused_with_candidates():
    with pytest.raises(ValueError, match="unknown place 'd': known are a, b, c"):
        TRIANGLE.link("a", "d")
    network = matrix(("frankfurt", "milan"), ((0, 1), (1, 0)))
    with pytest.raises(ValueError, match="unknown place 'frankfrut': did you mean frankfurt"):
        network.median_rtt("frankfrut", "milan")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lan(-0.1), "at least 0 s, not -0.1"),
        (lambda: lan("fast"), "'fast'"),
        (lambda: constant(float("nan")), "delta.*nan"),
        (lambda: lan(1 * ms, loss=1.5), r"loss must be in \[0, 1\], not 1.5"),
        (lambda: lan(1 * ms, duplicate=-0.5), "duplicate .* not -0.5"),
        (lambda: lan(1 * ms, bandwidth=0), "bandwidth .* > 0, not 0"),
        (lambda: lan(1 * ms, transport="tcp"), "datagram, fifo, stream, not 'tcp'"),
        (lambda: lan(1 * ms, burst=0.1), "a GilbertElliott or None, not 0.1"),
        (lambda: lan(1 * ms, retransmit=0.0), "retransmit .* > 0, not 0.0"),
        (lambda: lan(1 * ms, transport="stream", loss=1.0), "loss must be < 1"),
        (lambda: lan(1 * ms, transport="stream", burst=GilbertElliott(1.0, 0.1, good=1.0)), "must be < 1"),
        (lambda: matrix("ab", ((0, 0), (0, 0))), "'ab'"),
        (lambda: matrix((), ()), r"not \(\)"),
        (lambda: matrix(("a", "a"), ((0, 0), (0, 0))), "must differ: a, a"),
        (lambda: matrix(("a", "b"), ((0, 0),)), r"2 rows of 2 latencies, not \[2\]"),
        (lambda: matrix(("a", "b"), ((0, 0), (0,))), r"not \[2, 1\]"),
        (lambda: matrix(("a",), ((None,),)), "row 0, column 0.*None"),
        (lambda: GilbertElliott.from_mean(loss=1.0, burst=5), "1.0"),
        (lambda: GilbertElliott.from_mean(loss=0.1, burst=0.5), "0.5"),
    ],
)
def test_nonsense_is_refused_with_the_value(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_stream_first_sends_again_after_the_round_trip_and_200_ms():
    assert LinkSpec(Constant(0.05), transport="stream").retransmission_timeout == pytest.approx(0.3)
    assert LinkSpec(Constant(0.05), transport="stream", retransmit=0.7).retransmission_timeout == 0.7


# Bursts


class Line:
    bad = False


def losses(burst, n=200_000, seed=1):
    line, draw = Line(), iter(np.random.default_rng(seed).random(2 * n).tolist()).__next__
    return np.array([burst.is_lost(line, draw) for _ in range(n)])


def test_bursts_lose_the_fraction_and_have_the_length_that_were_asked_for():
    lost = losses(GilbertElliott.from_mean(loss=0.05, burst=8))
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], lost, [0])))))[::2]
    # Bursts are geometric, with deviation sqrt(8 * 7); the mean loss deviates as that of n / 16 or so draws.
    assert abs(runs.mean() - 8) <= 3 * sqrt(8 * 7 / len(runs))
    assert abs(lost.mean() - 0.05) <= 3 * sqrt(0.05 * 0.95 * (2 * 8) / len(lost))


@given(
    enter=st.floats(0.01, 1.0), leave=st.floats(0.01, 1.0), good=st.floats(0.0, 1.0), bad=st.floats(0.0, 1.0)
)
def test_the_mean_loss_is_that_of_the_stationary_chain(enter, leave, good, bad):
    burst = GilbertElliott(enter, leave, good, bad)
    chain = np.array([[1 - enter, enter], [leave, 1 - leave]])
    start = np.array([leave, enter]) / (enter + leave)
    assert start @ chain == pytest.approx(start)
    assert burst.mean_loss == pytest.approx(start @ [good, bad])


@given(loss=st.floats(0.0, 0.9), burst=st.floats(1.0, 100.0))
def test_from_mean_inverts_the_mean_loss(loss, burst):
    if loss > burst * (1 - loss):
        with pytest.raises(ValueError, match="no bursts"):
            GilbertElliott.from_mean(loss, burst)
    else:
        assert GilbertElliott.from_mean(loss, burst).mean_loss == pytest.approx(loss)


def test_every_message_takes_two_draws_of_the_burst_stream():
    taken = []
    draw = iter(np.linspace(0.0, 0.99, 100).tolist()).__next__
    for burst in (GilbertElliott(0.5, 0.5), GilbertElliott(0.0, 1.0), GilbertElliott(0.5, 0.5, 0.1, 0.9)):
        line = Line()
        burst.is_lost(line, lambda: taken.append(draw()) or taken[-1])
    assert len(taken) == 6


def test_the_network_needs_neither_pandas_nor_scipy():
    code = (
        "import sys\n"
        "from sim.network import lan, wan\n"
        "wan('tokyo', 'ireland').link('tokyo', 'ireland'); lan()\n"
        "print([m for m in ('pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_uniform_latencies_between_hosts_keep_their_range():
    draw = lan(Uniform(1 * ms, 2 * ms)).link("lan", "lan").latency.sampler(np.random.default_rng(0))
    values = [draw() for _ in range(1000)]
    assert 1 * ms <= min(values) < 1.01 * ms
    assert 1.99 * ms < max(values) <= 2 * ms
