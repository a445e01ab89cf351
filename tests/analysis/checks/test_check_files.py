"""Histories on disk, and `sim check`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from sim.analysis.checks import check, synthetic
from sim.analysis.history import COLUMNS, HistoryError, read_history, write_history
from sim.commands.check import check as command

GOOD = {"process": 3, "kind": "cas", "key": "x", "value": [1, 2], "call": 0.1, "return": 0.2, "status": "ok"}


def read(text: str) -> pd.DataFrame:
    return read_history(io.StringIO(text))


def test_a_history_survives_writing_and_reading(tmp_path: Path) -> None:
    frame = synthetic(
        300,
        clients=4,
        keys=2,
        unknown=0.1,
        mix={"get": 1, "put": 1, "cas": 1, "delete": 0.3, "increment": 0.2},
        values=4,
    )
    path = tmp_path / "history.jsonl"
    write_history(frame, path)
    again = read_history(path)
    assert again.index.tolist() == list(range(1, 301))
    assert list(again.columns) == [name for name in COLUMNS if name in frame.columns]
    pd.testing.assert_frame_equal(again.reset_index(drop=True), frame[list(again.columns)], check_dtype=False)
    assert check(again, model="key-value").valid == check(frame, model="key-value").valid


def test_unanswered_operations_are_null_and_blank_lines_are_skipped() -> None:
    frame = read(json.dumps({**GOOD, "return": None, "status": "info"}) + "\n\n  \n" + json.dumps(GOOD))
    assert frame.index.tolist() == [1, 4]
    assert frame["returned"].isna().tolist() == [True, False]
    assert frame["value"].tolist() == [[1, 2], [1, 2]]


def test_fields_may_appear_late_and_unknown_ones_are_ignored() -> None:
    text = "\n".join(
        ['{"kind": "read", "value": 1}'] * 3 + ['{"kind": "read", "value": null, "key": "x", "zone": 9}']
    )
    frame = read(text)
    assert list(frame.columns) == ["kind", "key", "value"]
    assert frame["value"].tolist() == [1, 1, 1, None]


def test_writing_turns_arrays_and_sets_into_lists() -> None:
    target = io.StringIO()
    write_history(
        pd.DataFrame({"kind": ["read"], "value": [frozenset({2, 1})], "returned": [float("nan")]}), target
    )
    assert json.loads(target.getvalue()) == {"kind": "read", "value": [1, 2], "return": None}
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        write_history(pd.DataFrame({"kind": ["read"], "value": [object()]}), io.StringIO())


def test_a_file_may_name_times_as_files_do_or_as_frames_do() -> None:
    """Files are written with call and return; frames say called and returned, and both are read, even mixed."""
    other = {{"call": "called", "return": "returned"}.get(name, name): value for name, value in GOOD.items()}
    mixed = read(json.dumps(GOOD) + "\n" + json.dumps(other))
    assert mixed[["called", "returned"]].values.tolist() == [[0.1, 0.2]] * 2
    assert {"call", "return"}.isdisjoint(mixed.columns)
    target = io.StringIO()
    write_history(mixed, target)
    assert [json.loads(line) for line in target.getvalue().splitlines()] == [GOOD, GOOD]
    with pytest.raises(HistoryError, match="line 1: call and called are one time: give one of them"):
        read(json.dumps({**GOOD, "called": 0.1}))


def test_a_frame_with_the_names_of_a_file_is_refused() -> None:
    """A check that did not see the times would judge a weaker history."""
    frame = read(json.dumps(GOOD)).rename(columns={"called": "call"})
    with pytest.raises(
        ValueError, match="the column 'call' of a file is named 'called' in a frame: rename it"
    ):
        check(frame, "sequential")


BAD = [
    ('{"kind": "read"', r"line 2: not JSON: Expecting ',' delimiter \(column 17\)"),
    ("[1, 2]", "line 2: not an object"),
    ('{"kind": "read"} {"kind": "read"}', "line 2: not JSON: Extra data"),
    ('{"kind": "read", "call": "soon"}', "line 2: call is 'soon', not a number of seconds"),
    ('{"kind": "read", "call": NaN}', "line 2: call is nan"),
    ('{"kind": "read", "key": {"a": 1}}', "line 2: key is {'a': 1}"),
    ("[" * 100_000, "line 2: too deeply nested"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=lambda v: v[:30])
def test_bad_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        read(json.dumps(GOOD) + "\n" + line + "\n")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"kind": "read"}\n\xff\xfe\n')
    with pytest.raises(HistoryError, match="not UTF-8"):
        read_history(path)


# The command


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=text)


def lines(*operations: dict[str, Any]) -> str:
    return "\n".join(json.dumps(op) for op in operations) + "\n"


def op(
    process: int, kind: str, value: Any, call: float, end: float | None, status: str = "ok"
) -> dict[str, Any]:
    return {"process": process, "kind": kind, "key": "x", "value": value, "call": call, "status": status} | {
        "return": end
    }


VALID = lines(op(0, "write", 1, 0, 1), op(1, "read", 1, 2, 3))
STALE = lines(op(0, "write", 1, 0, 1), op(1, "read", None, 2, 3))
HARD = lines(
    *(op(i, "cas", [1 + i % 3, 1 + (i + 1) % 3], 0, 9) for i in range(14)), op(99, "read", 2, 10, 11)
)


def test_exit_codes_say_valid_invalid_unknown_and_bad_input(tmp_path: Path) -> None:
    assert run("-", "--model", "register", text=VALID).exit_code == 0
    invalid = run("-", text=STALE)
    assert invalid.exit_code == 1
    assert "line 2: read x → null by process 1 [2 s, 3 s]" in invalid.output
    assert run("-", "--budget", "10", "--initial", "1", text=HARD).exit_code == 3
    bad = run("-", text=VALID + '{"kind": "read", "call": 5}\n')
    assert bad.exit_code == 2
    assert "line 3" in bad.stderr.splitlines()[-1]  # one line of the command: tests/commands
    assert run("-", "--model", "queue", text=VALID).exit_code == 2
    assert run("-", "--initial", "{", text=VALID).exit_code == 2
    assert run("-", "--consistency", "magic", text=VALID).exit_code == 2
    assert run(str(tmp_path / "none.jsonl")).exit_code == 2


def test_options_reach_the_check() -> None:
    assert run("-", "--consistency", "sequential", text=STALE).exit_code == 0
    assert run("-", "--consistency", "causal", text=STALE).exit_code == 0
    strongest = run("-", "--consistency", "strongest", text=STALE)
    assert strongest.exit_code == 0
    assert strongest.output.startswith("strongest: sequential")
    zero = lines(op(0, "read", 0, 0, 1))
    assert run("-", text=zero).exit_code == 1
    assert run("-", "--initial", "0", text=zero).exit_code == 0
    failed = lines(op(0, "write", 1, 0, 1), op(1, "cas", [1, 2], 2, 3, "fail"))
    assert run("-", text=failed).exit_code == 0
    assert run("-", "--failed-cas", "mismatch", text=failed).exit_code == 1


def test_a_file_a_timeline_and_a_chart(tmp_path: Path) -> None:
    path, chart = tmp_path / "history.jsonl", tmp_path / "chart.png"
    path.write_text(STALE)
    result = run(str(path), "--text", "--plot", str(chart))
    assert result.exit_code == 1
    assert "✗ process 1: read x → null" in result.output
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_the_command_line_imports_pandas_only_when_it_checks() -> None:
    code = "import sys, sim.commands.check; print(sorted({'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
