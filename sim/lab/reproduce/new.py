"""A folder for a paper, to begin with: protocol, baselines, three figures, and what is needed to run it again."""

from __future__ import annotations

from pathlib import Path

import sim
from sim.lab.reproduce.record import environment

__all__ = ["new_paper"]

_CONSTRAINTS = "constraints.txt"


def new_paper(folder: Path | str) -> list[Path]:
    """Write ``examples/paper`` into a folder that is new or empty, with the versions of this machine.

    Returns the paths.

    Raises ValueError for a folder that holds something.
    """
    home = Path(folder)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ValueError(f"{str(home)!r} is not empty: name a folder that is not there yet")
    home.mkdir(parents=True, exist_ok=True)
    files = [file for file in sorted(_example().iterdir()) if file.is_file()]
    for file in files:
        text = _constraints() if file.name == _CONSTRAINTS else file.read_text(encoding="utf-8")
        (home / file.name).write_text(text, encoding="utf-8")
    return [home / file.name for file in files]


def _example() -> Path:
    """The example of the checkout, or the one that the wheel brings along."""
    package = Path(sim.__file__).resolve().parent
    places = [package.parent / "examples" / "paper", package / "examples" / "paper"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise ValueError(f"the example of a paper is missing: it is in none of {', '.join(map(str, places))}")
    return found


def _constraints() -> str:
    versions = environment()
    lines = [f"{name}=={versions[name]}" for name in ("quorumlab", "numpy", "pandas")]
    return "\n".join([f"# Python {versions['python']}, {versions['processor']}", *lines, ""])
