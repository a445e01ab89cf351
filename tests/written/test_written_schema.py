"""The schema states the bounds of numbers, and they are those by which values are refused."""

from __future__ import annotations

import dataclasses
from math import inf, nextafter
from typing import Any

import pytest

from sim.settings import Bounds, Size, check_type
from sim.written import from_dict, schema
from sim.written.hints import item_hint, keywords, limited_options
from sim.written.schema import _classes

SCHEMA = schema()
CLASSES = _classes()


def bounded(hint: Any) -> list[tuple[type, float]]:
    """The bounds of the numbers that an annotation allows, each with the type of the number."""
    return [
        (option, bound)
        for option, limits in limited_options(hint)
        for limit in limits
        for bound in (
            (limit.most,)
            if isinstance(limit, Size)
            else (limit.least, limit.above, limit.most, limit.below)
            if isinstance(limit, Bounds)
            else ()
        )
        if bound is not None
    ]


def beside(kind: type, bound: float) -> tuple[float, ...]:
    """A bound, and the numbers just below and just above it."""
    if kind is int:
        return (int(bound) - 1, int(bound), int(bound) + 1)
    return (nextafter(bound, -inf), float(bound), nextafter(bound, inf))


def allows(part: dict[str, Any], number: float) -> bool:
    """What JSON Schema says of a number: any of the alternatives, its type, its range."""
    if "anyOf" in part:
        return any(allows(one, number) for one in part["anyOf"])
    if not part:
        return True
    if "enum" in part:
        return number in part["enum"]
    return (
        part.get("type") in (("number", "integer") if isinstance(number, int) else ("number",))
        and part.get("minimum", -inf) <= number <= part.get("maximum", inf)
        and part.get("exclusiveMinimum", -inf) < number < part.get("exclusiveMaximum", inf)
    )


def refusal(cls: type, field: str, number: float, hint: Any) -> str | None:
    try:
        check_type(cls.__name__, field, number, hint)
    except ValueError as refused:
        return str(refused)
    return None


CASES = [
    (name, field, kind, bound)
    for name, cls in CLASSES.items()
    for field, (hint, _) in keywords(cls).items()
    for kind, bound in bounded(hint)
]


def test_the_library_has_many_bounds() -> None:
    assert len(CASES) > 200
    assert {kind for _, _, kind, _ in CASES} == {int, float}


@pytest.mark.parametrize("name", sorted({name for name, *_ in CASES}))
def test_the_schema_and_the_reader_refuse_the_same_numbers(name: str) -> None:
    cls = CLASSES[name]
    known = keywords(cls)
    alone = {field for field, (_, default) in known.items() if default is dataclasses.MISSING}
    for field, kind, bound in [case[1:] for case in CASES if case[0] == name]:
        part = SCHEMA["$defs"][name]["properties"][field]
        for number in beside(kind, bound):
            reason = refusal(cls, field, number, known[field][0])
            assert allows(part, number) == (reason is None), (field, number, part, reason)
            if reason is not None and alone <= {field}:
                with pytest.raises(ValueError, match=rf"\b{field}\b"):
                    from_dict({"class": name, field: number}, object)


def test_the_numbers_in_a_sequence_have_their_bounds_too() -> None:
    inside = [
        (name, field, item)
        for name, cls in CLASSES.items()
        for field, (hint, _) in keywords(cls).items()
        if bounded(item := item_hint(hint, 0))
    ]
    assert inside
    for name, field, item in inside:
        part = SCHEMA["$defs"][name]["properties"][field]
        (listed,) = [one for one in part.get("anyOf", [part]) if one.get("type") == "array"]
        for kind, bound in bounded(item):
            for number in beside(kind, bound):
                allowed = refusal(CLASSES[name], field, number, item) is None
                assert allows(listed.get("items", listed.get("prefixItems", [{}])[0]), number) == allowed
