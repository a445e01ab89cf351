"""Sources of tasks: a list of numbers, or one that skips the tasks that other processes do at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

__all__ = ["PATIENCE", "Listed", "TaskSource"]

PATIENCE = 0.1
"""Real seconds until a source that has no task now is asked again."""


class TaskSource(Protocol):
    """Gives the numbers of the tasks to do, one at a time."""

    @property
    def left(self) -> bool:
        """Whether there may be more."""

    def take(self) -> int | None:
        """The next task; None if there is none now (with `left`, ask again later)."""


class Listed:
    """The tasks of a list, in its order."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = deque(numbers)

    @property
    def left(self) -> bool:
        """Whether there are more."""
        return bool(self._numbers)

    def take(self) -> int | None:
        """The next task; None if none is left."""
        return self._numbers.popleft() if self._numbers else None
