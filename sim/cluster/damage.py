"""Damaged records on a disk: checksums show them when the node boots, and the node boots without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["drop_damaged"]


def drop_damaged(image: dict[str, Any], places: Iterable[float]) -> tuple[str, ...]:
    """Drop damaged records from the contents of a disk; returns the names of the fields that lost something.

    ``places``: a number in [0, 1) for each damage, which chooses the record among all that the disk holds. A log loses
    the damaged item and all items after it, because replay ends there; a map loses the key; a value is as if it had
    never been written.
    """
    fields: dict[str, None] = {}
    for place in places:
        records = [(field, record) for field, value in image.items() for record in _records(value)]
        if records:
            field, record = records[int(place * len(records))]
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
