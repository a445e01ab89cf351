"""Histories of events: calls and ends are paired, integers stay exact, the first lines tell the form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.analysis.checks import check
from sim.analysis.history import read_history
from sim.readers.edn import Keyword, Tagged, parse_edn
from sim.readers.histories import event_form

BIG = 2**60 + 1

EDN = f"""\
; a history of Jepsen
[{{:process 0, :type :invoke, :f :write, :value {BIG}, :time 1700000000000000001, :index 0}}
 {{:process :nemesis, :type :info, :f :kill, :value ["n1"], :time 1700000000000000002}}
 {{:process 1, :type :invoke, :f :read, :value nil, :time 1700000000000000003}}
 {{:process 0, :type :ok, :f :write, :value {BIG}, :time 1700000000000000004}}
 {{:process 1, :type :ok, :f :read, :value {BIG}, :time 1700000000000000005}}
 {{:process 2, :type :invoke, :f :cas, :value [{BIG} 5], :time 1700000000000000006}}
 {{:process 2, :type :info, :f :cas, :value :timed-out, :time 1700000000000000007}}
 {{:process 3, :type :invoke, :f :cas, :value [9 5], :time 1700000000000000008}}
 {{:process 3, :type :fail, :f :cas, :value [9 5], :time 1700000000000000009, :error [:no "x"]}}]
