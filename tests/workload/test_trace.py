"""Traces: every column has its effect, and a row that cannot be played as written is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sim import Machine, Scenario
from sim.network import matrix
from sim.protocols import Raft
from sim.workload import Arrival, Trace

EPOCH = "time,op,key\n1190146243.326,get,k1\n1190146243.9,get,k2\n"


def play(workload: Trace, duration: float = 10.0, host: Machine | None = None) -> list[tuple[Any, ...]]:
    """Key, region, process and call of each operation of a run in two places."""
    network = matrix(["x", "y"], [[0.001] * 2] * 2)
    scenario = Scenario(
        system=Raft(nodes=3),
        network=network,
        workload=workload,
        duration=duration,
        machines=host or Machine(),
    )
    rows = scenario.run(seed=1).operations
    return list(rows[["key", "region", "process", "called"]].itertuples(index=False, name=None))


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mark_at_the_beginning_and_blanks_in_the_header_hide_no_column(tmp_path: Path) -> None:
    assert Trace(written(tmp_path, "\ufefftime,op,key\n0.0,get,k1\n")).rows == (Arrival(0.0, "get", "k1"),)
    assert Trace(written(tmp_path, "time , op,\tkey\n0.0, get ,k1\n")).rows == (Arrival(0.0, "get", "k1"),)


def test_a_client_is_a_session_that_asks_one_thing_after_the_other() -> None:
    slow = Machine(per_message=0.005)
    same = [Arrival(3.0 + i / 1000, "put", f"k{i}", client="a") for i in range(3)]
    other = [Arrival(3.0, "put", "k9", client="b")]
    rows = play(Trace(arrivals=(*same, *other)), host=slow)
    sessions = {key: process for key, _, process, _ in rows}
    assert sessions["k0"] == sessions["k1"] == sessions["k2"] != sessions["k9"]
    calls = [call for key, _, _, call in sorted(rows) if key != "k9"]
    assert calls[0] == 3.0
    assert calls[2] - calls[1] > 0.005 < calls[1] - calls[0]
    alone = play(Trace(arrivals=tuple(dataclasses.replace(a, client=None) for a in same)), host=slow)
    assert len({process for _, _, process, _ in alone}) == 3
    assert [call for *_, call in alone] == pytest.approx([3.0, 3.001, 3.002])


def test_rows_without_a_region_come_from_the_clients_and_rows_with_one_from_there() -> None:
    rows = [Arrival(3.0 + i / 10, "get", f"k{i}", region="x" if i % 2 else None) for i in range(6)]
    places = {key: region for key, region, *_ in play(Trace(arrivals=tuple(rows), clients={"y": 2}))}
    assert places == {"k0": "y", "k1": "x", "k2": "y", "k3": "x", "k4": "y", "k5": "x"}


def test_rows_outside_the_run_are_refused_with_the_range_and_start_moves_them_in(tmp_path: Path) -> None:
    path = written(tmp_path, EPOCH)
    with pytest.raises(ValueError, match=r"2 of 2 rows .* from 1190146243.326 to 1190146243.9 s. Set start"):
        play(Trace(path))
    assert [call for *_, call in play(Trace(path, start=1190146243))] == pytest.approx([0.326, 0.9])
    assert len(play(Trace(path, start=1190146243, until=1190146243.5))) == 1
    with pytest.raises(ValueError, match=r"1 of 2 rows lie outside a run of 0.5 s"):
        play(Trace(path, start=1190146243), duration=0.5)
    with pytest.raises(ValueError, match=r"no row lies from start=2000000000.0 .* from 1190146243.326"):
        Trace(path, start=2e9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,op,key,bytes\n1,put,a,5.7\n", "line 2, column 'bytes': a whole number is needed, not '5.7'"),
        ("time,op,key,bytes\n1,put,a,inf\n", "line 2, column 'bytes': a whole number is needed, not 'inf'"),
        (
            'time,op,key,bytes\n1,put,a,"1,234"\n',
            "line 2, column 'bytes': .*may be a decimal comma or thousands",
        ),
        ('time,op,key\n"1,234",put,a\n', "line 2, column 'time': .*may be a decimal comma or thousands"),
        ("time,op,key\n1,put,a,x\n", "line 2: 3 cells are needed, not 4"),
        ("time,op,key\n1,put\n", "line 2: 3 cells are needed, not 2"),
        ("time,op,key,regoin\n1,put,a,x\n", "no column 'regoin' is known; did you mean 'region'"),
        ("time,op,key,key\n1,put,a,b\n", "time,op,key, each once, not time,op,key,key"),
        ("time,op,key\nnan,put,a\n", "column 'time': a number >= 0 is needed, not 'nan'"),
        (
            "time,op,key,region,client\n1,get,a,x,c\n2,get,a,y,c\n",
            "client 'c' is in 'x' and, at 2.0 s, in 'y'",
        ),
    ],
)
def test_a_row_that_cannot_be_played_as_written_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trace(written(tmp_path, text))


def test_another_path_is_another_trace(tmp_path: Path) -> None:
    """The rows of the first file were kept when a field was varied."""
    first = Trace(written(tmp_path, "time,op,key\n1,get,a\n"))
    second = tmp_path / "other.csv"
    second.write_text("time,op,key\n1,get,b\n")
    assert dataclasses.replace(first, path=second).rows == (Arrival(1.0, "get", "b"),)
