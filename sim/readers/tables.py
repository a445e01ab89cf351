"""Reading tables as programs and spreadsheets write them: CSV with a header; errors name file, line and column.

The header decides the separator: comma, semicolon or tab, whichever it has most often; a first line ``sep=;`` (Excel)
is obeyed. A comma inside a number is a decimal comma. Byte order marks, blank lines, lines of empty cells, and empty
cells that pad a line or the header do no harm; any other cell too many, or one too few, is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from os import PathLike
from pathlib import Path

from sim.readers.text import encoding_of, readable

__all__ = ["CsvLine", "figure", "number", "number_at", "read_csv"]

_SEPARATORS = (",", ";", "\t")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


class CsvLine(dict[str, str]):
    """One line of a table: column -> text.

    ``where`` is the file and the line, for error messages; ``separator`` is what separates the cells.
    """

    def __init__(self, where: str, cells: dict[str, str], separator: str = ",") -> None:
        super().__init__(cells)
        self.where = where
        self.separator = separator


def _separator_of(header: str) -> str:
    """The separator of a header: comma, semicolon or tab, whichever is there most often."""
    return max(_SEPARATORS, key=header.count)


def read_csv(path: str | PathLike[str], check: Callable[[Sequence[str]], None]) -> Iterator[CsvLine]:
    """The lines of a table with a header, blank lines left out.

    ``check`` is first called with the columns; it may raise ValueError. Raises ValueError with the name of the file,
    and the line where possible, when the file cannot be read, is not a table, or a line has too few or too many
    cells.
    """
    line = 0
    try:
        with readable(path), Path(path).open(newline="", encoding=encoding_of(path)) as file:
            first = file.readline()
            told = re.fullmatch(r"sep=(.)\s*", first)
            separator = told[1] if told else _separator_of(first)
            skipped = 1 if told else 0
            if not told:
                file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=separator)
            columns = [name.strip() for name in next(reader, [])]
            while columns and not columns[-1]:
                columns.pop()
            line = reader.line_num + skipped
            try:
                check(columns)
            except ValueError as error:
                raise ValueError(f"{path}, line {line or 1}: {error}") from None
            for raw in reader:
                line = reader.line_num + skipped
                cells = [cell.strip() for cell in raw]
                if not any(cells):
                    continue
                where = f"{path}, line {line}"
                while len(cells) > len(columns) and not cells[-1]:
                    cells.pop()
                if len(cells) != len(columns):
                    raise ValueError(f"{where}: {len(columns)} cells are needed, not {len(cells)}: {raw!r}")
                yield CsvLine(where, dict(zip(columns, cells, strict=True)), separator)
    except csv.Error as error:
        raise ValueError(f"{path}, line {line + 1}: {error}") from None


def number(text: str, separator: str = ",") -> float:
    """The number that a cell holds; a comma in it is a decimal comma. NaN if the cell holds no number.

    Raises ValueError for a comma that may separate thousands: three digits follow it, and cells are not separated
    by semicolons.
    """
    text = text.replace("\u00a0", "").replace("\u202f", "")
    if separator != ";" and _THOUSANDS.fullmatch(text):
        raise ValueError(f"{text!r} may be a decimal comma or thousands: write it with a point")
    if _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return float(text) if "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def figure(line: CsvLine, column: str, *, zero: bool = True) -> float:
    """The number in a column: finite and > 0, or >= 0 with ``zero``. Else raises ValueError with file and line."""
    return number_at(
        f"{line.where}, column {column!r}",
        line[column],
        line.separator,
        "a number >= 0" if zero else "a number > 0",
        lambda value: isfinite(value) and (value > 0.0 or (zero and value == 0.0)),
    )


def number_at(where: str, text: str, separator: str, needed: str, fits: Callable[[float], bool]) -> float:
    """The number that a cell holds. Raises ValueError with ``where`` and ``needed`` unless it is one that fits."""
    try:
        value = number(text, separator)
    except ValueError as error:
        raise ValueError(f"{where}: {needed} is needed; {error}") from None
    if not fits(value):
        raise ValueError(f"{where}: {needed} is needed, not {text!r}")
    return value
