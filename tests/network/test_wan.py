"""Measured round trips come back when two fitted one-way latencies are added."""

import csv
import dataclasses
import pickle
import warnings
from functools import cache
from itertools import combinations
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim.network
from sim.distributions import Constant, PercentileTable
from sim.network.fit import BOUNDS, LEVELS, fit_one_way, round_trip_cdf, round_trip_quantiles
from sim.network.measurements import read_table, shipped_table
from sim.network.topology import lan
from sim.network.wan import deviations, wan
from sim.units import ms
from tests.budget import mostly_nightly

SHIPPED = Path(sim.network.__path__[0]) / "data" / "ec2_rtt_2013.csv"
COLUMNS = ["mean_ms", "p50_ms", "p75_ms", "p95_ms", "p99_ms", "p99.9_ms", "p99.99_ms", "p99.999_ms"]
HEADER = "src,dst," + ",".join(COLUMNS)


@cache
def rows():
    """The shipped file, read without our reader: (src, dst) -> figures in seconds."""
    with SHIPPED.open() as file:
        return {(r["src"], r["dst"]): [float(r[c]) / 1000 for c in COLUMNS] for r in csv.DictReader(file)}


def merged(*pairs):
    """Geometric means of the rows of these pairs, both ways."""
    found = [rows()[key] for a, b in pairs for key in ((a, b), (b, a)) if key in rows()]
    assert found
    return [exp(sum(map(log, column)) / len(found)) for column in zip(*found, strict=True)]


NAMES = {
    "tokyo": "ap-northeast-1 (Tokyo)",
    "singapore": "ap-southeast-1 (Singapore)",
    "sydney": "ap-southeast-2 (Sydney)",
    "ireland": "eu-west-1 (Ireland)",
    "saopaulo": "sa-east-1 (Sao Paulo)",
    "virginia": "us-east-1 (Virginia)",
    "california": "us-west-1 (California)",
    "oregon": "us-west-2 (Oregon)",
    "virginia-b": "us-east-1b",
    "virginia-c": "us-east-1c",
    "virginia-d": "us-east-1d",
}
HOSTS = [(f"us-east-1b host {i}", f"us-east-1b host {j}") for i, j in ((1, 2), (1, 3), (2, 3))]
PAIRS = [(a, b) for a, b in combinations(NAMES, 2) if a.startswith("virginia-") == b.startswith("virginia-")]
PAIRS = [pair for pair in PAIRS if pair != ("virginia", "virginia-b")] + [("virginia", "virginia")]


def figures(a, b):
    return merged(*HOSTS) if a == b else merged((NAMES[a], NAMES[b]))


def within_bounds(quantiles, percentiles):
    return all(abs(q / p - 1) <= bound for q, p, bound in zip(quantiles, percentiles, BOUNDS, strict=False))


def test_every_row_of_the_file_is_used():
    assert len(PAIRS) == 28 + 3 + 1
    assert {frozenset(pair) for pair in rows()} == {
        frozenset(pair) for pair in [*((NAMES[a], NAMES[b]) for a, b in PAIRS[:-1]), *HOSTS]
    }
    assert len(shipped_table().rows) == len(PAIRS)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_round_trip_has_the_percentiles_of_the_table(a, b):
    network = wan()
    there, back = network.link(a, b).latency, network.link(b, a).latency
    expected = figures(a, b)
    fitted = round_trip_quantiles(there, back, LEVELS)
    assert within_bounds(fitted, expected[1:])
    # Beyond the bounds that were asked for: the rest of the tail and the mean come back well too.
    assert fitted[4:] == pytest.approx(expected[5:], rel=0.1)
    assert there.mean() + back.mean() == pytest.approx(expected[0], rel=0.03)
    assert network.median_rtt(a, b) == pytest.approx(expected[1])


@pytest.mark.parametrize(("a", "b"), mostly_nightly(PAIRS, lambda pair: pair in PAIRS[::8]))
def test_a_drawn_round_trip_has_the_percentiles_of_the_table(a, b):
    n = 100_000  # a hundred seconds of 1,000 messages a second
    network = wan()
    forth = network.link(a, b).latency.sampler(np.random.default_rng([1, 1]))
    home = network.link(b, a).latency.sampler(np.random.default_rng([1, 2]))
    trips = np.array([forth() + home() for _ in range(n)])
    assert within_bounds(np.quantile(trips, LEVELS[:4]), figures(a, b)[1:])


