"""Samples that have been measured, one JSON line a batch in a file, so that a validation can go on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.validation.form import Estimate, Figures

__all__ = ["FILE", "KeptSamples"]

FILE = "samples.jsonl"


class KeptSamples:
    """The samples in a folder, by key. Those of another version of the code are not found.

    ``folder``: None keeps nothing. ``resume``: go on with the file that is there; otherwise begin a new one. Raises
    ValueError for a file that is there without ``resume``, and for ``resume`` without a file.
    """

    def __init__(self, folder: Path | None, resume: bool, version: str) -> None:
        self._file = None if folder is None else folder / FILE
        self._version = version
        self._known: dict[str, tuple[list[Figures], float]] = {}
        if self._file is None:
            return
        there = self._file.exists()
        if there and not resume:
            raise ValueError(f"{str(self._file)!r} is there already: resume, or name another folder")
        if resume and not there:
            raise ValueError(f"there is no {str(self._file)!r} to go on with")
        if there:
            self._read(self._file)

    def _read(self, file: Path) -> None:
        whole, _, torn = file.read_text(encoding="utf-8").rpartition("\n")
        for line in whole.splitlines():
            row = json.loads(line)
            if row["version"] == self._version:
                self._known[row["key"]] = ([_read(sample) for sample in row["samples"]], row["seconds"])
        if torn:  # the process was killed while it wrote this line
            file.write_text(f"{whole}\n" if whole else "", encoding="utf-8")

    def get(self, key: str) -> tuple[list[Figures], float] | None:
        """The samples of a batch and its CPU seconds; None if they have not been measured."""
        return self._known.get(key)

    def keep(self, key: str, samples: Sequence[Figures], seconds: float) -> None:
        """Keep the samples of a batch."""
        if self._file is None:
            return
        row = {
            "key": key,
            "version": self._version,
            "seconds": seconds,
            "samples": [_written(sample) for sample in samples],
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def done(self) -> None:
        """All is measured and told elsewhere: the file is not needed any more."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def _written(sample: Figures) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, Estimate) else value for name, value in sample.items()}


def _read(sample: Mapping[str, Any]) -> Figures:
    return {name: Estimate(*value) if isinstance(value, list) else value for name, value in sample.items()}
