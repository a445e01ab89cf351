"""What a run costs at given prices, by part: machines, and traffic within and between regions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from sim.arguments import checked
from sim.prices import Prices

__all__ = ["RunCost", "cost"]

HOURS_A_MONTH = 8760 / 12
_GB = 1e9
_PART = {"part": object, "where": object, "amount": float, "unit": object, "per_hour": float}


@dataclass(frozen=True)
class RunCost:
    """The cost of a run.

    ``parts``: a row for the machines of each place and the traffic of each pair of places: ``part`` (``"machines"``,
    ``"traffic within"``, ``"traffic between"``), ``where``, ``amount``, ``unit`` (machines, GB/h), ``per_hour``.
    ``operations_an_hour``: operations that were answered, an hour. ``currency``: of all prices.
    """

    parts: pd.DataFrame
    operations_an_hour: float
    currency: str

    @property
    def per_hour(self) -> float:
        """The total of an hour."""
        return math.fsum(self.parts["per_hour"])

    @property
    def per_month(self) -> float:
        """The total of a month of 730 hours."""
        return self.per_hour * HOURS_A_MONTH

    @property
    def per_million(self) -> float:
        """The total of a million answered operations; NaN if none was answered."""
        return 1e6 * self.per_hour / self.operations_an_hour if self.operations_an_hour else math.nan

    def __str__(self) -> str:
        sign = self.currency
        return (
            f"{sign}{self.per_hour:,.4g} an hour, {sign}{self.per_month:,.4g} a month, "
            f"{sign}{self.per_million:,.4g} a million operations"
        )


@checked
def cost(
    operations: pd.DataFrame,
    links: pd.DataFrame,
    nodes: pd.DataFrame,
    prices: Prices,
    *,
    duration: float,
    machines: Mapping[str, str] | None = None,
) -> RunCost:
    """The cost of a run at these prices.

    Every machine of a member counts for the whole time, spares and crashed ones too; clients do not. Traffic is what
    members send, also to clients; members on one machine exchange nothing over the network. It is taken from the whole
    run, warm-up included, and told for an hour of such load.

    Args:
        operations, links, nodes: of one run.
        prices: of machines and traffic.
        duration: seconds that the run lasted.
        machines: member → its machine, for members that share one; others have a machine of their own.

    Raises:
        ValueError: a machine or a pair of regions has no price.
    """
    hours = duration / 3600.0
    shared = machines or {}
    members = nodes[nodes["role"] != "client"]
    rows = _machines(members, prices, shared) + _traffic(links, nodes, prices, shared, hours)
    answered = int((operations["status"] == "ok").sum())
    return RunCost(pd.DataFrame(rows, columns=list(_PART)).astype(_PART), answered / hours, prices.currency)


_Row = tuple[str, str, float, str, float]


def _machines(members: pd.DataFrame, prices: Prices, shared: Mapping[str, str]) -> list[_Row]:
    counted: dict[str, None] = {}
    found: dict[str, tuple[int, float]] = {}
    for name, region, role in zip(members["node"], members["region"], members["role"], strict=True):
        machine = shared.get(name, name)
        if machine in counted:
            continue
        counted[machine] = None
        count, total = found.get(region, (0, 0.0))
        found[region] = count + 1, total + prices.of_machine(name, machine, region, role)
    return [("machines", region, float(count), "machines", total) for region, (count, total) in found.items()]


def _traffic(
    links: pd.DataFrame, nodes: pd.DataFrame, prices: Prices, shared: Mapping[str, str], hours: float
) -> list[_Row]:
    region_of = dict(zip(nodes["node"], nodes["region"], strict=True))
    found: dict[tuple[str, str], float] = {}
    for src, dst, role, size in zip(
        links["src"], links["dst"], links["src_role"], links["bytes"], strict=True
    ):
        if role != "client" and shared.get(src, src) != shared.get(dst, dst):
            pair = region_of[src], region_of[dst]
            found[pair] = found.get(pair, 0.0) + float(size)
    rows = []
    for (src, dst), size in found.items():
        amount = size / _GB / hours
        part, where = ("traffic within", src) if src == dst else ("traffic between", f"{src}->{dst}")
        rows.append((part, where, amount, "GB/h", amount * prices.of_traffic(src, dst)))
    return rows
