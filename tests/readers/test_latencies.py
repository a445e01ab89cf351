"""Each form of latencies gives the right figures, says what it took and left, and is refused where it is wrong."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from sim.network import Constant, wan
from sim.network.measurements import read_table
from sim.readers import Latencies, PairFigures, PairSamples, read_latencies

LINUX = """\
PING tokyo (198.51.100.7) 56(84) bytes of data.
[1700000000.000000] 64 bytes from tokyo (198.51.100.7): icmp_seq=1 ttl=52 time=100 ms
[1700000001.000000] 64 bytes from tokyo (198.51.100.7): icmp_seq=2 ttl=52 time=102.5 ms
[1700000001.100000] 64 bytes from tokyo (198.51.100.7): icmp_seq=2 ttl=52 time=110 ms (DUP!)
no answer yet for icmp_seq=3
[1700000003.000000] 64 bytes from tokyo (198.51.100.7): icmp_seq=4 ttl=52 time=104 ms

--- tokyo ping statistics ---
5 packets transmitted, 3 received, +1 duplicates, 40% packet loss, time 4005ms
rtt min/avg/max/mdev = 100.000/102.166/104.000/1.650 ms
"""
QUIET = """\
PING tokyo (198.51.100.7) 56(84) bytes of data.

--- tokyo ping statistics ---
10 packets transmitted, 9 received, 10% packet loss, time 9012ms
rtt min/avg/max/mdev = 99.000/100.000/112.000/2.000 ms
"""
MAC = """\
PING tokyo (198.51.100.7): 56 data bytes
64 bytes from 198.51.100.7: icmp_seq=0 ttl=52 time=100.5 ms
Request timeout for icmp_seq 1
64 bytes from 198.51.100.7: icmp_seq=2 ttl=52 time=101.5 ms

--- tokyo ping statistics ---
3 packets transmitted, 2 packets received, 33.3% packet loss
round-trip min/avg/max/stddev = 100.500/101.000/101.500/0.500 ms
"""
WINDOWS = """\

Pinging tokyo [198.51.100.7] with 32 bytes of data:
Reply from 198.51.100.7: bytes=32 time=101ms TTL=52
Request timed out.
Reply from 198.51.100.7: bytes=32 time<1ms TTL=52

Ping statistics for 198.51.100.7:
    Packets: Sent = 3, Received = 2, Lost = 1 (33% loss),
Approximate round trip times in milli-seconds:
    Minimum = 0ms, Maximum = 101ms, Average = 50ms
"""
MTR = """\
Start: 2026-11-02T10:00:00+0000
HOST: paris                       Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- gateway                    0.0%    10    0.3   0.4   0.3   0.6   0.1
  2.|-- tokyo                     20.0%    10  220.5 221.0 219.5 226.0   2.0
"""
HUB = (
    '{"count": 1, "host": "HOST", "Loss%": 20.0, "Snt": 10, "Last": 220.5, "Avg": 221.0, '
    '"Best": 219.5, "Wrst": 226.0, "StDev": 2.0}'
)
MTR_JSON = f'{{"report": {{"mtr": {{"src": "paris", "dst": "tokyo", "tests": 10}}, "hubs": [{HUB}]}}}}'
MTR_CSV = """\
Mtr_Version,Start_Time,Status,Host,Hop,Ip,Loss%,Snt, ,Last,Avg,Best,Wrst,StDev,
MTR.0.95,1700000000,OK,tokyo,1,gateway,0.00,10,0,0.3,0.4,0.3,0.6,0.1
MTR.0.95,1700000000,OK,tokyo,2,198.51.100.7,20.00,10,0,220.5,221.0,219.5,226.0,2.0
"""
CLOUDPING = """\
{"metadata": {"percentile": "p_50", "timeframe": "1D", "unit": "milliseconds"},
 "data": {"us-east-1": {"us-east-1": 5.5, "eu-west-1": 70.5}, "eu-west-1": {"us-east-1": 71.0, "eu-west-1": 0}}}
