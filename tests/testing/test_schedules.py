"""Strategies and the fixture for users' suites: they find a mistake, and are silent where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import Phase, given, settings
from hypothesis.errors import HypothesisException

from sim.faults import Crash
from sim.protocols import Abd, BasicRaft, ViewstampedReplication
from sim.testing import fault_schedules, operations, schedule, withstand
from sim.workload import Script
from tests.lab.fuzz.mutants import Eager

pytest_plugins = ["pytester"]

QUICK = settings(max_examples=5, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("system", [BasicRaft(nodes=3), Abd(nodes=3)], ids=lambda s: type(s).__name__)
def test_a_correct_system_withstands_drawn_schedules(system: BasicRaft | Abd) -> None:
    @given(faults=fault_schedules(system), load=operations(system))
    @QUICK
    def hold(faults: tuple[Crash, ...], load: Script) -> None:
        withstand(schedule(system, faults=faults, workload=load, duration=4.0))

    hold()


def test_a_mistake_is_found_with_its_story() -> None:
    @given(load=operations(Eager(), most=12))
    @settings(QUICK, max_examples=30, phases=(Phase.generate, Phase.shrink))
    def hold(load: Script) -> None:
        withstand(schedule(Eager(), workload=load))

    with pytest.raises((AssertionError, HypothesisException), match="BROKEN"):
        hold()


def test_no_crash_is_drawn_where_the_fault_model_has_none() -> None:
    class NeverDown(BasicRaft):
        max_down = 0  # type: ignore[assignment]

    @given(faults=fault_schedules(NeverDown(nodes=3), most=6))
    @settings(QUICK, max_examples=30)
    def hold(faults: tuple[Crash, ...]) -> None:
        assert not any(isinstance(fault, Crash) for fault in faults)

    hold()


def test_a_schedule_stays_within_the_fault_model() -> None:
    system = ViewstampedReplication(nodes=3)
    crashes = [Crash(name, at=0.5, down=1.0) for name in ("n0", "n1", "n2")]
    run = withstand(schedule(system, faults=crashes, duration=2.0))
    assert run.nodes["crashes"].sum() == 1


def test_sim_testing_needs_neither_hypothesis_nor_pytest() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None; import sim.testing; "
        "print(sim.testing.withstand.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "withstand\n"


def test_the_fixture_fails_the_test_with_the_story(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["sim.testing.plugin"]')
    pytester.makepyfile(
        "from tests.lab.fuzz.mutants import Eager\n"
        "from sim.protocols import BasicRaft\n"
        "def test_broken(fuzz):\n    fuzz(Eager(), runs=2)\n"
        "def test_well(fuzz):\n    assert fuzz(BasicRaft(nodes=3), runs=2).runs == 2\n"
    )
    # In a process of its own: pytester forgets the modules that a run in this one imports; they would be made twice.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "0")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*shrunk in * runs to *", "*BROKEN*", "*.json"])
