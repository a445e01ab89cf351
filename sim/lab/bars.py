"""Progress bars (tqdm): of many runs, and of simulated time inside a long one."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

__all__ = ["RunsBar", "TimeBar", "in_notebook"]

_SHOWN_AFTER = 2.0  # real seconds after which a single run shows a bar
_LOGGED_EVERY = 30.0  # real seconds between two lines of a bar that goes to a file
_PERIOD = 0.25  # real seconds between two looks at the simulated time


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def _tqdm() -> Any:
    """The bar for this terminal or notebook; in a notebook without widgets one made of text, without a warning.

    A bar of text obeys the variable TQDM_DISABLE; a bar of widgets does not, so that there is none where it is set.
    """
    if in_notebook() and (find_spec("ipywidgets") is None or os.environ.get("TQDM_DISABLE")):
        return import_module("tqdm").tqdm
    return import_module("tqdm.auto").tqdm


class RunsBar:
    """A bar that counts finished runs, with their rate and the time that is left.

    ``title``: None for no bar. ``done``: how many had finished before.
    """

    def __init__(self, title: str | None, total: int, done: int = 0) -> None:
        self._bar: Any = None
        self._failed = 0
        if title is not None:
            seen = sys.stderr.isatty() or in_notebook()
            every = 0.1 if seen else _LOGGED_EVERY
            self._bar = _tqdm()(
                total=total, initial=done, desc=title, unit="run", leave=False, mininterval=every
            )

    def __enter__(self) -> RunsBar:
        return self

    def advance(self, failed: bool = False) -> None:
        """One more run has finished, or failed."""
        if self._bar is not None:
            if failed:
                self._failed += 1
                self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
            self._bar.update(1)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class TimeBar:
    """Shows the progress of simulated time on a terminal, for a run that takes longer than two seconds.

    A thread reads the clock of the run. The run itself does not know about the thread, so a bar does not change the
    run. The workers of a sweep show no bar, because the sweep has one.

    ``clock``: returns the simulated time (seconds). ``end``: the end of the run (simulated seconds).
    """

    def __init__(self, clock: Callable[[], float], end: float) -> None:
        self._clock = clock
        self._end = end
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        if (sys.stderr.isatty() or in_notebook()) and multiprocessing.parent_process() is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        begin = self._clock()
        if self._over.wait(_SHOWN_AFTER):
            return
        shape = "simulating {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s simulated [{elapsed}<{remaining}]"
        with _tqdm()(total=self._end - begin, bar_format=shape, leave=False) as bar:
            while not self._over.wait(_PERIOD):
                bar.update(self._clock() - begin - bar.n)
