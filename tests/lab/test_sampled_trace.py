"""Traces of messages: they change no simulation, and a sample is a subset of all messages with a known share."""

from __future__ import annotations

import dataclasses
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

import sim
from sim import Scenario
from sim.cluster import Cluster
from sim.faults import Crash, Cut, Hold
from sim.lab.run import Run
from sim.network import Exponential, GilbertElliott, lan
from sim.node import Node, message
from sim.protocols import Raft
from sim.system import Member
from sim.workload import OpenLoop
from tests.command import sim as command

LINES: dict[str, dict[str, Any]] = {
    "plain": {"loss": 0.05},
    "copies": {"loss": 0.05, "duplicate": 0.2},
    "stream": {"transport": "stream", "loss": 0.02},
    "slow": {"bandwidth": 1e6, "burst": GilbertElliott(enter=0.05, leave=0.3)},
}
SHARE = 0.2
LONG = 20_000


@cache
def run(line: str, trace: Any, check: bool = False) -> Run:
    scenario = Scenario(
        system=Raft(nodes=3),
        network=lan(Exponential(0.002), **LINES[line]),
        workload=OpenLoop(clients=2, rate=60.0),
        faults=[
            Crash("n0", at=0.5, down=0.3),
            Cut("n1", "n2", at=1.0, duration=0.2),
            Hold("AppendEntries", at=0.2, until=0.4, copies=True),
        ],
        duration=2.0,
        trace=trace,
        check=check,
    )
    return scenario.run(seed=3)


def rows(run: Run) -> list[tuple[Any, ...]]:
    """The messages, with texts for times that are no number."""
    return list(
        run.messages.drop(columns="share", errors="ignore").astype(str).itertuples(index=False, name=None)
    )


@pytest.mark.parametrize("line", LINES)
def test_a_trace_changes_nothing_but_the_frame_of_messages(line: str) -> None:
    bare, sampled, traced = (run(line, trace) for trace in (False, SHARE, True))
    assert len(traced.messages) > len(sampled.messages) > len(bare.messages) == 0
    for other in (sampled, traced):
        assert other.events_processed == bare.events_processed
        for name in ("operations", "events", "links", "nodes"):
            assert other.frames[name].equals(bare.frames[name]), name


@pytest.mark.parametrize("line", LINES)
def test_the_rows_of_a_sample_are_rows_of_the_whole_trace_in_the_same_order(line: str) -> None:
    kept, everything = rows(run(line, SHARE)), iter(rows(run(line, True)))
    assert kept
    assert all(row in everything for row in kept), "`in` goes on where it found the row before"
    assert set(run(line, SHARE).messages["share"]) == {SHARE}
    assert "share" not in run(line, True).messages


def test_plain_and_careful_links_choose_the_same_messages() -> None:
    assert rows(run("plain", SHARE)) == rows(run("plain", SHARE, check=True))


def test_a_share_of_one_is_the_whole_trace() -> None:
    assert run("plain", 1.0).messages.equals(run("plain", True).messages)


@message
class Ball:
    number: int


class Player(Node):
    def on_ball(self, src: str, msg: Ball) -> None:
        if msg.number < LONG:
            self.send(src, Ball(msg.number + 1))


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_each_message_is_chosen_with_the_same_chance_and_independently(share: float) -> None:
    made = Cluster(lan(0.001), 5, tracing=share)
    for name in ("a", "b"):
        made.add(Member(name, Player), place="lan")
    made.boot()
    made.nodes["a"].send("b", Ball(1))
    made.env.run()
    chosen = [round(row[3] / 0.001) for row in made.recorder.messages]  # which one it was, from 0 on
    assert chosen == sorted(set(chosen))

    def as_binomial(count: int, tries: int, chance: float) -> bool:
        return abs(count - tries * chance) <= 4 * sqrt(tries * chance * (1 - chance))

    assert as_binomial(len(chosen), LONG, share)
    for first in range(5):  # no pattern in where they stand
        assert as_binomial(sum(number % 5 == first for number in chosen), len(chosen), 0.2)
    kept = set(chosen)
    for apart in (1, 2, 7):
        assert as_binomial(sum(number + apart in kept for number in chosen), len(chosen), share)


