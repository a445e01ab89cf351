"""Every distribution agrees with its own theory, and draws the same sequence in whatever blocks."""

import dataclasses
import pickle
from functools import cache
from itertools import islice
from math import inf, nan, sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.distributions import (
    Affine,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    LogNormal,
    Mixture,
    Pareto,
    PercentileTable,
    Scipy,
    Uniform,
    as_distribution,
    as_work,
    bimodal,
)
from sim.kernel import Streams
from sim.units import minutes, ms, seconds, us
from tests.budget import mostly_nightly

BIMODAL = Mixture(((0.9, Exponential(1 * ms)), (0.1, Gamma(4.0, 5 * ms))))
CONTINUOUS = [
    Uniform(1 * ms, 3 * ms),
    Exponential(2 * ms),
    Exponential(2 * ms, shift=1 * ms),
    LogNormal(median=5 * ms, sigma=0.4),
    LogNormal.from_mean(mean=5 * ms, cv=1.5),
    Gamma(0.5, 2 * ms),
    Gamma(7.5, 1 * ms),
    Pareto(1 * ms, 3.5),
    BIMODAL,
    PercentileTable({0.0: 1 * ms, 0.5: 2 * ms, 0.99: 9 * ms, 1.0: 50 * ms}),
    Scipy(scipy.stats.weibull_min(1.5, scale=2 * ms)),
    Scipy(scipy.stats.betaprime(2.0, 5.0)),  # whose rvs are quotients, drawn block after block
    Exponential(2 * ms).scaled(3.0).shifted(1 * ms),
]
DISCRETE = [
    Constant(2 * ms),
    Empirical((3 * ms, 1 * ms, 1 * ms, 8 * ms)),
    Mixture(((0.25, Constant(1.0)), (0.75, Constant(2.0)))),
    PercentileTable({0.5: 1 * ms}),
    Constant(1.0).scaled(0.0),
]
ALL = CONTINUOUS + DISCRETE
DRAWS = 100_000


@cache
def sample(distribution, n=DRAWS, seed=1):
    draws = distribution.draws(np.random.default_rng(seed))(n)
    draws.flags.writeable = False  # all tests see the same
    return draws


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_the_mean_of_draws_is_the_mean(distribution):
    draws = sample(distribution)
    assert abs(draws.mean() - distribution.mean()) <= 3 * draws.std() / sqrt(DRAWS) + 1e-12


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.99, 0.999])
def test_a_fraction_q_of_draws_is_below_the_quantile_at_q(distribution, q):
    below = np.mean(sample(distribution) <= distribution.quantile(q))
    assert abs(below - q) <= 3 * sqrt(q * (1 - q) / DRAWS)


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
@given(q=st.floats(0.001, 0.999))
@settings(max_examples=20, deadline=None)
def test_the_quantile_inverts_the_cdf(distribution, q):
    assert distribution.cdf(distribution.quantile(q)) == pytest.approx(q, abs=1e-9)


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_quantiles_of_discrete_and_continuous_are_the_least_time_that_enough_draws_keep(distribution):
    for q in (0.1, 0.25, 0.5, 0.75, 1.0):
        time = distribution.quantile(q)
        assert distribution.cdf(time * (1 + 1e-12)) >= q - 1e-12
        assert distribution.cdf(time * (1 - 1e-9) - 1e-15) <= q


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Uniform(1.0, 3.0), scipy.stats.uniform(1.0, 2.0)),
        (Exponential(2.0, shift=1.0), scipy.stats.expon(1.0, 2.0)),
        (LogNormal(3.0, 0.7), scipy.stats.lognorm(0.7, scale=3.0)),
        (Gamma(0.3, 2.0), scipy.stats.gamma(0.3, scale=2.0)),
        (Gamma(40.0, 0.1), scipy.stats.gamma(40.0, scale=0.1)),
        (Pareto(2.0, 2.5), scipy.stats.pareto(2.5, scale=2.0)),
    ],
)
def test_formulas_agree_with_scipy(ours, theirs):
    assert ours.mean() == pytest.approx(theirs.mean(), rel=1e-12)
    assert ours.median() == pytest.approx(theirs.median(), rel=1e-9)
    for q in (0.001, 0.3, 0.5, 0.97, 0.9999):
        assert ours.quantile(q) == pytest.approx(theirs.ppf(q), rel=1e-8)
    for x in (-1.0, 0.0, 0.5, 1.5, 2.5, 4.0, 20.0):
        assert ours.cdf(x) == pytest.approx(theirs.cdf(x), rel=1e-9, abs=1e-14)


