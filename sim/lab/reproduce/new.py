"""A folder for a paper, to begin with: protocol, baselines, three figures, and what is needed to run it again."""

from __future__ import annotations

from pathlib import Path

from sim.lab.examples import example, refuse_full
from sim.lab.reproduce.record import environment

__all__ = ["new_paper"]

_CONSTRAINTS = "constraints.txt"


def new_paper(folder: Path | str) -> list[Path]:
    """Write ``examples/paper`` into a folder that is new or empty, with the versions of this machine.

    Returns the paths.

    Raises ValueError for a folder that holds something.
    """
    files = [file for file in sorted(example("paper").iterdir()) if file.is_file()]
    home = Path(folder)
    refuse_full(home)
    home.mkdir(parents=True, exist_ok=True)
    for file in files:
        text = _constraints() if file.name == _CONSTRAINTS else file.read_text(encoding="utf-8")
        (home / file.name).write_text(text, encoding="utf-8")
    return [home / file.name for file in files]


def _constraints() -> str:
    versions = environment()
    lines = [f"{name}=={versions[name]}" for name in ("quorumlab", "numpy", "pandas")]
    return "\n".join([f"# Python {versions['python']}, {versions['processor']}", *lines, ""])
