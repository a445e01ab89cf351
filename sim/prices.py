"""What a run would cost: the user's prices of machines and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sim.measure import Measure, RunFigure
from sim.settings import NotNegative, Value

__all__ = ["CostOf", "Prices"]

ALL_OTHERS = "*"

_PER = {"hour": "/h", "month": "/month", "million": "per million"}


@dataclass(frozen=True, kw_only=True)
class Prices(Value):
    """The prices of machines and of traffic, in one currency.

    Parameters
    ----------
    machine:
        The price of a machine for an hour: one number, or by the name of a member, machine, region or role
        (``"replica"``, ``"service"``, ``"balancer"``), looked up in this order, with ``"*"`` for all others.
    within:
        The price of a GB (10^9 bytes) that a member sends within its region.
    between:
        The price of a GB that a member sends to another region: one number, or by ``"virginia->tokyo"`` or by the
        region that sends, looked up in this order, with ``"*"`` for all others.
    currency:
        Its name or sign, such as ``"$"``.
    """

    machine: NotNegative | Mapping[str, NotNegative] = 0.0
    within: NotNegative = 0.0
    between: NotNegative | Mapping[str, NotNegative] = 0.0
    currency: str = "$"

    def __post_init__(self) -> None:
        if not self.currency or not self.currency.isprintable():
            raise ValueError(f"Prices: currency must be a name or a sign, not {self.currency!r}")

    def of_machine(self, *names: str) -> float:
        """The price an hour of a machine with these names, the most exact first. ValueError if it has none."""
        return self._find("machine", self.machine, names)

    def of_traffic(self, src: str, dst: str) -> float:
        """The price of a GB from a region to a region. Raises ValueError if it has none."""
        return self.within if src == dst else self._find("between", self.between, (f"{src}->{dst}", src))

    def _find(self, field: str, prices: float | Mapping[str, float], names: tuple[str, ...]) -> float:
        if not isinstance(prices, Mapping):
            return prices
        for name in (*names, ALL_OTHERS):
            if name in prices:
                return prices[name]
        raise ValueError(f"Prices: {field} has no price for {names[0]}: name {' or '.join(names)}, or '*'")

    def check(self, scenario: Any) -> None:
        """Raise ValueError for a name that nothing in a scenario has."""
        resolved = scenario.resolved
        places = list(dict.fromkeys(resolved.places.values()))
        roles = [member.role for member in resolved.members]
        machines = [*resolved.places, *resolved.residents, *places, *roles]
        _refuse_unknown("machine", self.machine, machines)
        _refuse_unknown(
            "between",
            self.between,
            [*places, *(f"{a}->{b}" for a in places for b in scenario.network.regions)],
        )

    def measure(self, per: Literal["hour", "month", "million"] = "hour", name: str = "cost") -> Measure:
        """The total as a measure for sweeps and comparisons: an hour, a month, or a million answered operations."""
        return Measure(name, CostOf(self, per), unit=f"{self.currency}{_PER[per]}", better="lower")


def _refuse_unknown(field: str, prices: float | Mapping[str, float], known: list[str]) -> None:
    for name in prices if isinstance(prices, Mapping) else ():
        if name != ALL_OTHERS and name not in known:
            raise ValueError(
                f"Prices: {field} names {name!r}; the scenario has {', '.join(dict.fromkeys(known))}"
            )


@dataclass(frozen=True)
class CostOf(RunFigure):
    """The total cost of a run at these prices, ``per`` hour, month, or million answered operations."""

    prices: Prices
    per: Literal["hour", "month", "million"] = "hour"

    def __call__(self, run: Any) -> float:
        """The total; NaN for a million operations if none was answered."""
        return float(getattr(run.cost(self.prices), f"per_{self.per}"))

    def check(self, scenario: Any) -> None:
        self.prices.check(scenario)
