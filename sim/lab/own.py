"""Own measures in tables and charts: while a result is shown, `quantity` knows their units and directions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sim.analysis.quantities import Quantity, known_quantities
from sim.measure import Measure

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["in_own_words", "measures_of"]

C = TypeVar("C", bound=type)


class _Knows(Protocol):
    def _own_quantities(self) -> tuple[Quantity, ...]: ...


def measures_of(scenarios: Iterable[Scenario]) -> tuple[Measure, ...]:
    """The measures of all scenarios, each once. Raises ValueError where one name has two units or directions."""
    found: dict[str, Measure] = {}
    for scenario in {id(one): one for one in scenarios}.values():
        for measure in scenario.own_measures:
            other = found.setdefault(measure.name, measure)
            if other.quantity != measure.quantity:
                raise ValueError(
                    f"the measure {measure.name!r} has the unit {other.unit!r} in one scenario and {measure.unit!r} in "
                    "another, or another label or direction: give them different names"
                )
    return tuple(found.values())


def in_own_words(cls: C) -> C:
    """A class whose public methods run while `quantity` knows what its method ``_own_quantities`` gives.

    Stands below `checked_methods`, so that arguments are checked first.
    """
    for name, member in list(vars(cls).items()):
        if not name.startswith("_") and name != "own_quantities" and inspect.isfunction(member):
            setattr(cls, name, _knowing(member))
    return cls


def _knowing(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: _Knows, *args: Any, **kwargs: Any) -> Any:
        with known_quantities(self._own_quantities()):
            return method(self, *args, **kwargs)

    del call.__wrapped__  # by which `checked_methods`, which comes after, knows what is checked already
    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return call
