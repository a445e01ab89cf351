"""Values that came back: their key was written again, or deleted, by a client that knew them.

Two session guarantees (Terry et al., "Session Guarantees for Weakly Consistent Replicated Data", 1994), *monotonic
writes* and *writes follow reads*, as far as the state shows them in which all replicas agree in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sim.recorder import COLUMNS
from sim.system import SafetyViolation

__all__ = ["refuse_returned"]

_JUDGED = frozenset({"get", "put", "delete"})
"""A key on which there were other operations is left out: its value need not be one that a client wrote."""

_Row = Mapping[str, Any]


def refuse_returned(
    rows: Iterable[Sequence[Any]], values: Mapping[str, Mapping[str, Any]], now: float
) -> None:
    """Raise SafetyViolation for a value that a replica holds although a client that knew it has replaced it.

    ``rows``: of the frame ``operations``. ``values``: replica -> key -> value, or a tuple of values side by side.
    A value that was written twice is left out, as nobody can tell which write it is.
    """
    by_key: dict[str, list[_Row]] = {}
    for row in rows:
        operation = dict(zip(COLUMNS["operations"], row, strict=False))
        by_key.setdefault(operation["key"], []).append(operation)
    for replica, held in values.items():
        for key, shown in held.items():
            operations = by_key.get(key, [])
            if all(operation["kind"] in _JUDGED for operation in operations):
                for value in shown if isinstance(shown, tuple | list) else (shown,):
                    for known, write in _replaced(operations, value):
                        _refuse(replica, key, value, known, write, now)


def _replaced(operations: list[_Row], value: Any) -> Iterator[tuple[_Row, _Row]]:
    """The operations by which a client knew a value, each with its acknowledged write that replaced the value."""
    written = [o for o in operations if o["kind"] == "put" and o["value"] == value]
    if value is None or len(written) != 1:
        return
    knew = [o for o in operations if o["kind"] != "delete" and o["value"] == value and o["status"] == "ok"]
    for known in knew:
        for write in operations:
            later = write["process"] == known["process"] and write["called"] >= known["returned"]
            if later and write["kind"] != "get" and write["status"] == "ok" and write is not written[0]:
                yield known, write


def _refuse(replica: str, key: str, value: Any, known: _Row, write: _Row, now: float) -> None:
    how = "wrote" if known["kind"] == "put" else "read"
    raise SafetyViolation(
        "what was replaced stays replaced",
        now,
        tuple(dict.fromkeys((write["client"], replica))),
        (
            f"{write['client']} {how} {value!r} of {key} at {known['called']:.6f} s",
            f"its {write['kind']} at {write['called']:.6f} s succeeded",
            f"{replica} holds {value!r}, and all replicas agree",
        ),
    )
