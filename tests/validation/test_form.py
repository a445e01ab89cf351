"""A published result is judged by the rule, refused where it could not be judged, and kept until all is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest

from sim.validation import SHOWN, Case, Estimate, Perturbation, Published, result_named, validate
from sim.validation.judging import judge
from sim.validation.kept import FILE, KeptSamples
from sim.validation.page import PAGE, kept_outcomes, write
from tests.command import sim

LONGER = Perturbation(what="all takes 20 % longer", scale={"factor": 1.2})


def ten(seed: int, *, factor: float = 1.0) -> float:
    return 10.0 * factor


def result(**changes: Any) -> Published:
    given: dict[str, Any] = {
        "name": "mine",
        "title": "Ten",
        "source": "Nobody, Nowhere, 2000",
        "certainty": "Derived.",
        "setup": "None.",
        "unit": "s",
        "measure": ten,
        "cases": [Case(name="a", published={"x": 10.0})],
        "perturbations": [LONGER],
        "settings": {"factor": 1.0},
        "tolerance": 0.1,
        "deterministic": True,
    }
    return Published(**{**given, **changes})


MINE = result()


def verdict(simulated: Estimate, published: float | None = 10.0, **changes: Any) -> str:
    case = Case(name="a", published={"x": published}, **changes.pop("case", {}))
    return judge(result(cases=[case], deterministic=False, **changes), case, [{"x": simulated}])[0].verdict


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (10.9, 0.01, "green"),
        (11.02, 0.01, "green"),  # by 0.1 and 3 standard errors
        (11.04, 0.01, "red"),
        (8.96, 0.01, "red"),
        (10.0, 0.34, "too few"),
        (12.1, 0.34, "red"),
        (nan, 0.01, "red"),
    ],
)
def test_a_figure_is_red_beyond_tolerance_and_three_standard_errors_and_too_few_if_these_exceed_it(
    mean: float, error: float, expected: str
) -> None:
    assert verdict(Estimate(mean, error)) == expected


def test_expectation_and_published_figure_both_judge_and_the_error_of_a_monte_carlo_counts() -> None:
    wanted = {"expect": lambda factor: {"x": Estimate(10.0, 0.3)}, "expected_by": "a Monte Carlo."}
    assert verdict(Estimate(10.0, 0.01), None, **wanted) == "green"
    assert verdict(Estimate(10.0, 0.2), None, **wanted) == "too few"
    assert verdict(Estimate(10.0, 0.01), 12.0, **wanted) == "red"
    shown = {"case": {"published_tolerance": SHOWN, "why": "a misprint"}}
    assert verdict(Estimate(10.0, 0.01), 12.0, **wanted, **shown) == "green"


def test_the_mean_over_samples_has_their_standard_error() -> None:
    case = Case(name="a", published={"x": 2.0}, samples=3)
    judged = judge(result(cases=[case], tolerance=1.0), case, [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}])[0]
    assert (judged.simulated, judged.error) == pytest.approx((2.0, (1 / 3) ** 0.5))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"perturbations": []}, "mine, a, x: no perturbation is for it"),
        (
            {"perturbations": [replace(LONGER, scale={"factor": 1.21})]},
            "changes factor by 0.21, more than twice the tolerance",
        ),
        ({"perturbations": [replace(LONGER, scale={"other": 1.1})]}, "no setting 'other'; there are factor"),
        ({"perturbations": [replace(LONGER, cases=["b"])]}, "x: no perturbation"),
        ({"perturbations": [LONGER, replace(LONGER, cases=["b"])]}, "names 'b', which is no case"),
        ({"cases": [Case(name="a", published={"x": None})]}, "nothing judges it"),
        ({"cases": [Case(name="a", published={"x": 1.0})] * 2}, "different names, not a, a"),
        ({"cases": []}, "not none"),
        ({"tolerance": -0.1}, "not -0.1"),
        ({"expected_by": "magic."}, "belong together"),
    ],
)
def test_a_declaration_that_could_not_be_judged_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        result(**changes)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Case(name="a", published={}), "published must name"),
        (lambda: Case(name="a", published={"x": 1.0}, samples=0), "not 0"),
        (lambda: Case(name="a", published={"x": 1.0}, published_tolerance=SHOWN), "why="),
        (lambda: Case(name="a", published={"x": 1.0}, weak=["y"]), "'y', which is no figure"),
        (lambda: Perturbation(what="nothing"), "not both or none"),
    ],
)
def test_parts_of_a_declaration_are_refused_alone(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_one_sample_without_an_error_is_refused_where_the_result_depends_on_the_seed() -> None:
    with pytest.raises(ValueError, match="one sample without a standard error"):
        validate([result(deterministic=False)], workers=1)


def test_two_results_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two results are named 'mine'"):
        validate([MINE, MINE], workers=1)


def test_a_measurement_that_fails_is_named_with_its_case() -> None:
    def broken(seed: int, *, factor: float) -> float:
        raise ArithmeticError("too much")

    with pytest.raises(ValueError, match="mine, a: ArithmeticError: too much"):
        validate([result(measure=broken)], workers=1)
    with pytest.raises(ValueError, match="gives no 'x'; it gives y"):
        validate([result(measure=lambda seed, factor: {"y": 1.0})], workers=1)


def test_under_a_perturbation_only_its_cases_are_simulated() -> None:
    cases = [Case(name=name, published={"x": 10.0}) for name in ("a", "b")]
    only = replace(LONGER, cases=["b"])
    (outcome,) = validate(
        [result(cases=cases, perturbations=[LONGER, only])], workers=1, perturbations={"mine": only}
    )
    assert [(line.case, line.verdict) for line in outcome.judged] == [("b", "red")]


def test_samples_are_kept_until_all_are_there_and_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    kept = KeptSamples(tmp_path, False, "v1")
    kept.keep("one", [{"x": Estimate(1.0, 0.5)}, {"x": 2.0}], 0.1)
    kept.keep("two", [{"x": 3.0}], 0.2)
    file = tmp_path / FILE
    file.write_text(file.read_text()[:-5])
    again = KeptSamples(tmp_path, True, "v1")
    assert again.get("one") == ([{"x": Estimate(1.0, 0.5)}, {"x": 2.0}], 0.1)
    assert again.get("two") is None
    again.keep("two", [{"x": 3.0}], 0.2)
    assert KeptSamples(tmp_path, True, "v1").get("two") is not None
    assert KeptSamples(tmp_path, True, "v2").get("one") is None
    with pytest.raises(ValueError, match="is there already"):
        KeptSamples(tmp_path, False, "v1")
    again.done()
    with pytest.raises(ValueError, match="to go on with"):
        KeptSamples(tmp_path, True, "v1")


def test_an_interrupted_validation_goes_on_with_what_was_measured(tmp_path: Path) -> None:
    calls: list[int] = []

    def counted(seed: int, *, factor: float) -> float:
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 10.0

    mine = result(measure=counted, cases=[Case(name="a", published={"x": 10.0}, samples=3)])
    with pytest.raises(KeyboardInterrupt):
        validate([mine], workers=1, out=tmp_path)
    (outcome,) = validate([mine], workers=1, out=tmp_path, resume=True)
    assert calls == [0, 1, 1, 2]
    assert outcome.verdict == "green"
    assert not (tmp_path / FILE).exists()


def test_the_page_names_weak_figures(tmp_path: Path) -> None:
    weak = result(cases=[Case(name="a", published={"x": 10.0}, weak=["x"])])
    write(tmp_path, validate([weak], workers=1), [weak])
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "- Red when all takes 20 % longer.\n- Weak, seen red under none of these: a: x.\n" in text


def test_the_page_keeps_results_that_are_not_simulated_again(tmp_path: Path) -> None:
    other = result(name="other", cases=[Case(name="a", published={"x": 12.0})])
    both = [MINE, other]
    write(tmp_path, validate(both, workers=1), both)
    write(tmp_path, validate([MINE], workers=1), both)
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "2 results with 2 figures; all figures of 1 results are green." in text
    assert "| a | x | 12 |  | 10 | -16.7 % | 10 % | red |" in text
    assert [o.verdict for o in kept_outcomes(tmp_path, both)] == ["green", "red"]
    assert len(json.loads((tmp_path / "validation.json").read_text())) == 2
    assert (tmp_path / "images" / "validation" / "mine.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["caspaxos_wam"], "there is no published result 'caspaxos_wam' (did you mean 'caspaxos_wan'?)"),
        (["sim.protocols:Raft"], "sim.protocols:Raft is no published result"),
        (["nowhere_at_all:X"], "nowhere_at_all cannot be imported"),
        (["--resume"], "--resume needs --out"),
        (["--fast", "--out", "x"], "--out writes whole results"),
        (["--list", "--fast"], "--list simulates nothing"),
        (["tests.validation.test_form:MINE", "--fast"], "no case of mine is quick"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], complaint: str) -> None:
    done = sim("validate", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_tells_red_figures_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "own_result.py").write_text(
        "from dataclasses import replace\n"
        "from tests.validation.test_form import MINE\n"
        "GOOD = MINE\n"
        "BAD = replace(MINE, name='bad', measure=lambda seed, factor: 12.0)\n"
    )
    done = sim("validate", "own_result:GOOD", "--workers", "1", cwd=tmp_path)
    assert (done.returncode, "green" in done.stdout) == (0, True)
    done = sim("validate", "own_result:GOOD", "own_result:BAD", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "red (1 of 1)" in done.stdout


def test_names_are_those_of_the_modules() -> None:
    assert result_named("caspaxos_wan").name == "caspaxos_wan"
