"""Exports have all steps, messages and operations of a run, in the form of their tools; logs of others are drawn."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import Machine
from sim.analysis.logs import SHIVIZ_EXPRESSION
from sim.analysis.message_frames import log_frames
from sim.analysis.space_time_data import space_time_data
from sim.network.traced import FATES
from sim.readers import message_log
from sim.readers.message_log import MessageLog, read_message_log
from tests.command import sim
from tests.page.runs import SCENARIO, run


def read_log(tmp_path: Path, text: str, name: str = "log.jsonl") -> MessageLog:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_message_log(file)


# Perfetto


def test_perfettos_own_parser_finds_each_step_message_operation_and_sample(tmp_path: Path) -> None:
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    busy = replace(SCENARIO, machines=Machine(cores=2, per_message=0.001), sample_every=0.5).run(seed=1)
    (file,) = busy.export(tmp_path / "run.pftrace")
    trace = protos.Trace.FromString(file.read_bytes())
    tracks = {
        p.track_descriptor.uuid: p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")
    }
    events = [(p.timestamp, p.track_event) for p in trace.packet if p.HasField("track_event")]
    kinds = protos.TrackEvent
    assert {track.name for track in tracks.values()} >= {*busy.nodes["node"]}
    starts = Counter(flow for _, event in events for flow in event.flow_ids)
    ends = Counter(flow for _, event in events for flow in event.terminating_flow_ids)
    sent = busy.messages["id"][busy.messages["step"] >= 0] + 1
    handled = [json.loads(cause) for cause in busy.steps["cause"]]
    assert starts == Counter(sent.tolist())
    assert ends == Counter(cause["id"] + 1 for cause in handled if cause["kind"] == "message")
    named = Counter(event.name for _, event in events if event.name)
    for handler, count in busy.steps["handler"].value_counts().items():
        assert named[handler] == count, handler
    counted = [event.double_counter_value for _, event in events if event.type == kinds.TYPE_COUNTER]
    assert counted == [float(value) for value in busy.samples["value"]]
    served = [cause for cause in handled if cause.get("began", 0.0) < cause.get("done", 0.0)]
    begins = [event for _, event in events if event.type == kinds.TYPE_SLICE_BEGIN]
    assert len(begins) == len(served) + len(busy.operations) > len(busy.operations)
    open_slices: dict[int, int] = {}
    for _, event in sorted(
        ((time, event) for time, event in events if event.type != kinds.TYPE_COUNTER),
        key=lambda pair: (pair[0], pair[1].type != kinds.TYPE_SLICE_END),
    ):
        step = {kinds.TYPE_SLICE_BEGIN: 1, kinds.TYPE_SLICE_END: -1}.get(event.type, 0)
        open_slices[event.track_uuid] = open_slices.get(event.track_uuid, 0) + step
        assert 0 <= open_slices[event.track_uuid] <= 1, tracks[event.track_uuid].name  # slices do not overlap


# ShiViz


def test_shiviz_finds_each_step_with_its_vector_clock(tmp_path: Path) -> None:
    (file,) = run().export(tmp_path / "run.shiviz")
    expression = re.compile(SHIVIZ_EXPRESSION.replace("(?<", "(?P<"))
    text = file.read_text(encoding="utf-8")
    found = list(expression.finditer(text))
    assert len(found) == len(run().steps)
    assert "".join(match[0] + "\n" for match in found) == text
    clocks = run().vector_clocks()
    own: Counter[str] = Counter()
    for match, node, clock in zip(found, run().steps["node"], clocks.to_dict("records"), strict=True):
        own[node] += 1
        assert match["host"] == node
        assert json.loads(match["clock"]) == {name: count for name, count in clock.items() if count}
        assert json.loads(match["clock"])[node] == own[node]  # ShiViz refuses a host that skips a number


def test_exports_that_cannot_be_made_are_refused_before_the_work(tmp_path: Path) -> None:
    plain = replace(SCENARIO, trace=True).run(seed=1)
    with pytest.raises(ValueError, match='trace="full"'):
        plain.export(tmp_path / "run.shiviz")
    for name, said in (("run.json", "ends in .pftrace"), ("no/run.jsonl", "is no folder")):
        with pytest.raises(ValueError, match=said):
            run().export(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# Frames, and our own lines


def test_every_frame_is_exported_as_csv_and_parquet(tmp_path: Path) -> None:
    paths = run().export(tmp_path / "frames")
    assert {path.stem for path in paths} == {*run().frames}
    for name in ("steps", "messages"):
        assert len(pd.read_csv(tmp_path / "frames" / f"{name}.csv")) == len(run().frames[name])
        if any(path.suffix == ".parquet" for path in paths):
            assert len(pd.read_parquet(tmp_path / "frames" / f"{name}.parquet")) == len(run().frames[name])


def test_a_run_that_was_exported_as_lines_is_drawn_as_the_run(tmp_path: Path) -> None:
    (file,) = run().export(tmp_path / "run.jsonl")
    frames, ended = log_frames(read_message_log(file))
    before, _ = space_time_data(run().frames, ended=ended)
    after, details = space_time_data(frames, ended=ended)
    for name in ("nodes", "roles", "spans", "bands", "marks"):
        assert after[name] == before[name], name
    for name in ("kinds", "kind", "fate", "src", "dst", "sent", "delivered", "bytes", "late"):
        assert after["messages"][name] == before["messages"][name], name
    for name in ("kind", "key", "called", "returned", "status", "client"):
        assert after["operations"][name] == before["operations"][name], name
    assert (
        frames["messages"]["content"].map(json.loads).tolist()
        == run().messages["content"].map(json.loads).tolist()
    )
    assert len(details["changes"]) == len(frames["steps"])


# Logs of other systems


LINES = """\
{"type": "send", "id": "a", "time": 0.1, "src": "x", "dst": "y", "kind": "Ping", "content": {"n": 1}}
{"type": "recv", "id": "a", "time": 0.2}
{"type": "recv", "id": "a", "time": 0.25}
{"type": "send", "id": 2, "time": 0.2, "src": "y", "dst": "x", "kind": "Pong"}
{"type": "message", "src": "y", "dst": "x", "kind": "Pong", "sent": 0.3, "delivered": 0.4}
{"type": "event", "node": "y", "time": 0.5, "event": "crash"}
"""


def test_lines_of_a_log_become_messages_with_their_fates_and_causes(tmp_path: Path) -> None:
    frames, ended = log_frames(read_log(tmp_path, LINES))
    messages = frames["messages"]
    assert ended == 0.5
    assert messages["kind"].tolist() == ["Ping", "Ping", "Pong", "Pong"]
    assert messages["fate"].tolist() == ["delivered", "duplicated", "lost", "delivered"]
    np.testing.assert_array_equal(messages["delivered"], [0.2, 0.25, np.nan, 0.4])
    drawn, _ = space_time_data(frames, ended=ended)
    steps = drawn["steps"]
    names = [node["name"] for node in drawn["nodes"]]
    pong = messages["step"][2]  # what y sent at 0.2 follows from the Ping that it received then
    assert (names[steps["node"][pong]], steps["message"][pong]) == ("y", 0)
    assert [(names[n], s) for n, s in zip(drawn["spans"]["node"], drawn["spans"]["start"], strict=True)] == [
        ("y", 0.5)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("hello\n", "line 1: neither an object"),
        ("{]\n", "line 1: not JSON"),
        ('{"type": "nonsense"}\n', 'line 1: "type" must be one of message'),
        ('{"type": "message", "src": "a", "sent": 1}\n', "line 1: a line of type message needs 'dst'"),
        (
            '{"type": "message", "src": "a", "dst": "b", "sent": "now"}\n',
            "'sent' must be a number of seconds, not 'now'",
        ),
        ('{"type": "message", "src": "a", "dst": "b", "sent": 2, "delivered": 1}\n', "before it was sent"),
        (
            '{"type": "message", "src": "a", "dst": "b", "sent": 2, "fate": "eaten"}\n',
            "'fate' must be one of",
        ),
        ('{"type": "recv", "id": 7, "time": 1}\n', "no message 7 was sent before"),
        ('{"type": "send", "time": 1, "src": "a", "dst": "b"}\n', "needs 'id'"),
        ('{"type": "event", "time": 1, "node": "a", "event": "role"}\n', "needs the role in its detail"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_log(tmp_path, text)


def test_the_fates_of_logs_are_those_of_runs() -> None:
    assert message_log.FATES == FATES


ECHO = '{:id 0, :src "c1", :dest "n1", :body {:type "echo", :echo "</script>", :msg_id 1}}'
MAELSTROM = f"""\
2026-01-02 10:00:00,100{{GMT}}\tINFO\t[main] jepsen.core: Running test
2026-01-02 10:00:00,200{{GMT}}\tINFO\t[jepsen worker 0] maelstrom.net: :send {ECHO}
2026-01-02 10:00:00,203{{GMT}}\tINFO\t[n1 stdin] maelstrom.net: :recv #maelstrom.net.message.Message{ECHO}
2026-01-02 10:00:00,204{{GMT}}\tINFO\t[n1 stdout] maelstrom.net: :send {ECHO.replace("0", "1", 1).replace("echo", "ok")}
"""


def test_maelstroms_log_is_read_as_messages(tmp_path: Path) -> None:
    log = read_log(tmp_path, MAELSTROM, "jepsen.log")
    found = [(m["kind"], m["src"], m["dst"], m["fate"], round(m["sent"], 3)) for m in log.messages]
    assert found == [("echo", "c1", "n1", "delivered", 0.0), ("ok", "c1", "n1", "lost", 0.004)]
    assert log.messages[0]["content"] == {"type": "echo", "echo": "</script>", "msg_id": 1}
    assert log.left_out == 1
    assert [node["role"] for node in log.nodes] == ["client", "replica"]
    without = "\n".join(line for line in MAELSTROM.splitlines() if ":send" not in line)
    with pytest.raises(ValueError, match="received and never sent"):
        read_log(tmp_path, without, "jepsen.log")


def test_sim_view_and_sim_export_write_files_or_say_in_one_line_why_not(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(LINES, encoding="utf-8")
    done = sim("view", "log.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["4 messages, 1 events", "page: log.html"])
    assert "</html>" in (tmp_path / "log.html").read_text(encoding="utf-8")
    run().save(tmp_path / "run")
    done = sim("export", "run", "steps.shiviz", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "written: steps.shiviz\n")
    wrong: list[tuple[Any, ...]] = [
        ("view", "none.jsonl"),
        ("view", "run"),
        ("view", "log.jsonl", "-o", "page.png"),
        ("view", "log.jsonl", "-o", "no/page.html"),
        ("view", "run/manifest.json"),
        ("export", "none", "x.jsonl"),
        ("export", "run", "x.json"),
        ("export", "run", "no/x.jsonl"),
        ("export", "log.jsonl", "x.jsonl"),
    ]
    for arguments in wrong:
        done = sim(*arguments, cwd=tmp_path)
        assert done.returncode == 2, arguments
        assert len(done.stderr.splitlines()) == 1, arguments
        assert done.stdout == "", arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log.html",
        "log.jsonl",
        "run",
        "steps.shiviz",
    ]
