"""Commands of clients and their results: the types that protocols and applications share."""

from __future__ import annotations

from typing import Any

from sim.message import message, size_of

__all__ = ["NOOP", "STATUSES", "Command", "Result", "check_status"]


@message
class Command:
    """A client's command: ``kind`` of ``key`` with ``value``, number ``sequence`` of ``session``.

    ``value`` is the argument: the value to put or append, the amount of an increment, ``(expected, new)`` for cas,
    the number of keys to scan.
    ``size`` adds to the bytes of the value, for workloads with value sizes.
    """

    session: int
    sequence: int
    kind: str
    key: str
    value: Any = None
    size: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire: session, sequence, one byte of kind, key, value."""
        return 17 + len(self.key) + size_of(self.value) + self.size


STATUSES = frozenset({"ok", "fail", "info"})
"""The statuses of a command: it happened, it certainly did not happen, or the outcome is unknown."""


def check_status(where: str, status: Any) -> None:
    """Raise ValueError unless the status is one of `STATUSES`."""
    if not isinstance(status, str) or status not in STATUSES:
        raise ValueError(
            f"{where}: the status must be 'ok' (it happened), 'fail' (it certainly did not) or 'info' (unknown), not "
            f"{status!r}"
        )


NOOP = Command(-1, 0, "noop", "")
"""A command without effect; leaders use it to fill gaps and to begin a term."""


@message
class Result:
    """The result of a command: its ``status``, the ``value`` read, and any other ``result``."""

    status: str
    value: Any = None
    result: Any = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            check_status("Result", self.status)
