"""The first step in which a mistake does something else than the correct system, in the same schedule."""

from __future__ import annotations

import pytest

from sim.lab.fuzz.deviation import first_deviation
from sim.lab.fuzz.replaying import Replay
from sim.lab.storm import draw_storm
from sim.protocols import BasicRaft
from sim.zoo import BUGS
from sim.zoo.bug import without_mistake
from tests.command import sim


@pytest.mark.parametrize(
    ("name", "seed", "handler", "wrong", "right"),
    [
        ("RF1", 0, "on_request_vote", "sends RequestVoteReply", "sends RequestVoteReply"),
        ("RF6", 0, "on_append_entries", "log = ", ""),
    ],
)
def test_the_step_and_what_each_of_the_two_does_is_told(
    name: str, seed: int, handler: str, wrong: str, right: str
) -> None:
    scenario = draw_storm(BUGS[name].system, seed, length=1.0)
    head, ours, theirs = first_deviation(scenario, without_mistake(scenario.system), seed)
    assert f"runs {handler}" in head
    assert ours.startswith(f"  with the mistake: {wrong}")
    assert theirs.startswith(f"  without it:       {right}")
    assert ours.split(":", 1)[1] != theirs.split(":", 1)[1]


def test_a_system_without_a_mistake_deviates_nowhere() -> None:
    scenario = draw_storm(BasicRaft(nodes=3), 0, length=0.5)
    same = first_deviation(scenario, scenario.system, 0)
    assert same == ["in this schedule the correct system does the same"]


def test_a_replay_of_the_zoo_names_the_step_and_others_do_not(tmp_path) -> None:  # type: ignore[no-untyped-def]
    scenario = draw_storm(BUGS["RF1"].system, 0, length=0.5)
    file = Replay.of(scenario, 0).save(tmp_path / "vote.json")
    done = sim("replay", str(file))
    assert done.returncode == 1
    assert "the mistake shows first at 0.00" in done.stdout
    assert type(without_mistake(scenario.system)) is type(BUGS["RF1"].correct)
