"""Dask: workers on several machines. The scheduler and all workers must have this version of sim.

Only this file uses Dask. For all other files it is an executor that may be lost, and that says how many tasks it runs
at the same time.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sim.lab.version import version

__all__ = ["ClusterWatch", "connected", "watch_of"]

_CONNECT = 10.0  # real seconds to wait for a scheduler, and for a first worker
_DESERTED = 60.0  # real seconds without any worker, after which a cluster counts as lost


class ClusterWatch:
    """Watches a Dask client: its number of slots, and whether it is still connected."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._workers_seen = time.monotonic()

    @property
    def slots(self) -> int:
        """The number of tasks that the workers run at the same time; at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def lost(self) -> str | None:
        """Why the cluster is lost; None while it is connected."""
        if self._client.status != "running":
            return f"the scheduler is gone (the connection is {self._client.status})"
        if self._client.scheduler_info(n_workers=-1)["workers"]:
            self._workers_seen = time.monotonic()
        elif time.monotonic() - self._workers_seen > _DESERTED:
            return f"the cluster has had no worker for {_DESERTED:g} s"
        return None

    def refuse_other_versions(self) -> None:
        """Raise ValueError if the scheduler or a worker has another version of sim, or none."""
        here = version()
        found = {"the scheduler": _asked(self._client.run_on_scheduler)}
        answers = self._client.run(version, on_error="return")
        found |= {f"the worker {name}": _told(answer) for name, answer in answers.items()}
        for who, there in found.items():
            if there != here:
                raise ValueError(
                    f"{who} has {there}, and this process sim {here}: install the same on all machines"
                )


def _asked(run: Any) -> str:
    try:
        return _told(run(version))
    except Exception as error:
        return _told(error)


def _told(answer: Any) -> str:
    return f"no sim that can be used ({answer})" if isinstance(answer, BaseException) else f"{answer}"


def watch_of(executor: Executor) -> ClusterWatch | None:
    """The helper that manages an executor of Dask; None for other executors."""
    client = getattr(executor, "_client", None)
    return ClusterWatch(client) if type(executor).__module__.partition(".")[0] == "distributed" else None


_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+:\d+")


@contextmanager
def connected(address: str) -> Iterator[Executor]:
    """The executor of the scheduler at an address (``tcp://host:8786``).

    Raises ValueError if the extra ``cluster`` is not installed, and if no scheduler answers.
    """
    if find_spec("distributed") is None:
        raise ValueError(f'--dask {address} needs Dask: pip install "quorumlab[cluster]"')
    if not _ADDRESS.fullmatch(address):  # Dask would try for seconds, and print errors at the exit
        raise ValueError(f"--dask {address}: a scheduler's address is tcp://host:8786 (or tls://)")
    distributed: Any = import_module("distributed")
    # One line here says that a scheduler is gone.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client: Any = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        why = str(error).split("\n")[0] or type(error).__name__
        raise ValueError(f"no Dask scheduler answers at {address} ({why}); write tcp://host:8786") from error
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close(timeout=1.0)
