"""The load formula of Ailijiang, Charapko & Demirbas (SIGMOD 2019), by counting messages."""

from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

LOADS: dict[str, Any] = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "validation" / "paxi_load.py")
)


@pytest.mark.parametrize("name", LOADS["CASES"])
def test_the_busiest_replica_takes_part_in_as_many_exchanges_as_the_formula_says(name: str) -> None:
    case = LOADS["CASES"][name]
    assert LOADS["load"](case) == case.formula


def test_the_published_values_for_nine_nodes() -> None:
    cases = LOADS["CASES"]
    assert cases["Multi-Paxos"].formula == 4
    assert cases["Mencius"].formula == Fraction(4, 3)  # nine leaders and majorities, without conflicts
