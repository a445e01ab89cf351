"""Settings of the wrong type are refused where they are made, with field and value; UNSAFE is in every label."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sim import System, protocols
from sim.protocols import (
    MultiPrimary,
)
from sim.workload import Mix

SYSTEMS = sorted(name for name in protocols.__all__ if issubclass(getattr(protocols, name), System))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MultiPrimary(conflicts="siblings", resolver="max"),
            "resolver must be a function or None, not 'max'",
        ),
        (lambda: Mix({"get": "x"}), "each entry of weights must be a number, not 'x'"),
    ],
)
def test_parts_of_systems_and_workloads_refuse_other_types(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_unsafe_is_called_so(name: str) -> None:
    system = getattr(protocols, name)
    assert system(unsafe=True).label.startswith("UNSAFE ")
    assert "UNSAFE" not in system().label
