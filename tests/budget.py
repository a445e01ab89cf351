"""What `make test` leaves to `make nightly`: it must end within five minutes on two cores.

A storm's seed draws its own mix of faults, so a few seeds of every system, option and mode still meet every fault many
times. Of a table of published figures a row or two runs always. The rest has the marker `nightly`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sim.lab.work import Work

DAILY = 4000
"""What `make test` may cost in all, in units of `unit`: 5 minutes on two calm cores, on which a unit is 0.15 s."""

OF_A_FILE = 40
"""What one file of tests may cost, in the same units (6 s on a calm core): `tests.cpu_time` names those that cost more,
after each `make test`. It is told, not asserted: a busy core makes all dearer, the unit included, but not evenly."""


def unit() -> float:
    """CPU seconds that this machine needs now for three million additions in Python: the measure of all else here."""
    times = []
    for _ in range(3):
        begin, total = time.process_time(), 0
        for i in range(100_000):
            total += i
        times.append(time.process_time() - begin)
    return 30 * min(times)


SHORT = 50
"""So many storms of the usual length each case goes through in all; `make test` runs the first few of them."""


WORKERS: dict[str, Work] = {
    "fork": {"start_method": "fork", "workers": 2},
    "spawn": {"start_method": "spawn", "workers": 1, "run_timeout": 300.0},
}
"""Processes of both kinds for a sweep. A spawned one imports all again, which costs a second: one is enough. (A limit
asks for a process where there is one worker.)"""


def storms(
    few: int,
    length: float,
    *,
    longer: float = 8.0,
    seeds: range = range(1000, 2000),
    batch: int = 50,
) -> pytest.MarkDecorator:
    """Parametrize a test by ``seeds`` and ``length`` (of each storm, in seconds).

    The first ``few`` storms of ``length`` run in `make test`; the rest of `SHORT`, and one ``longer`` storm for each of
    the ``seeds``, so many in a ``batch``, in `make nightly`.
    """
    night = [(range(few, SHORT), length)]
    night += [(range(first, first + batch), longer) for first in seeds[::batch]]
    cases = [pytest.param(range(few), length, id=f"{few} storms")]
    for some, how_long in night:
        label = f"{some.start}-{some.stop - 1}, {how_long:g} s"
        cases.append(pytest.param(some, how_long, id=label, marks=pytest.mark.nightly))
    return pytest.mark.parametrize(("seeds", "length"), cases)


def holds_for_each(
    cases: Iterable[Any], check: Callable[[Any], None], name: Callable[[Any], str] = str
) -> None:
    """Check each of many cases of less than a millisecond in one test, and name all that fail, each with its reason.

    To collect, report and distribute a case of a `parametrize` costs three milliseconds: more than such a check.
    """
    wrong, count = [], 0
    for case in cases:
        count += 1
        try:
            check(case)
        except (Exception, pytest.fail.Exception) as error:
            wrong.append(f"{name(case)}: {type(error).__name__}: {error}")
    assert count, "there is nothing to check"
    assert not wrong, f"{len(wrong)} of {count}\n" + "\n".join(wrong)


def likely_first(seeds: range, *likely: int) -> list[int]:
    """The seeds of a search that ends at the first hit, beginning with those that are known to hit.

    A mutant that is caught by none of these still has all the others: what is proved is the same, and costs less.
    """
    assert {*likely} <= {*seeds}
    return [*likely, *(seed for seed in seeds if seed not in likely)]


def mostly_nightly(cases: Iterable[Any], always: Callable[[Any], bool]) -> list[Any]:
    """The cases of a `parametrize`, of which only those that are ``always`` run are left to `make test`."""
    return [
        case
        if always(case)
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.nightly)
        for case in cases
    ]


def examples(few: int, many: int) -> pytest.MarkDecorator:
    """Parametrize a test by ``examples``, the number that it draws: ``few`` in `make test`, ``many`` nightly."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.nightly)])
