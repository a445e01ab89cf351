"""A reader's note on a file: how it recognised the format, and what it used and ignored."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Note", "counted"]


@dataclass(frozen=True, slots=True)
class Note:
    """A reader's account of one file.

    Attributes
    ----------
    source:
        The name of the file or folder.
    form:
        The form of the file, in words, and how it was recognised.
    took:
        What the values were made of: rows, pairs, units, guesses.
    left:
        What is in the file and was not used.
    """

    source: str
    form: str
    took: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        left = f"; left: {', '.join(self.left)}" if self.left else ""
        return f"{self.source}: {self.form}; took: {', '.join(self.took) or 'nothing'}{left}"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
