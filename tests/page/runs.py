"""Runs to draw, and a look at what a browser makes of their pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from sim import Run, Scenario
from sim.analysis.space_time_data import space_time_data
from sim.faults import Crash, Partition, Pause
from sim.network import constant
from sim.page import packed_text
from sim.page.document import Packed, Section, page
from sim.protocols import Raft
from sim.workload import ClosedLoop, Script
from sim.workload.script import ScriptedCall

EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"

SCENARIO = Scenario(
    system=Raft(nodes=3),
    network=constant(0.010, loss=0.02, duplicate=0.02),
    workload=Script(
        of=ClosedLoop(clients=2),
        calls=tuple(
            ScriptedCall(
                f"c{number % 2}", 0.1 + 0.12 * number, "put" if number % 3 else "get", f"k{number % 2}", EVIL
            )
            for number in range(20)
        ),
    ),
    faults=[
        Pause("n1", at=0.5, duration=0.1),
        Crash("leader", at=1.0, down=0.5),
        Partition((("n2",), ("n0", "n1")), at=2.0, duration=0.3),
    ],
    duration=2.6,
    trace="full",
)


@cache
def run() -> Run:
    """Raft with a pause, a crash and a partition, losses and copies; all values are HTML that must not work."""
    return SCENARIO.run(seed=1)


def data_of(one: Run, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data of its page."""
    return tuple(
        space_time_data(
            one.frames, ended=one.ended, title=one.label, traced=bool(one.scenario.trace), **options
        )
    )


def page_of(frames: Mapping[str, pd.DataFrame], ended: float, file: Path, **options: Any) -> Path:
    """Write a file with the page of these frames."""
    drawn, details = space_time_data(frames, ended=ended, title="a run", **options)
    blocks = [Packed(packed_text(drawn), packed_text(details))]
    file.write_text(page("a run", "", [Section("Step through it", blocks)]), encoding="utf-8")
    return file


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Any]:
    """The page of a file in the browser. It must say no error, ask nothing of the network, and not run foreign code."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, **options)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on(
        "request",
        lambda request: request.url.startswith(("data:", "file:", "blob:")) or said.append(request.url),
    )
    tab.goto(file.as_uri())
    if "space-time" in file.read_text(encoding="utf-8"):
        until(tab, "window.spaceTime && window.spaceTime[0] && window.spaceTime[0].detailed")
    yield tab
    assert tab.evaluate("window.evil") is None
    context.close()
    assert not said


def until(tab: Any, expression: str, seconds: float = 20.0) -> None:
    """Wait until an expression is true. (Playwright's own waiting needs ``eval``, which the pages forbid.)"""
    for _ in range(int(seconds / 0.02)):
        if tab.evaluate(f"Boolean({expression})"):
            return
        tab.wait_for_timeout(20)
    raise AssertionError(f"{expression} is not true after {seconds} s")


def tiled(frames: Mapping[str, pd.DataFrame], ended: float, times: int) -> dict[str, pd.DataFrame]:
    """The frames of a run that does the same again and again: many messages at little cost."""
    messages, steps, operations, events = (frames[n] for n in ("messages", "steps", "operations", "events"))
    parts: dict[str, list[pd.DataFrame]] = {"messages": [], "steps": [], "operations": [], "events": []}
    for number in range(times):
        ids, first, later = len(messages) * number, len(steps) * number, ended * number
        sessions = 100 * number

        def moved(text: str, ids: int = ids, first: int = first) -> str:
            cause = json.loads(text)
            if "id" in cause:
                cause["id"] += ids
            if cause.get("after", -1) >= 0:
                cause["after"] += first
            return json.dumps(cause)

        def renamed(text: str, sessions: int = sessions) -> str:
            pairs = [[process + sessions, sequence] for process, sequence in json.loads(text)]
            return json.dumps(pairs, separators=(",", ":"))

        def later_steps(column: pd.Series, first: int = first) -> pd.Series:
            return column.where(column < 0, column + first)

        parts["messages"].append(
            messages.assign(
                id=messages["id"] + ids,
                step=later_steps(messages["step"]),
                operations=[renamed(text) for text in messages["operations"]],
                **{name: messages[name] + later for name in ("sent", "delivered", "ready", "handed")},
            )
        )
        parts["steps"].append(
            steps.assign(
                id=steps["id"] + first,
                time=steps["time"] + later,
                cause=[moved(text) for text in steps["cause"]],
                incarnation=steps["incarnation"] + 9 * number,
            )
        )
        parts["operations"].append(
            operations.assign(
                process=operations["process"] + sessions,
                called=operations["called"] + later,
                returned=operations["returned"] + later,
                call_step=later_steps(operations["call_step"]),
                return_step=later_steps(operations["return_step"]),
            )
        )
        parts["events"].append(events.assign(time=events["time"] + later))
    return {**frames, **{name: pd.concat(each, ignore_index=True) for name, each in parts.items()}}
