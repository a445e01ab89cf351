"""A pytest plugin that says what the tests cost in CPU time, and which files cost more than their share.

The conftest registers it: each run ends with the files beyond the budget (`tests/budget.py`), if there are any.
`python -m pytest -p tests.cpu_time ...` lists the files and tests that cost most.

It counts the seconds of the test process and of the processes that it started and waited for, so that the figures mean
the same on a busy machine. What a module's fixture costs is counted with the first test that asks for it.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Generator

import pytest

from tests.budget import DAILY, OF_A_FILE, unit

SHOWN = 40


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class CpuTime:
    """Measures each phase of each test where it runs; adds up where the reports arrive."""

    def __init__(self, config: pytest.Config, *, in_full: bool) -> None:
        self.config = config
        self.in_full = in_full
        self.by_test: dict[str, float] = defaultdict(float)
        self.workers = 0.0
        self.begin = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = cpu_seconds()
        report.cpu = now - self.begin  # type: ignore[attr-defined]  # xdist carries it to the main process
        self.begin = now
        return report

    def pytest_runtest_logstart(self) -> None:
        self.begin = cpu_seconds()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.by_test[report.nodeid] += getattr(report, "cpu", 0.0)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["cpu"] = cpu_seconds()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self.workers += getattr(node, "workeroutput", {}).get("cpu", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        by_file: dict[str, float] = defaultdict(float)
        for test, seconds in self.by_test.items():
            by_file[test.partition("::")[0]] += seconds
        whole = self.workers or cpu_seconds()
        if self.in_full:
            self.tell_all(terminalreporter, by_file, whole)
        one = unit()
        dear = {name: cost for name, cost in by_file.items() if cost > OF_A_FILE * one}
        if dear or whole > DAILY * one:
            terminalreporter.section(
                f"CPU: {whole:.0f} s, {whole / one:.0f} units of {DAILY:,} for all tests"
            )
            terminalreporter.line(
                f"-- the files that cost more than {OF_A_FILE} units of {one:.2f} s (tests/budget.py)"
            )
            for name, seconds in sorted(dear.items(), key=lambda cost: -cost[1]):
                terminalreporter.line(f"{seconds / one:8.0f}  {name}")

    def tell_all(
        self, terminalreporter: pytest.TerminalReporter, by_file: dict[str, float], whole: float
    ) -> None:
        terminalreporter.section(f"CPU: {sum(by_file.values()):.0f} s in tests, {whole:.0f} s in all")
        for title, costs in (("files", by_file), ("tests", self.by_test)):
            terminalreporter.line(f"-- the {title} that cost most")
            for name, seconds in sorted(costs.items(), key=lambda cost: -cost[1])[:SHOWN]:
                terminalreporter.line(f"{seconds:8.2f} s  {name}")
        if wanted := os.environ.get("CPU_TIME_JSON"):
            with open(wanted, "w", encoding="utf-8") as file:
                json.dump(self.by_test, file)


def pytest_configure(config: pytest.Config) -> None:
    measure(config, in_full=True)


def measure(config: pytest.Config, *, in_full: bool = False) -> None:
    """Measure this run, unless it is measured already."""
    if not config.pluginmanager.has_plugin("cpu-time"):
        config.pluginmanager.register(CpuTime(config, in_full=in_full), "cpu-time")