def test_no_shipped_pair_uses_more_than_four_fifths_of_a_bound():
    for a, b in PAIRS:
        mean, *percentiles = figures(a, b)
        used = np.abs(fit_one_way(mean, tuple(percentiles)).deviations[:4]) / BOUNDS
        assert used.max() <= 0.8


def test_percentiles_between_two_modes_do_not_hang_by_a_hair():
    """Singapore to Ireland had two routes, 80 ms apart: a median next to the gap would jump across it in samples."""
    network = wan("singapore", "ireland")
    there, back = network.link("singapore", "ireland").latency, network.link("ireland", "singapore").latency
    levels = np.array(LEVELS[:4])
    for off in (-0.04, 0.04):  # four standard errors of 10,000 samples
        near = round_trip_quantiles(there, back, levels + off * np.sqrt(levels * (1 - levels)))
        assert within_bounds(near, figures("singapore", "ireland")[1:])


def test_both_directions_of_all_shipped_pairs_are_alike():
    network = wan()
    assert all(network.link(a, b).latency == network.link(b, a).latency for a, b in PAIRS)


def test_a_spike_belongs_to_one_direction():
    """So it is as long one way as on the round trip, and half as frequent. Halving the table fails both."""
    one_way = lan().link("lan", "lan").latency
    table = dict(zip(LEVELS, figures("virginia", "virginia")[1:], strict=True))
    base = table[0.5] / 2
    assert 1 - one_way.cdf(table[0.999] - base) == pytest.approx(0.0005, rel=0.1)
    assert 1 - one_way.cdf(table[0.99] - base) == pytest.approx(0.005, rel=0.1)
    halved = PercentileTable({level: time / 2 for level, time in table.items()})
    assert not within_bounds(round_trip_quantiles(halved, halved, LEVELS), list(table.values()))


def test_the_default_lan_is_the_measured_zone():
    network = lan(loss=0.1)
    assert network.regions == ("lan",)
    assert network.link("lan", "lan").latency == wan("virginia").link("virginia", "virginia").latency
    assert network.link("lan", "lan").loss == 0.1
    assert network.median_rtt("lan", "lan") == pytest.approx(figures("virginia", "virginia")[1], rel=0.01)


# The distribution of a sum

TABLES = st.lists(st.floats(0.01, 5.0), min_size=3, max_size=6).map(
    lambda rises: PercentileTable(
        zip(np.linspace(0, 1, len(rises)).tolist(), np.cumsum(rises).tolist(), strict=True)
    )
)


def test_two_uniform_times_add_up_to_a_triangle():
    unit = PercentileTable({0.0: 0.0, 1.0: 1.0})
    assert round_trip_cdf(unit, unit, [0.0, 0.5, 1.0, 1.5, 2.0]) == pytest.approx([0, 0.125, 0.5, 0.875, 1])
    assert round_trip_quantiles(unit, unit, [0.125, 0.5, 0.875]) == pytest.approx([0.5, 1.0, 1.5])
    wide = PercentileTable({0.0: 10.0, 1.0: 14.0})
    assert round_trip_cdf(unit, wide, [10.0, 11.0, 13.0]) == pytest.approx([0, 0.125, 0.625])
    assert round_trip_cdf(wide, unit, [10.0, 11.0, 13.0]) == pytest.approx([0, 0.125, 0.625])


def test_constant_parts_of_a_table_add_up_too():
    step = PercentileTable({0.5: 1.0, 0.500001: 3.0})
    assert round_trip_cdf(step, step, [1.9, 2.1, 4.1, 6.1]) == pytest.approx([0, 0.25, 0.75, 1], abs=1e-5)


