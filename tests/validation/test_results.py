"""Published results: their quick cases have the verdicts that docs/validation.md states, and each notices a change."""

from __future__ import annotations

import pytest

from sim.validation import Published, all_results, validate
from sim.validation.page import kept_outcomes, page
from tests.budget import mostly_nightly
from tests.command import ROOT

RESULTS = all_results()
KEPT = {outcome.published.name: outcome for outcome in kept_outcomes(ROOT / "docs", RESULTS)}

DAILY = {"caspaxos_wan", "chain_failover", "gifford_voting", "maglev", "message_delays"}
"""The results whose quick cases, also under each perturbation, cost `make test` a second or two."""


def with_fast(names: set[str] | None = None) -> list[Published]:
    return [
        result
        for result in RESULTS
        if any(case.fast for case in result.cases) and (names is None or result.name in names)
    ]


@pytest.mark.parametrize(
    "result",
    mostly_nightly(with_fast(), lambda result: result.name in DAILY),
    ids=lambda result: result.name,
)
def test_quick_cases_have_the_verdicts_of_the_page(result: Published) -> None:
    (outcome,) = validate([result], fast=True, workers=1)
    if result.name not in KEPT:
        pytest.skip("the page does not have it yet: `make validate` measures it")
    stated = {(line.case, line.figure): line.verdict for line in KEPT[result.name].judged}
    found = {(line.case, line.figure): line.verdict for line in outcome.judged}
    assert found == {figure: stated[figure] for figure in found}


def _not_noticed(result: Published, fast: bool) -> dict[tuple[str, str], list[str]]:
    """Case and figure -> its verdicts under the perturbations that are for it, where none of them is red."""
    verdicts: dict[tuple[str, str], list[str]] = {}
    for perturbation in result.perturbations:
        found = validate([result], fast=fast, workers=1, perturbations={result.name: perturbation})
        for line in [line for outcome in found for line in outcome.judged]:
            if perturbation.concerns(line.case, line.figure):
                verdicts.setdefault((line.case, line.figure), []).append(line.verdict)
    assert verdicts
    return {figure: seen for figure, seen in verdicts.items() if "red" not in seen}


def _weak(result: Published) -> set[tuple[str, str]]:
    return {(case.name, figure) for case in result.cases for figure in case.weak}


RED_DAILY = {
    *("brooker_retries", "caspaxos_wan", "chain_failover", "ec2_round_trips", "key_movement"),
    *("gifford_voting", "leaseguard_latency", "message_delays", "omnipaxos_partial", "phi_accrual"),
}
"""The results whose quick cases are perturbed in `make test`: 7 CPU seconds in all. `make nightly` has the others."""


@pytest.mark.parametrize("result", with_fast(RED_DAILY), ids=lambda result: result.name)
def test_each_figure_of_a_quick_case_is_red_under_a_perturbation(result: Published) -> None:
    assert _not_noticed(result, fast=True).keys() <= _weak(result)


@pytest.mark.nightly
@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_each_figure_is_red_under_a_perturbation_or_said_to_be_weak(result: Published) -> None:
    assert _not_noticed(result, fast=False).keys() <= _weak(result)


@pytest.mark.nightly
@pytest.mark.parametrize("result", [r for r in RESULTS if r.deterministic], ids=lambda result: result.name)
def test_figures_that_are_said_not_to_depend_on_the_seed_do_not(result: Published) -> None:
    for case in result.cases:
        settings = result.settings_of(case)
        assert result.measure(1, **settings) == pytest.approx(result.measure(0, **settings), rel=1e-9)


def test_the_page_is_made_of_the_figures_and_has_every_result_as_it_is_declared() -> None:
    """Run `make validate`, or `sim validate NAME --out docs` for one result, if this fails."""
    assert (ROOT / "docs" / "validation.md").read_text(encoding="utf-8") == page(
        [KEPT[result.name] for result in RESULTS if result.name in KEPT], RESULTS
    )
    for result in RESULTS:
        declared = {
            (case.name, figure): (published, result.tolerance_of(case, figure))
            for case in result.cases
            for figure, published in case.published.items()
        }
        if result.name in KEPT:
            judged = {
                (line.case, line.figure): (line.published, line.tolerance)
                for line in KEPT[result.name].judged
            }
            assert judged.keys() == declared.keys(), result.name
            for (
                name,
                figures,
            ) in declared.items():  # the last digit of what is interpolated depends on the processor
                for kept, now in zip(judged[name], figures, strict=True):
                    assert kept == now or kept == pytest.approx(now, rel=1e-12), (result.name, name)
