"""Each random decision has an address: what is drawn there depends on the seed and on nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.kernel import Stream, Streams

ADDRESSES = st.text(min_size=0, max_size=12)


def draw(streams: Streams, address: str, n: int = 20) -> list[float]:
    return [streams[address].random() for _ in range(n)]


def rest(sample: np.ndarray, expected: float, deviation: float) -> float:
    """How many standard errors the mean of a sample is away from what is expected."""
    return abs(float(np.mean(sample)) - expected) / (deviation / sqrt(len(sample)))


# --- Addresses --------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=st.integers(0, 2**80), wanted=ADDRESSES, others=st.lists(ADDRESSES, max_size=5))
def test_a_stream_does_not_depend_on_what_else_is_drawn(seed: int, wanted: str, others: list[str]) -> None:
    alone = draw(Streams(seed), wanted)
    streams = Streams(seed)
    among: list[float] = []
    for _ in range(20):
        for other in others:
            if other != wanted:
                streams[other].random()
        among.append(streams[wanted].random())
    assert among == alone


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**100, 2**128 - 1, 2**128, 2**200])
def test_a_stream_is_that_of_a_seed_sequence_whose_key_is_the_digest_of_the_address(seed: int) -> None:
    words = np.frombuffer(blake2b(b"link/a->b", digest_size=16).digest(), dtype="<u4").tolist()
    published = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))
    assert Streams(seed).generator("link/a->b").random(5).tolist() == published.random(5).tolist()


@settings(max_examples=50)
@given(seed=st.integers(0, 2**64), addresses=st.lists(ADDRESSES, min_size=2, max_size=6, unique=True))
def test_the_order_of_first_use_does_not_matter(seed: int, addresses: list[str]) -> None:
    forwards, backwards = Streams(seed), Streams(seed)
    drawn = {address: draw(forwards, address) for address in addresses}
    assert {address: draw(backwards, address) for address in reversed(addresses)} == drawn


@settings(max_examples=50)
@given(seed=st.integers(0, 2**64), one=ADDRESSES, other=ADDRESSES)
def test_other_addresses_and_other_seeds_are_other_streams(seed: int, one: str, other: str) -> None:
    streams = Streams(seed)
    assert (draw(streams, one) == draw(Streams(seed), other)) == (one == other)
    assert draw(Streams(seed), one) != draw(Streams(seed + 1), one)


def test_neighbouring_addresses_and_seeds_are_uncorrelated() -> None:
    n = 20_000
    base = np.array(draw(Streams(1), "link/n0->n1/latency", n))
    for seed, address in [(1, "link/n0->n1/loss"), (1, "link/n1->n0/latency"), (2, "link/n0->n1/latency")]:
        other = np.array(draw(Streams(seed), address, n))
        assert abs(np.corrcoef(base, other)[0, 1]) < 3 / sqrt(n)


def test_looking_a_stream_up_again_goes_on_with_it() -> None:
    streams = Streams(3)
    assert streams["a"] is streams["a"]
    assert draw(streams, "a", 5) + draw(streams, "a", 5) == draw(Streams(3), "a", 10)


def test_the_draw_function_and_the_stream_are_one_sequence() -> None:
    streams = Streams(3)
    uniform = streams.uniforms("a")
    assert [uniform(), streams["a"].random(), uniform()] == draw(Streams(3), "a", 3)


def test_the_draws_do_not_depend_on_the_interpreter_hash_seed(fresh_python: Callable[..., str]) -> None:
    code = """