@given(TABLES, TABLES, st.floats(0.01, 0.99))
@settings(max_examples=40)
def test_the_cdf_of_a_sum_agrees_with_an_integral_and_its_quantile_inverts_it(a, b, q):
    time = round_trip_quantiles(a, b, [q])[0]
    levels = (np.arange(1000) + 0.5) / 1000
    assert np.mean([b.cdf(time - a.quantile(float(u))) for u in levels]) == pytest.approx(q, abs=1e-3)
    assert round_trip_cdf(a, b, [time])[0] == pytest.approx(q, abs=1e-9)


# Names and places


def test_regions_go_by_short_names_cities_and_codes():
    network = wan("us-east-1", "Sao Paulo", "OREGON", "eu-west-1 (Ireland)", "us-east-1c")
    assert network.regions == ("virginia", "saopaulo", "oregon", "ireland", "virginia-c")
    assert network.link("sao paulo", "Oregon").latency == network.link("saopaulo", "oregon").latency
    assert [network.place(i) for i in (0, 4, 5)] == ["virginia", "virginia-c", "virginia"]


def test_without_regions_all_eight_are_there():
    assert set(wan().regions) == {name for name in NAMES if "-" not in name}


def test_places_of_one_region_use_the_rows_of_zones_and_hosts():
    network = wan("virginia", "virginia", "ireland")
    hosts = merged(*HOSTS)[1]
    assert network.median_rtt("virginia", "virginia") == pytest.approx(hosts)
    assert network.median_rtt("virginia", "virginia-b") == pytest.approx(hosts)
    assert network.median_rtt("virginia", "virginia-d") == pytest.approx(
        figures("virginia-b", "virginia-d")[1]
    )
    assert network.median_rtt("virginia-c", "virginia-d") == pytest.approx(
        figures("virginia-c", "virginia-d")[1]
    )
    # Nobody measured inside these, so what was measured in us-east-1b stands in.
    for place in ("virginia-c", "ireland"):
        assert network.median_rtt(place, place) == pytest.approx(hosts)
    assert network.median_rtt("virginia-d", "ireland") == pytest.approx(figures("ireland", "virginia")[1])


def test_an_unknown_region_is_refused_with_candidates():
    with pytest.raises(ValueError, match="unknown place 'virgina': did you mean virginia"):
        wan("virgina")
    with pytest.raises(ValueError, match=r"unknown place 'mars': known are .*tokyo"):
        wan("tokyo", "mars")
    with pytest.raises(ValueError, match="unknown place 5"):
        wan(5)


def test_a_wan_is_a_value_and_its_links_vary():
    network = wan("tokyo", "ireland", loss=0.01)
    stream = dataclasses.replace(network, transport="stream")
    assert stream.link("tokyo", "ireland").transport == "stream"
    assert stream.link("tokyo", "ireland").loss == 0.01
    assert pickle.loads(pickle.dumps(network)) == network
    assert hash(network) != hash(stream)
    assert "ec2_rtt_2013.csv" in repr(network)
    with pytest.raises(ValueError, match="loss"):
        wan("tokyo", loss=2)


def test_deviations_are_shown():
    frame = deviations()
    assert list(frame.columns) == [
        "src",
        "dst",
        "figure",
        "table",
        "fitted",
        "deviation",
        "bound",
        "symmetric",
    ]
    assert len(frame) == len(PAIRS) * len(COLUMNS)
    bounded = frame.dropna(subset="bound")
    assert set(bounded.figure) == {"p50", "p75", "p95", "p99"}
    assert (bounded.deviation.abs() <= bounded.bound).all()
    assert (frame.deviation == frame.fitted / frame.table - 1).all()
    own = wan("tokyo", "ireland").deviations()
    assert {(a, b) for a, b in zip(own.src, own.dst, strict=True)} == {
        ("tokyo", "ireland"),
        ("virginia-b", "virginia-b"),
    }


# Your own measurements


