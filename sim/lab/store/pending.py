"""The remaining runs of a grid, while another process may fill the same store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from sim.lab.store.database import ResultStore

__all__ = ["RunsLeft"]


class RunsLeft:
    """The runs that are not in the store yet and that no other process has claimed (a `sim.lab.work.TaskSource`).

    ``runs``: key and seed of each. ``found``: called for each that another process has finished meanwhile.
    """

    def __init__(
        self,
        store: ResultStore,
        runs: Sequence[tuple[str, int]],
        numbers: Iterable[int],
        frames: bool,
        found: Callable[[int], None],
    ) -> None:
        self._store = store
        self._runs = runs
        self._numbers = deque(numbers)
        self._frames = frames
        self._found = found

    @property
    def left(self) -> bool:
        """Whether some runs are not done yet, by this process or another."""
        return bool(self._numbers)

    def take(self) -> int | None:
        """Claim a run; None if other processes have claimed all remaining runs."""
        for _ in range(len(self._numbers)):
            number = self._numbers.popleft()
            run = self._runs[number]
            if not self._store.claim(*run):
                self._numbers.append(number)
                continue
            # Asked after the claim: the process that had it may have finished and let go just now.
            if self._store.has(*run, self._frames):
                self._store.release(*run)
                self._found(number)
                continue
            return number
        return None