from sim.kernel import Streams
streams = Streams(42)
print([streams[a].random() for a in ("x", "link/n0->n1/latency", "é")], streams["x"].sample("abcdef", 4))
"""
    said = {fresh_python(code, hash_seed=seed) for seed in (0, 4711)}
    streams = Streams(42)
    here = [streams[address].random() for address in ("x", "link/n0->n1/latency", "é")]
    assert said == {f"{here} {streams['x'].sample('abcdef', 4)}\n"}


def test_the_numbers_of_a_seed_stay_what_they_are() -> None:
    """A change of these numbers changes every published run: the CHANGELOG must say so."""
    recorded = [0.9761324065077217, 0.923309949627376, 0.633468844642549]
    assert draw(Streams(1), "link/n0->n1/latency", 3) == recorded


def test_numbers_without_a_stream_belong_to_their_whole_address() -> None:
    recorded = Streams(1).numbers("link/n0->n1/trace/")("7")
    assert len(recorded) == len(set(recorded)) == 8
    assert recorded[0] == 0.4642268864983423
    assert Streams(1).numbers("link/")("n0->n1/trace/7") == recorded
    assert Streams(2).numbers("link/")("n0->n1/trace/7") != recorded


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_a_seed_that_is_no_natural_number_is_refused_with_its_value(seed: object) -> None:
    with pytest.raises(ValueError, match=repr(seed)):
        Streams(seed)  # type: ignore[arg-type]


def test_a_numpy_integer_is_a_seed() -> None:
    assert draw(Streams(np.int64(7)), "a") == draw(Streams(7), "a")  # type: ignore[arg-type]


# --- Blocks -----------------------------------------------------------------------------------------------


def test_the_draws_are_those_of_the_generator_one_by_one_across_blocks() -> None:
    n = 16 + 32 + 64 + 128 + 256 + 512 + 1024 + 1024 + 5  # past the growing blocks
    generator = Streams(9).generator("a")
    assert draw(Streams(9), "a", n) == [generator.random() for _ in range(n)]


def test_draws_are_python_floats() -> None:
    stream = Streams(1)["a"]
    assert {type(stream.random()), type(stream.exponential(2.0)), type(stream.uniform(1, 2))} == {float}
    assert type(stream.below(3)) is int


# --- Distributions: within 3 standard errors ---------------------------------------------------------------

N = 50_000


def test_uniform_numbers_have_mean_and_variance_of_the_uniform_distribution() -> None:
    stream = Streams(11)["uniform"]
    sample = np.array([stream.uniform(2.0, 5.0) for _ in range(N)])
    assert rest(sample, 3.5, 3 / sqrt(12)) < 3
    assert rest((sample - 3.5) ** 2, 9 / 12, sqrt(81 / 180)) < 3
    assert sample.min() >= 2.0
    assert sample.max() <= 5.0


def test_exponential_numbers_have_mean_and_variance_of_the_exponential_distribution() -> None:
    stream = Streams(11)["exponential"]
    sample = np.array([stream.exponential(0.25) for _ in range(N)])
    assert rest(sample, 0.25, 0.25) < 3
    assert rest((sample - 0.25) ** 2, 0.25**2, sqrt(8) * 0.25**2) < 3
    assert rest(sample > 0.5, np.exp(-2.0), sqrt(np.exp(-2.0) * (1 - np.exp(-2.0)))) < 3
    assert sample.min() >= 0


def test_integers_are_equally_likely() -> None:
    stream = Streams(11)["below"]
    counts = Counter(stream.below(7) for _ in range(N))
    assert sorted(counts) == list(range(7))
    chi_squared = sum((count - N / 7) ** 2 / (N / 7) for count in counts.values())
    assert chi_squared < 22.5  # 6 degrees of freedom, exceeded with probability 0.001


def test_chances_come_true_as_often_as_they_say_and_certainties_always() -> None:
    stream = Streams(11)["chance"]
    assert rest(np.array([stream.chance(0.3) for _ in range(N)]), 0.3, sqrt(0.21)) < 3
    assert not any(stream.chance(0.0) for _ in range(1000))
    assert all(stream.chance(1.0) for _ in range(1000))
    assert not Stream(Lowest()).chance(0.0)  # type: ignore[arg-type]


def test_every_permutation_and_every_sample_is_equally_likely() -> None:
    stream = Streams(11)["order"]
    shuffled: Counter[str] = Counter()
    sampled: Counter[str] = Counter()
    for _ in range(N // 5):
        letters = list("abcd")
        stream.shuffle(letters)
        shuffled["".join(letters)] += 1
        sampled["".join(stream.sample("abcd", 2))] += 1
    for counts, kinds, limit in ((shuffled, 24, 49.7), (sampled, 12, 31.3)):  # probability 0.001 each
        expected = N // 5 / kinds
        assert len(counts) == kinds
        assert sum((count - expected) ** 2 / expected for count in counts.values()) < limit


# --- Values -----------------------------------------------------------------------------------------------


class Lowest:
    """A generator that only draws 0."""

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)


class Highest:
    """A generator that only draws the largest uniform number there is."""

    def random(self, size: int) -> np.ndarray:
        return np.full(size, 1 - 2.0**-53)


@settings(max_examples=60)
@given(n=st.integers(1, 2**53))
def test_the_largest_draw_is_still_below(n: int) -> None:
    assert Stream(Highest()).below(n) == n - 1  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, -1, 2**53 + 1])
def test_an_integer_below_nothing_is_refused_with_the_bound(n: int) -> None:
    with pytest.raises(ValueError, match=str(n)):
        Streams(1)["a"].below(n)


@settings(max_examples=40)
@given(items=st.lists(st.integers(), unique=True, max_size=10), seed=st.integers(0, 99), data=st.data())
def test_samples_and_shuffles_neither_lose_nor_invent(
    items: list[int], seed: int, data: st.DataObject
) -> None:
    stream = Streams(seed)["a"]
    k = data.draw(st.integers(0, len(items)))
    before = list(items)
    sample = stream.sample(items, k)
    assert items == before
    assert len(set(sample)) == len(sample) == k
    assert set(sample) <= set(items)
    stream.shuffle(items)
    assert sorted(items) == sorted(before)


def test_what_cannot_be_chosen_is_refused() -> None:
    stream = Streams(1)["a"]
    with pytest.raises(ValueError, match="0"):
        stream.choice([])
    with pytest.raises(ValueError, match="4 of 3"):
        stream.sample("abc", 4)
    with pytest.raises(ValueError, match="-1 of 3"):
        stream.sample("abc", -1)