def test_what_is_on_its_way_at_the_end_has_a_row_over_plain_and_careful_links() -> None:
    for line in ({}, {"bandwidth": 1e9}):
        made = Cluster(lan(1.0, **line), 1, tracing=True)
        for name in ("a", "b"):
            made.add(Member(name, Player), place="lan")
        made.boot()
        for number in (7, 8):
            made.nodes["a"].send("b", Ball(number))
        made.env.run(until=0.5)
        made.finish()
        assert [
            (kind, src, dst, sent, fate) for kind, src, dst, sent, _, fate, _ in made.recorder.messages
        ] == [("Ball", "a", "b", 0.0, "in flight")] * 2


@pytest.mark.parametrize("trace", [0, 0.0, -0.1, 1.5, 2, float("nan"), float("inf"), "0.1", None])
def test_a_share_outside_its_range_is_refused(trace: Any) -> None:
    with pytest.raises(ValueError, match=r"Scenario: trace must be .*, not "):
        Scenario(system=Raft(nodes=3), trace=trace)


def test_what_needs_all_messages_refuses_a_sample(tmp_path: Path) -> None:
    sampled = run("plain", SHARE)
    for needs_all in (
        sampled.plot.space_time,
        sampled.view,
        lambda: sampled.export(tmp_path / "log.jsonl"),
        lambda: sampled.export(tmp_path / "log.pftrace"),
    ):
        with pytest.raises(
            ValueError, match=r"needs all messages, and this trace holds a share of 0\.2 of them"
        ):
            needs_all()
    for needs_steps in (
        sampled.story,
        sampled.anatomy,
        sampled.vector_clocks,
        lambda: sampled.critical_path(0),
        lambda: sampled.state("n0"),
    ):
        with pytest.raises(ValueError, match='run the scenario with trace="full"'):
            needs_steps()


def test_the_kinds_of_messages_are_counted_with_what_each_row_stands_for() -> None:
    from sim.analysis.message_kinds import messages_by_kind

    sampled, traced = run("plain", SHARE), run("plain", True)
    few = sampled.messages["kind"].value_counts()
    ok = (sampled.operations["status"] == "ok").sum()
    found = messages_by_kind(sampled.messages, sampled.nodes, sampled.operations).set_index("kind")[
        "messages"
    ]
    kind = "AppendEntries"
    assert found[kind] == pytest.approx(few[kind] / SHARE / ok)
    exact = messages_by_kind(traced.messages, traced.nodes, traced.operations).set_index("kind")["messages"]
    assert found[kind] == pytest.approx(exact[kind], rel=4 * sqrt((1 - SHARE) / few[kind]))


def test_a_sample_is_written_saved_and_loaded(tmp_path: Path) -> None:
    sampled = run("plain", SHARE)
    assert Scenario.from_dict(sampled.scenario.to_dict()) == sampled.scenario
    assert sampled.scenario.to_dict()["trace"] == SHARE
    sampled.save(tmp_path / "kept")
    loaded = sim.load(tmp_path / "kept")
    assert loaded.scenario.trace == SHARE
    assert rows(loaded) == rows(sampled)
    assert set(loaded.messages["share"]) == {SHARE}


def test_a_sample_at_the_command_line(tmp_path: Path) -> None:
    short = dataclasses.replace(run("plain", False).scenario, duration=1.5)
    file = tmp_path / "short.json"
    file.write_text(short.to_json())
    done = command("run", str(file), "--seed", "3", "--trace", "0.2", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    kept = sim.load(tmp_path / "out")
    assert kept.scenario.trace == SHARE
    assert rows(kept) == rows(dataclasses.replace(short, trace=SHARE).run(seed=3))
    refused = command("run", str(file), "--trace", "1.5")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "messages, full, or a share of the messages above 0 and at most 1, not '1.5'" in refused.stderr


def test_plain_links_stay_plain_when_messages_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a trace cheap: `careful_link` is for links with more than latency and loss."""
    made: list[str] = []

    def careful_link(*_: Any) -> Any:
        made.append("careful")
        raise AssertionError

    monkeypatch.setattr("sim.network.links.careful_link", careful_link)
    live = Scenario(system=Raft(nodes=3), network=lan(0.001), duration=0.5, trace=SHARE).start(1)
    live.run()
    assert made == []
