"""Which engine runs: hot modules have two builds with the same behaviour, one in Python and a compiled one.

The compiled build of ``x.py`` is ``_x.pyx`` beside it (Cython). It is used where it is there; the environment variable
``SIM_ENGINE`` (``python`` or ``compiled``) chooses one. Everything that a run gives is the same under both
(tests/engine). The compiled modules carry a digest of the sources that they were built from: where the sources are
there too (a clone), a build of other sources is refused.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__all__ = ["COMPILED", "PAIRS", "WHY", "EngineError", "digest_of_sources", "engine_in_words"]

PAIRS = (
    "kernel/event_list",
    "kernel/stream",
    "kernel/timer",
    "message",
    "unchanged",
    "values",
    "network/plain_link",
    "cluster/clock",
    "cluster/cpu",
    "cluster/inbound",
    "cluster/verbs",
)
"""The modules that have a compiled build, below ``sim``."""

_BUILD = "python setup.py build_ext --inplace"


class EngineError(ImportError):
    """``SIM_ENGINE`` asks for an engine that is not there, or compiled modules do not fit their sources."""


def digest_of_sources(folder: Path) -> str | None:
    """A digest of the Cython sources below ``folder`` (that of ``sim``); None where they are not all there."""
    digest = blake2b(digest_size=8)
    for pair in PAIRS:
        source = (folder / pair).with_name("_" + Path(pair).name + ".pyx")
        if not source.exists():
            return None
        for part in (source, source.with_suffix(".pxd")):
            if part.exists():
                digest.update(part.read_bytes())
    return digest.hexdigest()


def _choose(wanted: str | None) -> tuple[bool, str]:
    """Whether the compiled engine runs, and why or why not. Raises `EngineError`."""
    if wanted not in (None, "", "python", "compiled"):
        raise EngineError(f"SIM_ENGINE is python or compiled, not {wanted!r}")
    if wanted == "python":
        return False, "SIM_ENGINE=python"
    folder = Path(__file__).parent
    if not all(_is_built(folder / pair) for pair in PAIRS):
        if wanted == "compiled":
            raise EngineError(f"SIM_ENGINE=compiled, but no compiled engine was built: {_BUILD}")
        return False, "no compiled engine was built"
    present = digest_of_sources(folder)
    if present is not None and present != import_module("sim._message").SOURCES:
        if wanted == "compiled":
            raise EngineError(f"the compiled engine was built from other sources than these: {_BUILD}")
        return False, f"the compiled engine was built from other sources: {_BUILD}"
    return True, "SIM_ENGINE=compiled" if wanted else "it was built"


def _is_built(module: Path) -> bool:
    """Whether there is a compiled build of a module (its path without a suffix)."""
    return any(module.with_name(f"_{module.name}{suffix}").exists() for suffix in EXTENSION_SUFFIXES)


def engine_in_words() -> str:
    """One line: which engine runs, and why. For example "engine: compiled (it was built)"."""
    return f"engine: {'compiled' if COMPILED else 'python'} ({WHY})"


COMPILED, WHY = _choose(os.environ.get("SIM_ENGINE"))
"""Whether the compiled engine runs, and why or why not."""