def test_from_mean_has_that_mean_and_variation():
    theirs = LogNormal.from_mean(mean=4.0, cv=0.5)
    frozen = scipy.stats.lognorm(theirs.sigma, scale=theirs.median())
    assert frozen.mean() == pytest.approx(4.0)
    assert frozen.std() / frozen.mean() == pytest.approx(0.5)


def test_unbounded_distributions_end_at_infinity_and_heavy_ones_have_no_mean():
    for unbounded in (Exponential(1.0), LogNormal(1.0, 1.0), Gamma(1.0, 1.0), Pareto(1.0, 1.0), BIMODAL):
        assert unbounded.quantile(1.0) == inf
    assert Pareto(1.0, 1.0).mean() == inf
    assert Pareto(1.0, 1.0).scaled(0.0).mean() == 0.0


# Drawing


@pytest.mark.parametrize("distribution", ALL, ids=repr)
@given(sizes=st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=15, deadline=None)
def test_the_sequence_does_not_depend_on_the_blocks(distribution, sizes):
    draws = distribution.draws(np.random.default_rng(7))
    pieces = [x for size in sizes for x in draws(size).tolist()]
    assert pieces == sample(distribution, sum(sizes), seed=7).tolist()


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_the_sampler_draws_the_same_sequence_one_float_at_a_time(distribution):
    draw = distribution.sampler(np.random.default_rng(7))
    values = [draw() for _ in range(3000)]
    assert values == sample(distribution, 3000, seed=7).tolist()
    assert all(type(value) is float for value in values)
    again = distribution.sampler(np.random.default_rng(7))
    assert values == [again() for _ in range(3000)]


def test_a_sampler_takes_only_a_small_block_at_first():
    used, fresh = np.random.default_rng(3), np.random.default_rng(3)
    Uniform(0.0, 1.0).sampler(used)()
    fresh.random(16)
    assert used.random() == fresh.random()


def test_parts_of_a_mixture_draw_independently():
    mixture = Mixture(((0.5, Uniform(0.0, 1.0)), (0.5, Uniform(2.0, 3.0))))
    draws = sample(mixture)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / sqrt(DRAWS)
    assert set(np.floor(draws)) == {0.0, 2.0}


def test_a_distribution_of_ones_own_needs_draws_cdf_and_mean():
    class Coin(Distribution):
        def draws(self, rng):
            return lambda n: np.floor(2 * rng.random(n))

        def cdf(self, x):
            return 0.0 if x < 0 else 0.5 if x < 1 else 1.0

        def mean(self):
            return 0.5

    draw = Coin().shifted(1.0).sampler(np.random.default_rng(0))
    assert set(islice(iter(draw, None), 50)) == {1.0, 2.0}
    assert Coin().quantile(0.6) == 1.0
    assert Coin().median() == 0.0


# Values


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_distributions_are_frozen_hashable_values(distribution):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(distribution, dataclasses.fields(distribution)[0].name, 1.0)
    assert hash(distribution) == hash(distribution)
    assert not hasattr(distribution, "__dict__")
    if "Scipy" not in repr(distribution):
        assert pickle.loads(pickle.dumps(distribution)) == distribution


def test_reprs_can_be_typed():
    assert repr(Scipy(scipy.stats.gamma(2.0, scale=0.5))) == "Scipy(gamma(2.0, scale=0.5))"
    for distribution in (Exponential(0.1, 0.2), LogNormal(0.5, 1.5), Pareto(1.0, 2.0), BIMODAL):
        assert eval(repr(distribution)) == distribution


def test_affine_scales_then_shifts():
    stretched = Affine(Uniform(1.0, 2.0), factor=10.0, shift=5.0)
    assert (stretched.quantile(0.0), stretched.quantile(1.0), stretched.mean()) == (15.0, 25.0, 20.0)
    assert stretched == Uniform(1.0, 2.0).scaled(10.0).shifted(5.0) or stretched.cdf(20.0) == 0.5


