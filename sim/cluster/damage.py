"""Damaged records on a disk: checksums show them when the node boots, and the node boots without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["drop_damaged"]


def drop_damaged(
    image: dict[str, Any],
    places: Iterable[float],
    copies: Iterable[tuple[str, ...]] = (),
    before: Iterable[str] = (),
) -> tuple[str, ...]:
    """Drop damaged records from the contents of a disk; returns the names of the fields that have lost something.

    ``places``: a number in [0, 1) for each damage, which chooses the record among all that the disk holds. A log loses
    the damaged item and all items after it, because replay ends there; a map loses the key; a value is as if it had
    never been written. ``copies``: see `System.copies_on_disk`; damage that would take the last of them does not
    happen. ``before``: the fields that had lost something before, and were not written since.
    """
    copies, fields = tuple(copies), dict.fromkeys(before)
    for place in places:
        records = [(field, record) for field, value in image.items() for record in _records(value)]
        if not records:
            continue
        field, record = records[int(place * len(records))]
        if not any(field in group and {*group} <= {*fields, field} for group in copies):
            fields[field] = None
            _drop(image, field, record)
    return tuple(fields)


def _records(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(range(len(value)))
    return list(value) if isinstance(value, dict) else [None]


def _drop(image: dict[str, Any], field: str, record: Any) -> None:
    value = image[field]
    if isinstance(value, list):
        del value[record:]
    elif isinstance(value, dict):
        del value[record]
    else:
        del image[field]
