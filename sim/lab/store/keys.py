"""RunKeys: the identity of a scenario and of the code that ran it. Equal keys and seeds mean equal runs.

A key is a digest of plain data: the written form, how it was run, the version of the package with the digest of its
sources, and the digests of the user's own modules that the scenario names.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from sim.lab.version import code_of, modules_named, unstable, version
from sim.written.texts import unwritten
from sim.written.tree import to_dict

if TYPE_CHECKING:
    from sim.lab.jobs import RunTask

__all__ = ["RunKeys"]


class RunKeys:
    """The keys of jobs, their rows of the table ``scenarios``, and the code that they name (see `code_of`).

    ``resume``: raise ValueError for a scenario that cannot be resumed, because a change of its code could not be seen.
    """

    def __init__(self, resume: bool = False) -> None:
        self._resume = resume
        self.told: dict[str, dict[str, str]] = {}
        self.code: dict[str, str] = {"sim": version()}
        self._known: dict[tuple[int, str], str] = {}

    def of(self, job: RunTask) -> str:
        """The key of a job."""
        same = (id(job.scenario), json.dumps(job.how))
        if same not in self._known:
            columns = self._columns(job)
            key = sha256(
                json.dumps([columns["written"], columns["version"], columns["how"]]).encode()
            ).hexdigest()
            self._known[same] = key
            self.told[key] = columns
        return self._known[same]

    def _columns(self, job: RunTask) -> dict[str, str]:
        import numpy as np

        try:
            tree = to_dict(job.scenario)
        except ValueError as error:
            if self._resume:
                raise ValueError(f"resume needs a scenario with a written form: {error}") from error
            tree = unwritten(error, repr=repr(job.scenario))
        modules = modules_named(tree)
        if self._resume:
            _refuse_unstable(modules)
        own = code_of(modules)
        self.code |= own
        return {
            "version": " ".join([version(), *(f"{name}+{digest[:12]}" for name, digest in own.items())]),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "how": json.dumps(job.how),
            "written": json.dumps(tree, sort_keys=True, ensure_ascii=False),
        }


def _refuse_unstable(modules: Iterable[str]) -> None:
    module = unstable(modules)
    if module is not None:
        raise ValueError(
            f"resume needs systems whose source is a file: {module} has none that lasts, so that a change would "
            "not be seen; put what it defines into a module and import it"
        )
