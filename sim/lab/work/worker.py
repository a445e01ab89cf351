"""A worker: a process that runs one task after another, and ends when its parent does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

import cloudpickle

from sim.lab.work.outcomes import Failure, attempt_sent, packed

__all__ = ["LEAVE", "limits_memory", "work"]

LEAVE = b""
"""Sent instead of a task; it ends the worker. Closing the pipe would not: other workers hold its end open."""

_EXHAUSTED = 3  # exit code of a worker that leaves because its memory ran out


def limits_memory() -> bool:
    """Whether this system can limit the memory of a process (Linux)."""
    return sys.platform == "linux"


def work(connection: Connection, function: bytes, memory: int | None) -> None:
    """Run the tasks that arrive, until the other end of the pipe closes.

    ``function``: called by each task. ``memory``: bytes that a run may use beyond the worker's memory at its start.
    """
    # Ctrl-C reaches all processes of a terminal; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    call = cloudpickle.loads(function)
    if memory is not None:
        _limit(memory)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, OSError):
            return
        if task == LEAVE:
            return
        outcome = attempt_sent(call, task)
        if isinstance(outcome, Failure) and outcome.exhausted and memory is not None:
            outcome = Failure(f"it took more than {memory / 1e6:g} MB of memory", exhausted=True)
        connection.send_bytes(packed(outcome))
        if isinstance(outcome, Failure) and outcome.exhausted:
            # The state of the memory is unknown now: the next run gets a new process.
            os._exit(_EXHAUSTED)


def _end_with_the_parent() -> None:
    """End this process when its parent ends: a parent that is killed cannot end its workers."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _limit(memory: int) -> None:
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
