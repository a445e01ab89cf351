"""How results show themselves: the same paragraphs and tables as text for a terminal and as HTML for a notebook.

The HTML has no colours, scripts or files of its own, so that it is readable on light and dark pages alike; what a
result says is always text in it, never markup. Long tables are cut, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = [
    "MOST_ROWS_SHOWN",
    "Block",
    "Displayed",
    "Folded",
    "TextTable",
    "html_of",
    "plain_repr",
    "text_lines",
    "text_of_blocks",
]

MOST_ROWS_SHOWN = 60
"""Rows of a table, or lines of a text, in HTML."""
_MOST_LETTERS = 4000  # of one paragraph in HTML
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

Column = tuple[str, Sequence[str], bool]
"""The head, the cells, and whether the cells are numbers."""


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are texts already. ``title``: a line above it."""

    columns: Sequence[Column]
    title: str = ""

    def text(self) -> str:
        """The table in aligned columns."""
        lines = text_lines(self.columns, "  ", "", lambda width, _: "─" * width)
        return "\n".join([*([self.title] if self.title else []), *lines])


@dataclass(frozen=True)
class Folded:
    """A text for those who look for it: ``title`` alone, in HTML, until it is unfolded."""

    title: str
    rest: str

    def text(self) -> str:
        """Title and text as a sentence."""
        return f"{self.title}: {self.rest}"


Block = str | TextTable


class Displayed:
    """Base of what shows itself in a notebook. By default it shows its ``text()``; that is its ``str``, too."""

    __slots__ = ()

    def __str__(self) -> str:
        return str(self.text())  # type: ignore[attr-defined]

    def blocks(self) -> Sequence[Block]:
        """What it says, as paragraphs and tables."""
        return [str(self)]

    def _repr_html_(self) -> str:
        return html_of(self.blocks())


def plain_repr(value: Any) -> str:
    """The repr of a value without addresses in memory."""
    return _ADDRESS.sub("", repr(value))


def text_of_blocks(blocks: Sequence[Block]) -> str:
    """Paragraphs and tables as text, with an empty line between them."""
    return "\n\n".join(block if isinstance(block, str) else block.text() for block in blocks)


# Text


def text_lines(
    columns: Sequence[Column], joint: str, edge: str, rule: Callable[[int, bool], str]
) -> list[str]:
    """The lines of a table. ``joint``, ``edge``: between and around cells. ``rule``: below a head, by its width."""
    widths = [max(len(head), *(len(cell) for cell in cells)) for head, cells, _ in columns]

    def line(parts: Sequence[str]) -> str:
        return (edge + joint.join(parts) + edge[::-1]).rstrip()

    def pad(text: str, width: int, numbers: bool) -> str:
        return text.rjust(width) if numbers else text.ljust(width)

    numeric = [numbers for *_, numbers in columns]
    # The cells of a column of numbers get equal lengths, so that decimal points and ± are aligned.
    blocks = [
        [cell.ljust(max(map(len, cells))) if numbers else cell for cell in cells]
        for _, cells, numbers in columns
    ]
    heads = [pad(head, width, n) for (head, *_), width, n in zip(columns, widths, numeric, strict=True)]
    rules = [rule(width, n) for width, n in zip(widths, numeric, strict=True)]
    rows = [
        line([pad(cell, width, n) for cell, width, n in zip(cells, widths, numeric, strict=True)])
        for cells in zip(*blocks, strict=True)
    ]
    return [line(heads), line(rules), *rows]


# HTML


def html_of(blocks: Sequence[Block | Folded]) -> str:
    """Paragraphs and tables as HTML."""
    return f"<div>{''.join(map(_block, blocks))}</div>"


def _block(block: Block | Folded) -> str:
    if isinstance(block, TextTable):
        return _table(block)
    if isinstance(block, Folded):
        return f"<details><summary>{escape(block.title)}:</summary>{_paragraph(block.rest)}</details>"
    return _paragraph(block)


def _paragraph(text: str) -> str:
    lines = text.split("\n")
    if len(lines) > MOST_ROWS_SHOWN:
        return "".join(map(_paragraph, _without_middle(lines)))
    if len(lines) == 1:
        more = len(text) - _MOST_LETTERS
        note = _note(f"… {more:,} more letters") if more > 0 else ""
        return f"<p>{escape(text[:_MOST_LETTERS])}{note}</p>"
    if "  " not in text:  # prose
        return f'<p style="white-space:pre-line">{escape(text)}</p>'
    style = "white-space:pre;overflow-x:auto;color:inherit;background:none"
    return f'<pre style="{style}">{escape(text)}</pre>'


def _without_middle(lines: Sequence[str]) -> tuple[str, str, str]:
    """Beginning and end of a long text: a story ends with what broke."""
    last = MOST_ROWS_SHOWN // 3
    first = MOST_ROWS_SHOWN - last
    between = f"… {len(lines) - MOST_ROWS_SHOWN:,} more lines …"
    return "\n".join(lines[:first]), between, "\n".join(lines[-last:])


def _table(table: TextTable) -> str:
    heads = [_cell("th", head, numbers) for head, _, numbers in table.columns]
    cells = zip(*(column for _, column, _ in table.columns), strict=True)
    rows, more = _cut(list(cells))
    numeric = [numbers for *_, numbers in table.columns]
    body = "".join(
        f"<tr>{''.join(_cell('td', cell, n) for cell, n in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    title = f"<p>{escape(table.title)}</p>" if table.title else ""
    head = f'<thead style="border-bottom:1px solid currentColor"><tr>{"".join(heads)}</tr></thead>'
    return (
        f'{title}<div style="overflow-x:auto"><table>{head}<tbody>{body}</tbody></table></div>{_note(more)}'
    )


def _cell(kind: str, text: str, numbers: bool) -> str:
    side = "right" if numbers else "left"
    return f'<{kind} style="text-align:{side};white-space:nowrap">{escape(text.strip())}</{kind}>'


def _cut(rows: Sequence[Any]) -> tuple[Sequence[Any], str]:
    more = len(rows) - MOST_ROWS_SHOWN
    if more <= 0:
        return rows, ""
    return rows[:MOST_ROWS_SHOWN], f"… {more:,} more row{'s' * (more > 1)}"


def _note(text: str) -> str:
    return f"<p><em>{escape(text)}</em></p>" if text else ""
