"""Reading CSV files of numbers; errors name the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from os import PathLike
from pathlib import Path

__all__ = ["CsvLine", "figure", "read_csv"]


class CsvLine(dict[str, str]):
    """One line of a CSV file: column -> text; ``where`` is the file and the line, for error messages."""

    def __init__(self, where: str, cells: dict[str, str]) -> None:
        super().__init__(cells)
        self.where = where


def read_csv(path: str | PathLike[str], check: Callable[[Sequence[str]], None]) -> Iterator[CsvLine]:
    """The lines of a CSV file with a header, blank lines left out.

    ``check`` is first called with the columns; it may raise ValueError. Raises ValueError with the name of the file,
    and the line where possible, when the file cannot be read, is not CSV in UTF-8, or a line has too few or too many
    cells.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            try:
                check(columns)
            except ValueError as error:
                raise ValueError(f"{path}, line 1: {error}") from None
            for cells in reader:
                if not cells:
                    continue
                where = f"{path}, line {reader.line_num}"
                if len(cells) != len(columns):
                    raise ValueError(f"{where}: {len(columns)} cells are needed, not {len(cells)}: {cells!r}")
                yield CsvLine(where, dict(zip(columns, (cell.strip() for cell in cells), strict=True)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def figure(line: CsvLine, column: str, *, zero: bool = True) -> float:
    """The number in a column: finite and > 0, or >= 0 with ``zero``. Else raises ValueError with file and line."""
    text = line[column]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and (value > 0.0 or (zero and value == 0.0))):
        needed = "a number >= 0" if zero else "a number > 0"
        raise ValueError(f"{line.where}, column {column!r}: {needed} is needed, not {text!r}")
    return value