def test_units_are_seconds():
    assert (5 * us, 5 * ms, 5 * seconds, 5 * minutes) == pytest.approx((5e-6, 5e-3, 5.0, 300.0))


# Data

LEVELS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8, unique=True)
TIMES = st.floats(0.0, 1e6, allow_subnormal=False)


@given(LEVELS, st.data())
@settings(max_examples=30, deadline=None)
def test_a_percentile_table_gives_its_own_percentiles_back(levels, data):
    times = sorted(data.draw(st.lists(TIMES, min_size=len(levels), max_size=len(levels))))
    table = dict(zip(sorted(levels), times, strict=True))
    distribution = PercentileTable(table)
    for level, time in table.items():
        assert distribution.quantile(level) == time
    assert distribution.quantile(0.0) == times[0]
    assert distribution.quantile(1.0) == times[-1]


def test_a_percentile_table_is_drawn_as_interpolated():
    table = PercentileTable({0.5: 1 * ms, 0.9: 2 * ms, 0.99: 20 * ms, 1.0: 30 * ms})
    draws = sample(table)
    assert draws.min() == 1 * ms
    assert np.mean(draws == 1 * ms) == pytest.approx(0.5, abs=3 * sqrt(0.25 / DRAWS))
    assert np.mean(draws <= 11 * ms) == pytest.approx(0.945, abs=3 * sqrt(0.945 * 0.055 / DRAWS))
    assert table.cdf(11 * ms) == pytest.approx(0.945)


def test_empirical_draws_its_samples_equally_often():
    measured = Empirical(np.array([0.3, 0.1, 0.2, 0.2]))
    values, counts = np.unique(sample(measured), return_counts=True)
    assert values.tolist() == [0.1, 0.2, 0.3]
    assert counts / DRAWS == pytest.approx([0.25, 0.5, 0.25], abs=3 * sqrt(0.25 / DRAWS))
    assert (measured.mean(), measured.median(), measured.cdf(0.2)) == (pytest.approx(0.2), 0.2, 0.75)


@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=30), st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_empirical_quantiles_are_those_of_the_step_function(samples, q):
    expected = np.quantile(samples, q, method="inverted_cdf")
    measured = Empirical(tuple(samples)).quantile(q)
    ranks = q * len(samples)
    assert measured == expected or abs(ranks - round(ranks)) < 1e-9  # at a step rounding decides


