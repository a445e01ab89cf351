"""The zoo: each famous mistake is a correct system with one thing overridden, and a storm or a schedule shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.lab import draw_storm, run_storm
from sim.system import Invariant
from sim.written import from_dict, to_dict
from sim.zoo import BUGS, Bug, Mutated
from tests.budget import likely_first
from tests.command import sim

# The catalogue of known bugs from which the zoo was made.
CATALOGUE = [
    *(
        "PX1",
        "PX2",
        "PX4",
        "MP1",
        "MP4",
        "EP5",
        "RF1",
        "RF2",
        "RF3",
        "RF4",
        "RF5",
        "RF6",
        "RF7",
        "RF8",
        "RF9",
    ),
    *(
        "RF13",
        "RF17",
        "RF18",
        "RF20",
        "RF22",
        "RF23",
        "RF24",
        "RF25",
        "VR1",
        "PB1",
        "PB2",
        "PB3",
        "PB4",
        "PB5",
        "PB6",
    ),
    *("CR1", "CR2", "CR3", "MM1", "MM3", "MM4", "DY1", "DY2", "DY3", "FD1", "FD2"),
    *("LB1", "LB2", "LB3", "LB4", "LB5", "LB6", "LB7"),
]

every = pytest.mark.parametrize("bug", BUGS.values(), ids=list(BUGS))


def test_the_zoo_holds_the_catalogue() -> None:
    assert list(BUGS) == CATALOGUE


@every
def test_a_mistake_says_what_it_does_and_where_it_happened(bug: Bug) -> None:
    assert bug.what.endswith(".")
    assert bug.what[0].isupper()
    assert len(bug.happened) > 8
    assert bug.system.label == bug.id


@every
def test_only_what_is_overridden_differs_from_the_correct_system(bug: Bug) -> None:
    mine, right = bug.system.members(), bug.correct.members()
    assert [m.name for m in mine] == [m.name for m in right]
    pairs = [(m.node_class, r.node_class) for m, r in zip(mine, right, strict=True)]
    changed = [pair for pair in pairs if pair[0] is not pair[1]]
    assert all(issubclass(mutated, whole) for mutated, whole in changed)
    fields = bug.mutated.correct_fields  # type: ignore[attr-defined]
    assert bool(changed) != (bug.id in {"LB1", "LB5", "LB6"})  # there the mistake is the policy's
    assert set(fields) == ({"policy"} if bug.id in {"LB1", "LB5", "LB6"} else set())
    assert all(
        getattr(bug.correct, name) == right != getattr(bug.system, name) for name, right in fields.items()
    )
    assert not isinstance(bug.correct, Mutated)


@every
def test_a_mistake_goes_through_its_written_form(bug: Bug) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(bug.system)))) == bug.system


@pytest.mark.parametrize("name", ["LB1", "LB2", "LB4", "LB5", "LB6", "LB7", "RF23"])
def test_a_bound_is_seen_to_break_and_holds_without_the_mistake(name: str) -> None:
    """Those whose invariants were written for the zoo; the other invariants have their mutants beside the protocols."""
    broken = next(
        run.violation
        for seed in likely_first(range(20), *{"LB1": (9,), "RF23": (5,)}.get(name, ()))
        if (run := run_storm(draw_storm(BUGS[name].system, seed), seed)).violation
    )
    assert broken is not None
    assert (
        broken.invariant
        == {
            "LB1": "old reports draw no herd",
            "LB2": "retries stay within their budget",
            "LB4": "trials of a half-open breaker: at most 1",
            "LB5": "a failure makes no server cheap",
            "LB6": "a key moves only with its server",
            "LB7": "too few fit servers: health is ignored",
            "RF23": "a server that hears a leader elects no other",
        }[name]
    )
    for seed in range(3):
        assert run_storm(draw_storm(BUGS[name].correct, seed), seed).violation is None


FREE = {
    "PX2": "one Prepare for each ballot",
    "PB3": "acknowledged writes survive",
    "PB4": "replicas hold the same after healing",
    "RF23": "a pause between AppendEntriesReply and PreVoteReply",
    "VR1": "a member stands by what it said",
    "FD1": "news is not forgotten",
}
"""Mistakes that nothing saw without the invariants that are written by hand, and what sees them now."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] * (name == "PB3")) for name in FREE]
)
def test_what_costs_one_line_or_none_sees_the_mistake(name: str) -> None:
    """The first storm of thirty that breaks anything breaks this."""
    storms = ((replace(draw_storm(BUGS[name].system, seed), check="free"), seed) for seed in range(30))
    broken = next(run.violation for one in storms if (run := run_storm(*one)).violation)
    assert broken is not None
    assert broken.invariant == FREE[name]


@pytest.mark.nightly
@every
def test_no_storm_accuses_the_correct_system(bug: Bug) -> None:
    for seed in range(25):
        run = run_storm(draw_storm(bug.correct, seed), seed)
        assert run.violation is None, (seed, run.violation)
        assert run.check().status != "invalid", seed


def test_an_invariant_that_breaks_at_boot_is_a_result_like_any_other() -> None:
    class Never(Invariant):
        title = "nothing boots"

        def on_step(self, node: Any) -> None:
            self.violated(node.name, "it booted")

    class Unlucky(type(BUGS["RF3"].correct)):  # type: ignore[misc]
        def invariants(self) -> Any:
            return (Never(),)

    run = run_storm(draw_storm(Unlucky(), 1), 1)
    assert run.violation is not None
    assert (run.violation.invariant, run.violation.time, run.violation.seed) == ("nothing boots", 0.0, 1)


def test_the_command_lists_and_tells_mistakes() -> None:
    listed = sim("zoo").stdout.splitlines()
    assert [line.split()[0] for line in listed] == CATALOGUE
    told = sim("zoo", "rf3").stdout
    assert "figure 8" in told
    assert "BasicRaft(nodes=3)" in told


def test_an_unknown_mistake_is_refused_with_those_that_are_known() -> None:
    refused = sim("zoo", "RF99")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "there is no 'RF99'; there are PX1, PX2" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_find_shows_a_mistake_and_writes_a_replay_file_as_fuzz_does(tmp_path: Path) -> None:
    found = sim("zoo", "rf1", "--find", "--workers", "1", "--out", str(tmp_path))  # seen in the first run
    assert found.returncode == 1
    assert "durable before send is broken" in found.stdout
    assert f"results: {tmp_path}" in found.stdout
    (replay,) = tmp_path.glob("*.json")
    assert replay.with_suffix(".txt").exists()
    assert sim("replay", str(replay)).returncode == 1


def test_find_that_finds_nothing_says_so(tmp_path: Path) -> None:
    found = sim("zoo", "RF22", "--find", "--runs", "1", "--workers", "1", "--out", str(tmp_path))
    assert found.returncode == 0
    assert "nothing broke in 1 runs of RF22" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--find",), "--find needs a mistake"),
        (("RF3", "--time", "5"), "--time has an effect only with --find"),
        (("--resume",), "--resume has an effect only with --find"),
        (("RF3", "--find", "--runs", "0"), "--runs"),
        (("RF99", "--find"), "there is no 'RF99'"),
    ],
)
def test_bad_input_of_find_is_refused_in_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    refused = sim("zoo", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1
