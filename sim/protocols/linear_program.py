"""Linear programs, solved exactly in fractions: small ones, as those of quorum systems are.

The simplex method in two phases (Dantzig), with Bland's rule ("New Finite Pivoting Rules for the Simplex Method",
Mathematics of Operations Research 2(2), 1977), which never cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["Constraint", "minimise"]

Constraint = tuple[Sequence[Fraction], Fraction]
"""A row of coefficients and a bound of at least 0."""

_Row = list[Fraction]


def minimise(
    costs: Sequence[Fraction], upper: Sequence[Constraint], equal: Sequence[Constraint] = ()
) -> list[Fraction] | None:
    """The x >= 0 of the least ``costs @ x`` with ``row @ x <= bound`` (upper) and ``row @ x = bound`` (equal).

    None: no x satisfies the constraints. The costs must be bounded below.
    """
    width, height = len(costs), len(upper) + len(equal)
    real = width + len(upper)  # columns of variables and of slacks; those after them are artificial
    table = [
        [*map(Fraction, row), *(Fraction(i == j) for j in range(height)), Fraction(bound)]
        for i, (row, bound) in enumerate([*upper, *equal])
    ]
    basis = list(range(width, width + height))
    goal = [Fraction(0)] * real + [Fraction(1)] * len(equal) + [Fraction(0)]
    if _descend(table, basis, goal, real) < 0:
        return None
    _leave_artificial(table, basis, real)
    _descend(table, basis, [*map(Fraction, costs), *([Fraction(0)] * (height + 1))], real)
    found = [Fraction(0)] * width
    for row, column in zip(table, basis, strict=True):
        if column < width:
            found[column] = row[-1]
    return found


def _descend(table: list[_Row], basis: list[int], goal: _Row, real: int) -> Fraction:
    """Pivot until no real column lowers the goal; returns minus its value."""
    for row, column in zip(table, basis, strict=True):
        goal = _minus(goal, goal[column], row)
    while (enter := next((j for j in range(real) if goal[j] < 0), None)) is not None:
        ratios = [(row[-1] / row[enter], basis[i], i) for i, row in enumerate(table) if row[enter] > 0]
        _pivot(table, basis, min(ratios)[2], enter)
        goal = _minus(goal, goal[enter], table[basis.index(enter)])
    return goal[-1]


def _leave_artificial(table: list[_Row], basis: list[int], real: int) -> None:
    """Replace artificial columns, which are 0 now, by real ones where the row has any."""
    for i, column in enumerate(basis):
        if column >= real:
            enter = next((j for j in range(real) if table[i][j]), None)
            if enter is not None:
                _pivot(table, basis, i, enter)


def _pivot(table: list[_Row], basis: list[int], leave: int, enter: int) -> None:
    basis[leave] = enter
    scale = table[leave][enter]
    leading = table[leave] = [value / scale for value in table[leave]]
    for i, row in enumerate(table):
        if i != leave and row[enter]:
            table[i] = _minus(row, row[enter], leading)


def _minus(row: _Row, factor: Fraction, other: _Row) -> _Row:
    if not factor:
        return row
    return [a - factor * b if b else a for a, b in zip(row, other, strict=True)]
