"""The examples of the project: of the checkout, or those that the wheel brings along."""

from __future__ import annotations

from pathlib import Path

import sim

__all__ = ["example", "refuse_full"]


def example(name: str) -> Path:
    """The folder of an example. Raises ValueError, with the places, if it is missing."""
    package = Path(sim.__file__).resolve().parent
    places = [package.parent / "examples" / name, package / "examples" / name]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise ValueError(f"the example {name!r} is missing: it is in none of {', '.join(map(str, places))}")
    return found


def refuse_full(folder: Path) -> None:
    """Raise ValueError for a folder that holds something, and for a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is not empty: name a folder that is not there yet")
