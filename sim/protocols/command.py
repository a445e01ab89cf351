"""What clients ask for, and what becomes of it: the words that protocols and applications share."""

from __future__ import annotations

from typing import Any

from sim.message import message, size_of

__all__ = ["NOOP", "STATUSES", "Command", "Result", "check_status"]


@message
class Command:
    """A client's command: ``kind`` of ``key`` with ``value``, number ``sequence`` of ``session``.

    ``value`` is the argument: what to put or append, the amount to increment by, ``(expected, new)`` for cas,
    how many keys to scan.
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
"""What may have become of a command: it happened, it certainly did not, or it is unknown."""


def check_status(where: str, status: Any) -> None:
    """Raise ValueError for a status that no client and no check knows."""
    if not isinstance(status, str) or status not in STATUSES:
        raise ValueError(
            f"{where}: the status must be 'ok' (it happened), 'fail' (it certainly did not) or 'info' (unknown), not "
            f"{status!r}"
        )


NOOP = Command(-1, 0, "noop", "")
"""Does nothing; leaders fill gaps and open terms with it."""


@message
class Result:
    """What became of a command: ``status`` ok or fail, ``value`` read, and any other ``result``."""

    status: str
    value: Any = None
    result: Any = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            check_status("Result", self.status)