"""
LOG = """\
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 1\t:ok\t:cas\t[3 4]
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:ok\t:read\t4
"""
KV = """\
{:process 0, :type :invoke, :f :get, :key "5", :value nil}
{:process 1, :type :invoke, :f :append, :key "5", :value "x 0 y"}
{:process 0, :type :ok, :f :get, :key "5", :value ""}
{:process 1, :type :ok, :f :append, :key "5", :value "x 0 y"}
{:process 0, :type :invoke, :f :get, :key "5", :value nil}
{:process 0, :type :ok, :f :get, :key "5", :value "x 0 y"}
"""
JSON = f"""\
[
  {{"process": 0, "type": "invoke", "f": "write", "value": ["k", {BIG}], "time": 10}},
  {{"process": 0, "type": "ok", "f": "write", "value": ["k", {BIG}], "time": 20}},
  {{"process": 0, "type": "invoke", "f": "read", "value": ["k", null], "time": 30}},
  {{"process": 0, "type": "ok", "f": "read", "value": ["k", {BIG}], "time": 40}}
]
"""


def read(folder: Path, text: str) -> Any:
    path = folder / "h.txt"
    path.write_text(text, encoding="utf-8")
    return read_history(path)


def test_edn_is_read_as_it_is_written() -> None:
    text = (
        r'1 -2N 1.5e3 "a\n\"b\"" \newline :k/w nil true (1 2) #{3} {:a [1, {"b" 2}]} #_ 5 #inst "2026" ; end'
    )
    values = [value for _, value in parse_edn("t", text)]
    assert values == [
        *(1, -2, 1500.0, 'a\n"b"', "\n", "k/w", None, True),
        *(1, 2, 3),  # an outermost list is spread
        {"a": [1, {"b": 2}]},
        Tagged("inst", "2026"),
    ]
    assert isinstance(values[5], Keyword)


def test_events_in_edn_are_paired_and_integers_are_exact(tmp_path: Path) -> None:
    frame = read(tmp_path, EDN)
    assert list(frame.index) == [2, 4, 7, 9]
    assert list(frame["kind"]) == ["write", "read", "cas", "cas"]
    assert list(frame["status"]) == ["ok", "ok", "info", "fail"]
    assert list(frame["value"]) == [BIG, BIG, [BIG, 5], [9, 5]]
    assert frame["called"].iloc[0] == 1_700_000_000_000_000_001
    assert list(frame["returned"])[:2] == [1_700_000_000_000_000_004, 1_700_000_000_000_000_005]
    assert frame["returned"].isna().tolist() == [False, False, True, False]  # an info may happen later
    assert "key" not in frame
    assert "1 event of nemesis" in frame.attrs["note"]
    assert check(frame).status == "valid"
    wrong = EDN.replace(f":read, :value {BIG}", f":read, :value {BIG - 1}")
    assert check(read(tmp_path, wrong)).status == "invalid"


def test_lines_of_a_log_are_events_in_their_order(tmp_path: Path) -> None:
    frame = read(tmp_path, LOG)
    assert list(frame["value"]) == [3, [3, 4], 4]
    assert check(frame).status == "valid"
    assert check(read(tmp_path, LOG[:-2] + "3\n")).status == "invalid"
    later = LOG.replace(
        "INFO  jepsen.util", "2026-11-02 10:00:00,123{GMT} INFO [jepsen worker 0] jepsen.util"
    )
    assert list(read(tmp_path, later)["value"]) == [3, [3, 4], 4]


def test_logs_of_a_key_value_store_begin_with_empty_strings(tmp_path: Path) -> None:
    frame = read(tmp_path, KV)
    assert list(frame["key"]) == ["5", "5", "5"]
    assert frame.attrs["initial"] == ""
    assert check(frame, initial="").status == "valid"
    assert check(read(tmp_path, KV.replace('"x 0 y"}\n', '"x 1 y"}\n', 1)), initial="").status == "invalid"


@pytest.mark.parametrize("lines", [False, True])
def test_events_in_json_with_keys_in_their_values(tmp_path: Path, lines: bool) -> None:
    text = JSON if not lines else "\n".join(line.strip(" ,") for line in JSON.splitlines()[1:-1])
    frame = read(tmp_path, text)
    assert list(frame["key"]) == ["k", "k"]
    assert list(frame["value"]) == [BIG, BIG]
    assert list(frame.index) == ([1, 3] if lines else [2, 4])
    assert list(frame["called"]) == [10, 30]


def test_a_call_that_never_ends_may_have_happened(tmp_path: Path) -> None:
    frame = read(tmp_path, LOG.rpartition("INFO")[0])
    assert list(frame["status"]) == ["ok", "ok", "info"]
    assert frame["returned"].isna().iloc[-1]


def test_unknown_times_are_not_times(tmp_path: Path) -> None:
    """Jepsen writes -1 for a time that it does not know."""
    frame = read(tmp_path, KV.replace("}", ", :time -1}"))
    assert list(frame["called"]) == [1, 2, 5]
    assert list(frame["returned"]) == [3, 4, 6]


def test_the_form_of_this_project_is_not_taken_for_events() -> None:
    assert event_form('{"process": 3, "kind": "cas", "key": "x", "value": [1, 2], "call": 0.1}\n') is None
    assert event_form("\n\ufeff{:process 0}") == "edn"
    assert event_form("#jepsen.history.Op{:process 0}") == "edn"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EDN.replace(":f :read, :value nil", ":f :txn, :value [[:r 1 nil]]"), "line 4: transactions .* Elle"),
        (EDN.replace(":time 1700000000000000003", ""), "line 4: :time is None, not a number"),
        (EDN.replace('["n1"]', '["n1"'), "line 3, column .*: '}' closes nothing"),
        (EDN.rstrip().rstrip("]"), r"line 10, column \d+: '\]' is missing"),
        (
            EDN.replace(":type :info, :f :cas", ":type :lost, :f :cas"),
            "line 8: the type of an event is one of",
        ),
        (KV.replace(":f :append", ":f :upsert"), "line 2: f 'upsert' is none of read, write"),
        (KV.replace(":process 1", ":process 0"), "line 2: process 0 calls again before its call on line 1"),
        (LOG.replace(":ok\t:write", ":ok\t:read", 1), "line 2: process 0 ends read, but it called write"),
        (LOG.replace("INFO  jepsen.util - 1", "WARN gone - 1", 1), "line 3: `jepsen.util - PROCESS"),
        (JSON.replace('"f": "read", ', "", 1), "line 4: an event with process, type, f .*known are"),
        (JSON.replace('"time": 20}', '"time": }'), "line 3, column .*: not JSON"),
        (
            "{:process 0, :type :invoke, :f :write, :value [1 2]}\n",
            "may be a key and its value, or one value",
        ),
        ("{:process :nemesis, :type :info, :f :kill}\n", "no event of a client"),
    ],
)
def test_a_wrong_history_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)