def test_empirical_reads_a_column_of_a_csv(tmp_path):
    path = tmp_path / "latency.csv"
    path.write_text("when,rtt_ms,note\n1,2.5,a\n2,0.5,b\n\n")
    assert Empirical.from_csv(path, "rtt_ms").samples == pytest.approx((0.5 * ms, 2.5 * ms))
    assert Empirical.from_csv(path, "rtt_ms", unit=1.0).samples == (0.5, 2.5)
    path.write_text("seconds\n1\n3\n")
    assert Empirical.from_csv(path).samples == (1.0, 3.0)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a,b\n1,2\n", None, ["column None", "a, b"]),
        ("a,b\n1,2\n", "c", ["'c'", "a, b"]),
        ("a\n1\nx\n", "a", ["line 3", "'a'", "'x'"]),
        ("a\n-1\n", "a", ["line 2", "'-1'"]),
        ("a\nnan\n", "a", ["line 2", "'nan'"]),
        ("a,b\n1\n", "a", ["line 2", "2 cells", "not 1"]),
        ("a\n", "a", ["no samples", "'a'"]),
        ("", None, ["line 1", "none"]),
    ],
)
def test_a_bad_csv_of_samples_says_file_line_and_value(tmp_path, text, column, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        Empirical.from_csv(path, column)
    for word in ["bad.csv", *words]:
        assert word in str(error.value)


def test_any_frozen_scipy_distribution_serves_discrete_ones_too():
    for frozen in (scipy.stats.gamma(2.0, scale=0.1), scipy.stats.poisson(3.0), scipy.stats.norm(1.0, 0.1)):
        distribution = as_distribution(frozen)
        draws = sample(distribution)
        assert distribution.mean() == pytest.approx(float(frozen.mean()))
        assert distribution.quantile(0.9) == frozen.ppf(0.9)
        assert abs(draws.mean() - frozen.mean()) <= 3 * frozen.std() / sqrt(DRAWS)


@pytest.mark.parametrize(
    ("frozen", "word"),
    [
        (scipy.stats.norm(0.1, 0.1), "15.9 %"),
        (scipy.stats.gamma, "frozen"),
        (scipy.stats.multivariate_normal([0.0, 1.0]), "frozen"),
        (scipy.stats.expon(scale=[1.0, 2.0]), "one finite number"),
        (scipy.stats.gamma(-1.0), "nan"),
    ],
)
def test_scipy_distributions_that_cannot_be_times_are_refused(frozen, word):
    with pytest.raises(ValueError, match=word):
        Scipy(frozen)


# Conversion and errors


def test_as_distribution_takes_what_describes_a_time():
    assert as_distribution(0.5) == Constant(0.5)
    assert as_distribution(np.int64(2)) == Constant(2.0)
    assert as_distribution([3.0, 1.0]) == Empirical((1.0, 3.0))
    assert as_distribution(np.array([3.0, 1.0])) == Empirical((1.0, 3.0))
    assert as_distribution(BIMODAL) is BIMODAL


@pytest.mark.parametrize(
    "value", [None, "5ms", True, {0.5: 1.0}, object, -1.0, nan, inf, [], [[1.0]], ["a"], [-0.5]]
)
def test_as_distribution_refuses_the_rest(value):
    with pytest.raises(ValueError, match=r"must be|needed"):
        as_distribution(value, "think time")


BAD = st.one_of(
    st.floats(max_value=-1e-300, allow_nan=False),
    st.sampled_from([nan, inf, -inf, True, None, "1", 1j]),
)
MAKERS = [
    Exponential,
    lambda bad: Exponential(1.0, bad),
    lambda bad: LogNormal(bad, 1.0),
    lambda bad: LogNormal(1.0, bad),
    lambda bad: LogNormal.from_mean(bad, 1.0),
    lambda bad: LogNormal.from_mean(1.0, bad),
    lambda bad: Mixture(((bad, Constant(1.0)), (1.0, Constant(1.0)))),
    lambda bad: PercentileTable({0.5: bad}),
    lambda bad: PercentileTable({bad: 0.5}),
    lambda bad: Constant(1.0).scaled(bad),
    lambda bad: Constant(1.0).shifted(bad),
    Constant(1.0).quantile,
    Exponential(1.0).quantile,
    BIMODAL.quantile,
]


@pytest.mark.parametrize("make", MAKERS)
@given(bad=BAD)
@settings(max_examples=25, deadline=None)
def test_bad_parameters_are_refused_with_the_value(make, bad):
    with pytest.raises(ValueError) as error:
        make(bad)
    assert repr(bad) in str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Uniform(2.0, 1.0), "2.0 is above high 1.0"),
        (lambda: Exponential(0.0), "> 0, not 0.0"),
        (lambda: Mixture(()), "sum to 1, not 0"),
        (lambda: Mixture(((0.5, Constant(1.0)), (0.4, Constant(1.0)))), "sum to 1, not 0.9"),
        (lambda: Mixture(((1.0, 5.0),)), "must be a Distribution, not 5.0"),
        (lambda: Mixture((1.0,)), "each entry of parts must be a tuple of values, not 1.0"),
        (lambda: PercentileTable({}), "empty"),
        (lambda: PercentileTable({50: 1.0}), r"\[0, 1\], not 50"),
        (lambda: PercentileTable({0.5: 2.0, 0.9: 1.0}), "1.0 s at level 0.9 is less than 2.0 s"),
        (lambda: PercentileTable([(0.5, 1.0), (0.5, 2.0)]), "0.5 comes twice"),
        (lambda: PercentileTable(3), "not 3"),
        (lambda: Empirical(()), "non-empty"),
        (lambda: Empirical([1.0, -2.0]), "sample 1 .*-2.0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# Two ways to draw, one law. The samples are sized before: with 20,000 of each, a Kolmogorov-Smirnov test at one in
# ten thousand sees a distance of 0.0223 between the two; a wrong parameter by a tenth is farther off than that.

OF_A_NODE = 20_000
SLOW = (Gamma, Affine, Scipy, Mixture)  # drawn by bisection or SciPy: a tenth as many, which see 0.052


def of_a_node(distribution, n):
    draw = distribution.drawer(Streams(7)["node/n0"])
    return np.array([draw() for _ in range(n)])


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
def test_a_node_draws_from_the_same_law_as_a_link(distribution):
    n = OF_A_NODE // 10 if isinstance(distribution, SLOW) else OF_A_NODE
    assert scipy.stats.ks_2samp(of_a_node(distribution, n), sample(distribution, OF_A_NODE)).pvalue > 1e-4


@pytest.mark.parametrize("distribution", DISCRETE, ids=repr)
def test_a_node_draws_the_same_values_as_often_as_a_link(distribution):
    ours, theirs = of_a_node(distribution, OF_A_NODE), sample(distribution, OF_A_NODE)
    values = sorted({*ours.tolist(), *theirs.tolist()})
    for value in values:
        p = (np.mean(ours == value) + np.mean(theirs == value)) / 2.0
        assert abs(np.mean(ours == value) - np.mean(theirs == value)) <= 4 * sqrt(2 * p * (1 - p) / OF_A_NODE)


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_a_node_draws_the_same_by_either_call(distribution):
    stream, draw = Streams(3)["node/n0"], distribution.drawer(Streams(3)["node/n0"])
    assert [distribution.draw(stream) for _ in range(20)] == [draw() for _ in range(20)]


class Edge:
    """A stream that gives the least and the largest number that there is."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number

    def exponential(self, mean):
        return -mean * np.log(1.0 - self.number)

    def choice(self, items):
        return items[int(self.number * len(items))]


@pytest.mark.parametrize("number", [0.0, 1.0 - 2.0**-53])
@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_no_number_of_a_stream_is_too_small_or_too_large_to_draw_by(distribution, number):
    assert 0.0 <= distribution.draw(Edge(number)) < inf


def has_quick_quantiles(distribution):
    """Those of a Gamma are found by bisection: one of the three in `ALL` is enough for every day."""
    return "Gamma" not in repr(distribution) or distribution == Gamma(0.5, 0.002)


@pytest.mark.parametrize(
    "distribution",
    mostly_nightly((d for d in ALL if not isinstance(d, Scipy)), has_quick_quantiles),
    ids=repr,
)
def test_the_variance_is_that_of_the_quantiles(distribution):
    summed = Distribution.variance(distribution)
    tail = 0.15 if isinstance(distribution, Pareto) else 0.03  # what lies beyond the last of the quantiles
    assert distribution.variance() == pytest.approx(summed, rel=tail, abs=1e-18)


def test_moments_that_do_not_exist_are_infinite():
    assert (Pareto(1.0, 0.9).variance(), Pareto(1.0, 2.0).variance()) == (inf, inf)
    assert Mixture(((0.5, Constant(1.0)), (0.5, Pareto(1.0, 1.0)))).variance() == inf
    assert Constant(3.0).cv2() == 0.0
    assert Exponential(3.0).cv2() == pytest.approx(1.0)
    assert LogNormal.from_mean(2.0, cv=0.7).cv2() == pytest.approx(0.49)


def test_a_pareto_and_two_times_are_made_from_what_is_known_of_them():
    assert Pareto.from_mean(2.0, 3.5).mean() == pytest.approx(2.0)
    two = bimodal(short=1.0, long=9.0, long_share=0.1)
    assert (two.mean(), two.variance()) == (pytest.approx(1.8), pytest.approx(0.1 * 0.9 * 64.0))


def test_whatever_describes_a_time_describes_work_that_is_some_and_ends():
    assert as_work(0.25) == Constant(0.25)
    assert as_work([0.0, 1.0]) == Empirical((0.0, 1.0))
    for value in (0.0, [0.0, 0.0], Pareto(1.0, 1.0)):
        with pytest.raises(ValueError, match="a service time needs a positive, finite mean"):
            as_work(value)