def table_file(tmp_path, *lines, header=HEADER, name="mine.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


LINE = "10.2,10,11,13,20,40,80,90"


def test_ones_own_table_is_merged_fitted_and_used(tmp_path):
    path = table_file(
        tmp_path, f"Graz,Wien,{LINE}", "Wien,Graz,10.2,14.4,15,16,20,40,80,90", f"Wien,Linz,{LINE}"
    )
    network = wan("graz", "Wien", csv=path)
    assert network.regions == ("Graz", "Wien")
    assert network.median_rtt("Graz", "Wien") == pytest.approx(12 * ms)
    there, back = network.link("Graz", "Wien").latency, network.link("Wien", "Graz").latency
    assert within_bounds(
        round_trip_quantiles(there, back, LEVELS), [x * ms for x in (12, sqrt(165), sqrt(208), 20)]
    )
    # Two hosts in Graz: nobody measured, so what EC2 has.
    assert network.median_rtt("Graz", "Graz") == pytest.approx(merged(*HOSTS)[1])


def test_a_row_from_a_place_to_itself_serves_its_hosts(tmp_path):
    network = wan("a", "b", csv=table_file(tmp_path, f"a,b,{LINE}", "a,a,1,1,1,1,1,1,1,1"))
    assert network.median_rtt("a", "a") == 1 * ms
    assert network.link("a", "a").latency.median() == pytest.approx(0.5 * ms, rel=0.01)


def test_hosts_of_a_zone_are_merged_both_ways_first(tmp_path):
    zone = "eu-west-7a host"
    hosts = [f"{zone} {i},{zone} {j}{8 * f',{x}'}" for i, j, x in ((1, 2, 1), (2, 1, 4), (1, 3, 16))]
    table = read_table(table_file(tmp_path, *hosts, f"eu-west-7 (Cork),eu-west-8 (Kerry),{LINE}"))
    # Pairs 1-2 (both ways) and 1-3 (one way): the root of 2 * 16, not the cube root of 1 * 4 * 16.
    assert table.between("cork", "cork").percentiles[0] == pytest.approx(sqrt(32) * ms)
    assert table.between("cork-a", "kerry").percentiles[0] == 10 * ms
    assert table.between("kerry", "kerry").percentiles[0] == pytest.approx(merged(*HOSTS)[1])
    assert table.regions == ("cork", "kerry")


def test_regions_default_to_all_and_every_pair_needs_a_row(tmp_path):
    path = table_file(tmp_path, f"a,b,{LINE}", f"b,c,{LINE}")
    assert wan("a", "b", csv=path).regions == ("a", "b")
    with pytest.raises(ValueError, match=r"mine.csv has no row between a and c"):
        wan(csv=path)


def test_samples_become_percentiles(tmp_path):
    rng = np.random.default_rng(5)
    # Each way a base and, one time in fifty, a spike: what the fit ought to find again.
    there, back = (20 * ms + (rng.random(20_000) < 0.02) * rng.exponential(50 * ms, 20_000) for _ in range(2))
    trips = (there + back) / ms
    lines = [f"{i},x,y,{float(trip)!r}" for i, trip in enumerate(trips)]
    network = wan(csv=table_file(tmp_path, *lines, header="time,src,dst,rtt_ms"))
    assert network.regions == ("x", "y")
    expected = np.quantile(trips * ms, LEVELS)
    fitted = round_trip_quantiles(network.link("x", "y").latency, network.link("y", "x").latency, LEVELS)
    assert within_bounds(fitted, expected)
    one_way = network.link("x", "y").latency
    assert one_way.cdf(25 * ms) == pytest.approx(np.mean(there <= 25 * ms), abs=0.005)


def test_two_equal_modes_are_put_in_one_direction_and_fit(tmp_path):
    """A sum of two alike two-mode times has three modes, so this table needs unlike directions."""
    path = table_file(tmp_path, "a,b,60,10,100,101,102,103,104,105")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = wan("a", "b", csv=path)
    there, back = network.link("a", "b").latency, network.link("b", "a").latency
    assert there != back
    assert within_bounds(round_trip_quantiles(there, back, LEVELS), [x * ms for x in (10, 100, 101, 102)])
    assert not network.deviations().query("src == 'a'").symmetric.any()


def test_a_table_that_cannot_be_fitted_warns(tmp_path):
    path = table_file(
        tmp_path, "a,a,60,10,100,101,102,103,104,105", f"a,b,{LINE}"
    )  # one place: ways must be alike
    with pytest.warns(UserWarning, match=r"mine.csv: no one-way latencies .* between a and a: p50"):
        wan("a", "b", csv=path)


@st.composite
def measured(draw):
    times = [draw(st.floats(0.05, 400.0))]
    for _ in LEVELS[1:]:
        times.append(
            times[-1] * (1 + draw(st.one_of(st.just(0.0), st.floats(0.001, 0.2), st.floats(0.2, 10.0))))
        )
    least = draw(st.floats(0.6, 1.0)) * times[0]
    middle = [(x + y) / 2 for x, y in zip([least, *times], [*times, times[-1]], strict=True)]
    return float(np.diff([0.0, *LEVELS, 1.0]) @ middle) * ms, tuple(x * ms for x in times)


@given(measured())
@settings(max_examples=30)
def test_any_table_is_fitted_within_the_bounds(row):
    mean, percentiles = row
    fit = fit_one_way(mean, percentiles)
    assert fit.within_bounds
    assert within_bounds(round_trip_quantiles(fit.there, fit.back, LEVELS), percentiles)
    assert fit.deviations == pytest.approx(
        [x / p - 1 for x, p in zip(fit.round_trip, percentiles, strict=True)]
    )


def test_a_fit_does_not_depend_on_the_unit():
    mean, *percentiles = figures("tokyo", "ireland")
    small = fit_one_way(mean / 1000, tuple(x / 1000 for x in percentiles))
    large = fit_one_way(mean, tuple(percentiles))
    assert [x for _, x in small.there.table] == pytest.approx(
        [x / 1000 for _, x in large.there.table], rel=1e-6
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}\na,b,0,10,11,13,20,40,80,90\n", ["line 2", "'mean_ms'", "'0'"]),
        (f"{HEADER}\na,b,10,-1,11,13,20,40,80,90\n", ["line 2", "'p50_ms'", "'-1'"]),
        (f"{HEADER}\na,b,10,inf,11,13,20,40,80,90\n", ["line 2", "'p50_ms'", "'inf'"]),
        (f"{HEADER}\na,,{LINE}\n", ["line 2", "'dst'"]),
        (f"{HEADER}\na,b,{LINE}\na,b,{LINE}\n", ["line 3", "second line from 'a' to 'b'"]),
        (f"{HEADER}\n", ["no measurements"]),
        ("", ["line 1", "nothing"]),
        ("src,dst,rtt_ms\na,b,10\nb,a,100\n", ["'b' to 'a' is 100 ms, but 10 ms", "sim.network.matrix"]),
        ('time,src,dst,rtt_ms\n0,a,"b"c,1\n', ["line 2"]),
    ],
)
def test_a_bad_file_is_refused_with_file_line_column_and_value(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        wan(csv=path)
    for word in ["bad.csv", *words]:
        assert word in str(error.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"missing.csv: No such file"):
        wan(csv=tmp_path / "missing.csv")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\nM\xfcnchen,b," + LINE.encode())
    with pytest.raises(ValueError, match=r"latin.csv: not text in UTF-8"):
        read_table(tmp_path / "latin.csv")


def test_a_byte_order_mark_blank_lines_and_spare_columns_do_no_harm(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text(f"\ufeffnote,{HEADER}\r\nhi,a,b,{LINE}\r\n\r\n", encoding="utf-8")
    assert read_table(path).regions == ("a", "b")


def test_a_constant_measurement_is_a_constant_link(tmp_path):
    path = table_file(tmp_path, "0,a,b,10", header="time,src,dst,rtt_ms")
    network = wan(csv=path)
    draws = network.link("a", "b").latency.draws(np.random.default_rng(0))(1000)
    assert draws == pytest.approx(Constant(5 * ms).value, rel=0.01)


def test_samples_need_no_time_and_directions_that_differ_little_are_merged(tmp_path):
    timed = read_table(table_file(tmp_path, "0,a,b,10", "1,b,a,19", header="time,src,dst,rtt_ms"))
    path = table_file(tmp_path, "a,b,10", "b,a,19", header="src,dst,rtt_ms", name="plain.csv")
    assert read_table(path).rows == timed.rows
    assert timed.between("a", "b").percentiles[0] == pytest.approx(np.sqrt(190) * ms)