"""
PROMETHEUS = """\
# HELP rtt_seconds Round trips.
# TYPE rtt_seconds histogram
rtt_seconds_bucket{src="paris",dst="tokyo",le="0.1"} 0
rtt_seconds_bucket{src="paris",dst="tokyo",le="0.2"} 80
rtt_seconds_bucket{src="paris",dst="tokyo",le="0.4"} 100
rtt_seconds_bucket{src="paris",dst="tokyo",le="+Inf"} 100
rtt_seconds_sum{src="paris",dst="tokyo"} 18.5
rtt_seconds_count{src="paris",dst="tokyo"} 100
"""
MATRIX = "rtt,paris,tokyo\nparis,0.4,221\ntokyo,222,-\n"


def read(folder: Path, text: str, name: str = "paris.txt") -> Latencies:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_latencies(path)


def only(found: Latencies) -> PairFigures | PairSamples:
    (pair,) = found.pairs
    assert (pair.src, pair.dst) == ("paris", "tokyo")
    return pair


def samples(found: Latencies) -> PairSamples:
    pair = only(found)
    assert isinstance(pair, PairSamples)
    return pair


def figures(found: Latencies) -> PairFigures:
    pair = only(found)
    assert isinstance(pair, PairFigures)
    return pair


# Ping


def test_replies_of_ping_on_linux_are_samples_and_missing_numbers_are_losses(tmp_path: Path) -> None:
    pair = samples(found := read(tmp_path, LINUX))
    assert pair.round_trips == pytest.approx((0.1, 0.1025, None, 0.104, None))
    assert pair.times == pytest.approx(tuple(1.7e9 + i for i in range(5)))
    assert pair.loss == pytest.approx(0.4)
    assert "1 duplicate reply" in str(found.note)
    assert "2 lost" in str(found.note)


def test_replies_without_stamps_have_no_times(tmp_path: Path) -> None:
    assert samples(read(tmp_path, MAC)).times is None


def test_ping_on_macos_and_windows(tmp_path: Path) -> None:
    assert samples(read(tmp_path, MAC)).round_trips == pytest.approx((0.1005, None, 0.1015))
    # "time<1ms" may be anything below a millisecond: its middle.
    assert samples(read(tmp_path, WINDOWS)).round_trips == pytest.approx((0.101, None, 0.0005))


@pytest.mark.parametrize(
    "text",
    [
        LINUX.replace("tokyo (198.51.100.7) 56(84)", "tokyo(tokyo (2001:db8::7)) 56 data"),
        LINUX.replace("tokyo (198.51.100.7) 56", "tokyo (198.51.100.7) from 192.0.2.1 eth0: 56"),
        LINUX.replace("--- tokyo", "^C\n--- tokyo").replace(
            "tokyo (198.51.100.7): icmp_seq", "198.51.100.7: seq"
        ),
    ],
    ids=["version 6", "interface", "busybox, interrupted"],
)
def test_variants_of_ping(tmp_path: Path, text: str) -> None:
    assert samples(read(tmp_path, text)).round_trips == pytest.approx((0.1, 0.1025, None, 0.104, None))


def test_a_quiet_ping_is_its_last_line(tmp_path: Path) -> None:
    pair = figures(read(tmp_path, QUIET))
    assert (pair.mean, pair.deviation, pair.least, pair.most) == pytest.approx((0.1, 0.002, 0.099, 0.112))
    assert pair.loss == pytest.approx(0.1)


def test_a_folder_holds_a_file_a_site(tmp_path: Path) -> None:
    for name, other in (("paris", "tokyo"), ("tokyo", "oslo"), ("oslo", "paris")):
        (tmp_path / f"{name}.txt").write_text(QUIET.replace("tokyo", other))
    network = wan(path=tmp_path)
    assert sorted(network.regions) == ["oslo", "paris", "tokyo"]
    assert network.median_rtt("oslo", "tokyo") == pytest.approx(0.1, rel=0.01)
    # A tenth of the round trips was lost: each way loses what makes a tenth of two.
    assert (1 - network.link("oslo", "tokyo").loss) ** 2 == pytest.approx(0.9)
    assert network.calmed().link("oslo", "tokyo").loss == 0.0
    assert "folder of 3 files" in network.note


# Mtr, histograms, matrices


@pytest.mark.parametrize(
    ("text", "name"),
    [(MTR, "any.txt"), (MTR_JSON, "any.json"), (MTR_CSV, "paris.csv")],
    ids=["text", "json", "csv"],
)
def test_the_last_hop_of_mtr_is_the_destination(tmp_path: Path, text: str, name: str) -> None:
    pair = figures(read(tmp_path, text.replace('"HOST"', '"tokyo"'), name))
    assert (pair.mean, pair.deviation, pair.least, pair.most) == pytest.approx((0.221, 0.002, 0.2195, 0.226))
    assert pair.loss == pytest.approx(0.2)


def test_buckets_are_linear_inside_and_end_at_the_largest_bound(tmp_path: Path) -> None:
    text = "src,dst,le,count,job\n" + "".join(
        f"paris,tokyo,{le},{n},x\n" for le, n in (("0.1", 0), ("0.2", 80), ("0.4", 90), ("+Inf", 100))
    )
    found = read(tmp_path, text)
    pair = figures(found)
    assert pair.percentiles[0.5] == pytest.approx(0.1 + 0.1 * 50 / 80)
    assert pair.percentiles[0.75] == pytest.approx(0.1 + 0.1 * 75 / 80)
    assert pair.percentiles[0.95] == pytest.approx(0.4)
    assert "column 'job'" in found.note.left
    text_form = figures(read(tmp_path, PROMETHEUS))
    assert text_form.percentiles[0.95] == pytest.approx(0.2 + 0.2 * 15 / 20)
    assert text_form.mean == pytest.approx(0.185)


@pytest.mark.parametrize(
    "text",
    [
        MATRIX,
        '{"paris": {"paris": 0.4, "tokyo": 221}, "tokyo": {"paris": 222, "tokyo": null}}',
        '{"places": ["paris", "tokyo"], "rtt_ms": [[0.4, 221], [222, 0]]}',
    ],
)
def test_a_matrix_has_one_figure_a_pair_and_no_variation(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text)
    network = wan(path=tmp_path / "m")
    assert network.regions == ("paris", "tokyo")
    assert network.median_rtt("paris", "tokyo") == pytest.approx(sqrt(0.221 * 0.222))
    assert network.link("paris", "paris").latency == Constant(0.0002)
    assert "no variation" in network.note


def test_the_matrix_of_cloudping(tmp_path: Path) -> None:
    found = read(tmp_path, CLOUDPING)
    trips = {(p.src, p.dst): p.mean for p in found.pairs if isinstance(p, PairFigures)}
    assert trips == pytest.approx(
        {
            ("us-east-1", "us-east-1"): 0.0055,
            ("us-east-1", "eu-west-1"): 0.0705,
            ("eu-west-1", "us-east-1"): 0.071,
        }
    )
    assert "percentile p_50" in found.note.took


# Percentiles and samples


def test_any_percentiles_make_a_distribution_log_normal_between_them(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("source,target,p50_ms,p99_ms,loss,host\nparis,tokyo,100,200,1%,h\n")
    (row,) = read_table(path).rows
    p50, p75, p95, p99, *beyond = row.percentiles
    assert (p50, p99, *beyond) == pytest.approx((0.1, 0.2, 0.2, 0.2, 0.2))
    # Normal quantiles: 0.6745, 1.6449 and 2.3263 standard deviations.
    assert p75 == pytest.approx(0.1 * 2 ** (0.67449 / 2.32635), rel=1e-4)
    assert p95 == pytest.approx(0.1 * 2 ** (1.64485 / 2.32635), rel=1e-4)
    assert row.loss == pytest.approx(0.01)
    network = wan(path=path)
    rng = np.random.default_rng(1)
    ways = [
        network.link(a, b).latency.draws(rng)(100_000) for a, b in (("paris", "tokyo"), ("tokyo", "paris"))
    ]
    assert np.quantile(ways[0] + ways[1], [0.5, 0.99]) == pytest.approx([0.1, 0.2], rel=0.05)
    assert "above p99 as p99" in network.note
    assert "column 'host'" in network.note


def test_lost_samples_are_an_estimate_of_loss(tmp_path: Path) -> None:
    rows = ["0,paris,tokyo,100,0", "1,paris,tokyo,,1", "2,paris,tokyo,102,no", "3,paris,tokyo,101,false"]
    pair = samples(read(tmp_path, "\n".join(["time,src,dst,rtt_ms,lost", *rows])))
    assert pair.times == (0.0, 1.0, 2.0, 3.0)
    assert pair.loss == 0.25
    blank = samples(read(tmp_path, "src,dst,rtt_s\nparis,tokyo,0.1\nparis,tokyo,\n"))
    assert blank.round_trips == (0.1, None)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsrc;dst;p50_ms;p99_ms;\r\nparis;tokyo;100,5;1.200;\r\n;;;;\r\n",
        "sep=;\r\nsrc;dst;p50_ms;p99_ms\r\nparis;tokyo;100,5;1200\r\n",
        "src\tdst\tp50_ms\tp99_ms\r\nparis\ttokyo\t100,5\t1200\r\n\t\t\t\r\n",
        'src,dst,p50_ms,p99_ms\nparis,tokyo,"100,5",1200\n',
    ],
    ids=["semicolons", "sep", "tabs", "quotes"],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path: Path, text: str) -> None:
    text = text.replace("1.200", "1200,0")
    assert figures(read(tmp_path, text)).percentiles == pytest.approx({0.5: 0.1005, 0.99: 1.2})


def test_a_spreadsheets_unicode_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "u.txt"
    path.write_text("src\tdst\trtt_ms\nparis\ttokyo\t100,5\n", encoding="utf-16")
    assert samples(read_latencies(path)).round_trips == (0.1005,)


# Refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINUX.replace("time=102.5 ms", "zeit=102.5 ms"), "line 3: a line of ping is needed .*zeit"),
        (
            QUIET.replace("9 received", "0 received").replace("rtt", "rtt").rpartition("rtt")[0],
            "line 1: no round trip from 'paris' to 'tokyo' was answered",
        ),
        (LINUX + LINUX, "two pings of 'tokyo'"),
        (
            MAC.replace("Request timeout for icmp_seq 1", "Anfrage tot"),
            "line 3: a line of ping .*'Anfrage tot'",
        ),
        (WINDOWS.replace("Request timed out.", "Zeitüberschreitung"), "line 4: .*'Zeitüberschreitung'"),
        (WINDOWS.replace("Pinging", "Ping wird ausgeführt für"), "the columns must be .* not "),
        (MTR.replace("tokyo ", "???   "), "line 4: the last hop is '\\?\\?\\?'"),
        (MTR.replace("221.0", "22l.0"), "line 4: a line of an mtr report is needed"),
        (MTR_JSON.replace('"HOST"', '"???"'), r"report.hubs\[0\]: the last hop is"),
        (
            MTR_JSON.replace('"Avg": 221.0, ', "").replace("HOST", "tokyo"),
            r"hubs\[0\], column 'Avg': .* not None",
        ),
        (MTR_CSV.replace("221.0", "x"), "line 3, column 'Avg': a number is needed, not 'x'"),
        (MTR_CSV.replace(",219.5,226.0,2.0", ""), "line 3: 15 cells are needed, not 11"),
        (CLOUDPING.replace("70.5", '"fast"'), "data.us-east-1.eu-west-1: a number > 0 is needed, not 'fast'"),
        (CLOUDPING.replace("milliseconds", "fortnights"), "metadata.unit: .* are known, not 'fortnights'"),
        (CLOUDPING.replace("}}}", "}}"), "line 3, column 1: not JSON"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' comes twice"),
        ('{"a": 5}', "a: {dst: figure} is needed, not 5. latencies in JSON are"),
        ('{"places": ["a", "b"], "rtt_ms": [[0, 1]]}', "rtt_ms: 2 rows of 2 figures are needed"),
        ('{"places": ["a", "b"], "rtt": [[0, 1], [1, 0]]}', "is needed, not an object with places, rtt"),
        ('{"fio version": "fio-3.35"}', "Disk.from_fio"),
        (
            PROMETHEUS.replace('"0.4"} 100', '"0.4"} 70'),
            "line 5: 70 round trips up to 0.4 s are fewer than 80",
        ),
        ("\n".join(line for line in PROMETHEUS.splitlines() if "Inf" not in line), "le=.Inf is missing"),
        (PROMETHEUS.replace('dst="tokyo",', ""), "line 3: a label dst, .* is needed, not src, le"),
        ("src,dst,le,count\na,b,0.1,5\na,b,+Inf,4\n", "line 3: 4 round trips up to inf s are fewer"),
        ("src,dst,le,count\na,b,x,5\n", "line 2, column 'le': a number >= 0 is needed, not 'x'"),
        (MATRIX.replace("221", "fast"), "line 2, column 'tokyo': a number > 0 is needed, not 'fast'"),
        (MATRIX.replace("tokyo,222", "oslo,222"), "line 3: 'oslo' is not a place of the first line"),
        (MATRIX.replace("222,-", "222,-,7"), "line 3: 3 cells are needed, not 4"),
        ("src,dst,p50_ms,p99_ms\na,b,2,1\n", "line 2, column 'p99_ms': 1 is below 'p50_ms', 2"),
        ("src,dst,p50_ms,loss\na,b,2,101%\n", "line 2, column 'loss': a loss from 0 to 1, .* not '101%'"),
        (
            "src,dst,rtt_ms,lost\na,b,5,1\n",
            "line 2, column 'lost': the round trip is lost, but 'rtt_ms' is '5'",
        ),
        ("src,dst,rtt_ms,lost\na,b,5,maybe\n", "line 2, column 'lost': 0 or 1, true or false, not 'maybe'"),
        ("src\tdst\trtt_ms\na\tb\t1,234\n", "line 2, column 'rtt_ms': .*may be a decimal comma or thousands"),
        (
            "time,src,dst,rtt_ms\nnoon,a,b,5\n",
            "line 2, column 'time': a number of seconds is needed, not 'noon'",
        ),
        ("latency\n5\n", "the columns must be src,dst,rtt_ms .* not latency"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_what_would_do(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert "paris.txt" in str(error.value)


def test_csv_and_json_refuse_what_they_are_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(LINUX)
    with pytest.raises(ValueError, match="this is not CSV, it looks like ping: read it with path="):
        wan(csv=tmp_path / "f")
    (tmp_path / "f").write_text(MATRIX)
    with pytest.raises(ValueError, match="this is not JSON, it looks like csv"):
        wan(json=tmp_path / "f")
    with pytest.raises(ValueError, match="one file is needed, not csv='a' and path='b'"):
        wan(csv="a", path="b")


def test_places_are_renamed_and_unknown_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_text(MATRIX)
    assert wan(path=tmp_path / "m", places={"tokyo": "jp"}).regions == ("paris", "jp")
    with pytest.raises(ValueError, match="places: m has no place 'osaka'; it has paris, tokyo"):
        wan(path=tmp_path / "m", places={"osaka": "jp"})
    with pytest.raises(ValueError, match="no effect without a file"):
        wan(places={"tokyo": "jp"})


def test_a_pair_of_which_nothing_came_back_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("src,dst,rtt_ms\na,b,\na,b,\n")
    with pytest.raises(ValueError, match="line 2: no round trip from 'a' to 'b' was answered; 2 were lost"):
        wan(csv=tmp_path / "s.csv")
