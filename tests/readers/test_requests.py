"""Traces with any names of columns, in any unit, and access logs; what is ambiguous is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim import Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.workload import Arrival, Trace

OTHER = """\
timestamp;operation;object;user;size;shard
1700000000123;READ;k1;ann;;3
1700000000623;Update;k1;ann;512;3
"""
NAMES = {"time": "timestamp", "op": "operation", "key": "object", "client": "user", "bytes": "size"}
LOG = """\
192.0.2.1 - - [02/Nov/2026:10:00:00 +0000] "GET /a?x=1 HTTP/1.1" 200 2326
192.0.2.2 - ann [02/Nov/2026:12:00:02 +0200] "POST /b HTTP/1.1" 201 - "https://example.com/" "agent \\"x\\""
192.0.2.1 - - [02/Nov/2026:10:00:03 +0000] "OPTIONS /a HTTP/1.1" 204 0
192.0.2.1 - - [02/Nov/2026:10:00:04 +0000] "DELETE /a HTTP/1.1" 204 0
"""
TEN = 1793613600.0  # 2 November 2026, 10:00 UTC, in seconds since 1970


def read(folder: Path, text: str, **options: Any) -> Trace:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return Trace(path, **options)


def rows(folder: Path, text: str, **options: Any) -> list[tuple[float, str, str]]:
    return [(a.time, a.kind, a.key) for a in read(folder, text, **options).rows]


def test_any_names_of_columns_and_milliseconds_since_1970(tmp_path: Path) -> None:
    trace = read(tmp_path, OTHER, columns=NAMES, start="first")
    first, second = trace.rows
    assert first.time == pytest.approx(1700000000.123, abs=1e-6)
    assert (first.kind, first.key, first.client) == ("get", "k1", "ann")
    assert (second.kind, second.size, second.client) == ("put", 512, "ann")
    assert "times in ms since 1970, by their size (a guess)" in trace.note
    assert "left: column 'shard'" in trace.note
    assert trace.begins == first.time


@pytest.mark.parametrize(
    ("column", "cell", "options", "seconds"),
    [
        ("time", "2.5", {}, 2.5),
        ("time", "2,5", {}, 2.5),
        ("time_ms", "2500", {}, 2.5),
        ("when_us", "2500", {}, 0.0025),
        ("when", "2500", {"unit": "ms"}, 2.5),
        ("when", "1700000000", {}, 1.7e9),
        ("when", "1700000000000000", {}, 1.7e9),
        ("when", "1700000000000000000", {}, 1.7e9),
        ("when", "2026-11-02T10:00:00Z", {}, TEN),
        ("when", "2026-11-02 10:00:00", {}, TEN),
    ],
)
def test_units_of_time(tmp_path: Path, column: str, cell: str, options: Any, seconds: float) -> None:
    columns = {} if column == "time" else {"time": column}
    ((time, _, _),) = rows(tmp_path, f"{column};op;key\n{cell};get;a\n", columns=columns, **options)
    assert time == pytest.approx(seconds)


def test_an_access_log_is_a_trace(tmp_path: Path) -> None:
    trace = read(tmp_path, LOG)
    assert [(a.time, a.kind, a.key, a.client) for a in trace.rows] == [
        (TEN, "get", "/a?x=1", None),
        (TEN + 2, "put", "/b", None),
        (TEN + 4, "delete", "/a", None),
    ]
    assert "1 OPTIONS" in trace.note
    assert "column 'agent'" in trace.note
    by_host = read(tmp_path, LOG, columns={"client": "host"})
    assert [a.client for a in by_host.rows] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


def test_scans_have_a_length_and_a_read_modify_write_is_a_get_and_a_put_of_one_session(
    tmp_path: Path,
) -> None:
    text = "time,op,key,length,bytes\n0.1,scan,a,7,\n0.2,read-modify-write,b,,64\n"
    trace = read(tmp_path, text)
    scan, get, put = trace.rows
    assert (scan.kind, scan.size) == ("scan", 7)
    assert (get.kind, put.kind, put.size) == ("get", "put", 64)
    assert get.client == put.client is not None
    network = constant(0.01)
    run = Scenario(system=Raft(nodes=3), network=network, workload=trace, duration=3.0).run(seed=1)
    calls = run.operations.set_index("kind")
    assert calls.loc["put", "called"] >= calls.loc["get", "returned"]
    assert calls.loc["scan", "status"] == "ok"


def test_scale_plays_faster_from_the_first_row(tmp_path: Path) -> None:
    trace = read(tmp_path, "time,op,key\n100,get,a\n104,get,b\n", start="first", scale=0.25)
    scenario = Scenario(system=Raft(nodes=3), network=constant(0.01), workload=trace, duration=2.0)
    assert list(scenario.run(seed=1).operations["called"]) == pytest.approx([0.0, 1.0])
    with pytest.raises(ValueError, match="1 of 2 rows lie outside a run"):
        Scenario(system=Raft(nodes=3), network=constant(0.01), workload=trace, duration=1.0)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (OTHER, {}, r'a trace needs a header .* not timestamp,operation.*columns=\{"time"'),
        (OTHER, {"columns": {**NAMES, "op": "verb"}}, "columns: 'op' is 'verb', which is none of timestamp"),
        (OTHER, {"columns": {**NAMES, "what": "shard"}}, "columns: 'what' is none of time, op, key, region"),
        (OTHER.replace("READ", "PEEK"), {"columns": NAMES}, "line 2: op 'PEEK' is none of append"),
        (
            OTHER.replace("17000000", ""),
            {"columns": NAMES},
            "line 2, column 'timestamp': times up to 623 may be in several",
        ),
        ("time,op,key\n200000000000,get,a\n", {}, r"times up to 2e\+11 may be in several units: give unit="),
        ("time,op,key\nnoon,get,a\n", {}, "line 2, column 'time': a number >= 0 is needed, not 'noon'"),
        ("time,op,key\n5,get,a\n2026-11-02,get,a\n", {}, "line 3, column 'time': a date, but other rows"),
        ("time,op,key\n2026-11-02,get,a\n", {"unit": "s"}, "unit='s' would have no effect on dates"),
        ("time,op,key\n5,scan,a\n", {}, "line 2, column 'length': a scan needs the number of its keys"),
        ("time,op,key,length\n5,get,a,3\n", {}, "line 2, column 'length': it is for scans, not for 'get'"),
        (LOG.replace(" 200 2326", ""), {}, "line 1: a line of the common or combined log format"),
        (LOG, {"columns": {"client": "cookie"}}, "columns: 'cookie' is none of host, ident, user"),
        (
            LOG.replace("02/Nov/2026:10:00:03", "32/Nov/2026:10:00:03").replace("OPTIONS", "GET"),
            {},
            "line 3, column 'time'",
        ),
    ],
)
def test_a_wrong_trace_is_refused_with_its_line(
    tmp_path: Path, text: str, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, **options)


def test_columns_and_unit_need_a_file() -> None:
    with pytest.raises(ValueError, match="columns and unit would have no effect without a file"):
        Trace(arrivals=(Arrival(0.1, "get", "a"),), unit="ms")
