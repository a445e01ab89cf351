"""The Raft lab: its public tests, a solution that keeps all points, and eight mistakes that each lose one.

No invariant here knows a server: they come free, or are claims of the hand-out. Two of the mistakes need a schedule.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario
from sim.lab import Simulation
from sim.lab.grading import raft as lab
from sim.network import constant
from sim.node import Node
from sim.protocols.client import Request
from sim.system import Violation
from sim.workload import ClosedLoop, Mix, UniformKeys
from tests.budget import likely_first
from tests.labs import mistakes, solution

LAB = Path(__file__).resolve().parents[2] / "labs" / "raft"


ONE_LEADER = "at most one leader in a term"


def test_the_solution_shares_no_field_with_the_raft_of_the_library() -> None:
    from sim.protocols.consensus.raft import RaftNode

    assert not set(solution.Server._durables) & set(RaftNode._durables)


def test_the_solution_keeps_all_points() -> None:
    assert not lab.broken_in_storms(solution.Server, range(3))
    assert lab.elections(solution.Server, range(30)).status != "invalid"


@pytest.mark.parametrize(
    ("mistake", "seeds", "point"),
    [
        (mistakes.ForgottenVote, likely_first(range(60), 10), ONE_LEADER),
        (mistakes.VoteWithoutLogCheck, range(60), "servers agree"),
        (mistakes.NoTruncation, range(1, 60), "servers agree"),  # in storm 0 its book grows for half a minute
        (mistakes.Minority, range(60), ONE_LEADER),
        (mistakes.CommitsOldTerm, range(13, 150), "servers agree"),  # about one storm of forty shows it
        (mistakes.StaleReplies, range(4, 60), ONE_LEADER),
    ],
)
def test_a_mistake_loses_its_point_in_storms(mistake: type[Node], seeds: Sequence[int], point: str) -> None:
    one_by_one = (lab.broken_in_storms(mistake, range(seed, seed + 1)) for seed in seeds)
    assert any(point in lab.lost_points(broken) for broken in one_by_one)


@pytest.mark.parametrize("mistake", [mistakes.FixedTimeouts, mistakes.TimerNotResetOnVote])
def test_a_mistake_in_the_timing_loses_the_point_of_elections(mistake: type[Node]) -> None:
    assert lab.elections(mistake, range(30)).status == "invalid"


# The schedules

ALL = ("n0", "n1", "n2", "n3", "n4")


def start(server: type[Node]) -> Simulation:
    """Servers that campaign only when told to, and three clients that write one key."""
    writes = ClosedLoop(clients=3, mix=Mix({"append": 1.0}, UniformKeys(1)))
    group = lab.system(server, detection=10.0, heartbeat=0.02)
    return Scenario(
        system=group, network=constant(0.005), workload=writes, duration=60.0, check="free"
    ).start(1)


def campaign(simulation: Simulation, name: str) -> None:
    host = simulation.cluster.hosts[name]
    node: Any = host.node
    host.step(node.on_patience_timeout, ())
    simulation.run(until=simulation.now + 0.1)


def only(simulation: Simulation, *names: str) -> None:
    """These reach each other, and the others reach no server. Clients reach all."""
    simulation.cluster.network.heal_all()
    apart = [(a, b) for a in ALL for b in ALL if a != b and not (a in names and b in names)]
    simulation.cut(apart, "apart")


def is_request(src: str, dst: str, message: Any) -> bool:
    return isinstance(message, Request)


def figure_8(server: type[Node]) -> None:
    """Commands of term 1 are on n0 and n1, others of term 2 on n4; n0 spreads the first, then n4 the second."""
    simulation = start(server)
    campaign(simulation, "n0")
    simulation.run(until=simulation.now + 0.2)
    only(simulation, "n0", "n1")
    simulation.run(until=simulation.now + 0.1)
    simulation.hold(is_request)
    only(simulation, "n2", "n3", "n4")
    campaign(simulation, "n4")
    only(simulation)
    simulation.release()  # clients ask n4 now, which reaches nobody
    simulation.run(until=simulation.now + 3.0)
    simulation.hold(is_request)
    only(simulation, "n0", "n1", "n2", "n3")
    for name, others in (("n0", ()), ("n4", ("n2", "n3", "n4"))):
        if others:
            only(simulation, *others)
        campaign(simulation, name)  # in a term in which the others have voted
        campaign(simulation, name)
        simulation.run(until=simulation.now + 0.5)


def late_votes(server: type[Node]) -> None:
    """Votes for n0 in term 1 arrive in term 2, when n0 is a candidate again, and n1 has won."""
    simulation = start(server)
    simulation.hold(lambda src, dst, message: type(message).__name__ == "Vote" and dst == "n0" != src)
    campaign(simulation, "n0")
    only(simulation, "n1", "n2", "n3")
    campaign(simulation, "n0")
    campaign(simulation, "n1")
    simulation.release()
    simulation.run(until=simulation.now + 0.1)


@pytest.mark.parametrize(
    ("schedule", "mistake", "point"),
    [
        (figure_8, mistakes.CommitsOldTerm, "servers agree"),
        (late_votes, mistakes.StaleReplies, ONE_LEADER),
    ],
)
def test_a_mistake_loses_its_point_in_its_schedule(schedule: Any, mistake: type[Node], point: str) -> None:
    with pytest.raises(Violation) as found:
        schedule(mistake)
    assert lab.lost_points(Counter([found.value.invariant])) == [point]
    schedule(solution.Server)  # silent


def public_tests(folder: Path, server: Path, *options: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(LAB / "test_raft.py", folder)
    shutil.copy(server, folder / "raft.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_two_public_tests_are_green_for_the_solution(tmp_path: Path) -> None:
    done = public_tests(tmp_path, Path(solution.__file__), "-k", "leader")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.nightly
def test_all_public_tests_are_green_for_the_solution_and_red_for_the_skeleton(tmp_path: Path) -> None:
    done = public_tests(tmp_path, Path(solution.__file__))
    assert done.returncode == 0, done.stdout
    done = public_tests(tmp_path, LAB / "raft.py")
    assert done.returncode == 1
    assert " passed" not in done.stdout.splitlines()[-1]


@pytest.mark.nightly
def test_the_solution_keeps_all_points_in_a_thousand_storms() -> None:
    assert not lab.broken_in_storms(solution.Server, range(1000))
