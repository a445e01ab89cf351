"""The sizes of charts: for a notebook, for a slide, for a column of a paper. One of them holds at a time.

A slide is drawn small, so that it is shown large: text of 9 points on 2.7 inches of height is 25 points on a screen of
7.5 inches. A column is drawn at its own width, because a publisher prints it as it is. Widths of columns: ACM, acmart
2.x, `sigconf` (columns of 241.1 pt, text of 506.3 pt); IEEE, "Preparation of Papers", figures of 3.5 and 7.16 inches;
USENIX, templates for conference papers (text of 7 inches, a gap of 0.33 inches).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

from sim.arguments import checked

__all__ = ["Look", "StyleName", "Venue", "look", "style"]

StyleName = Literal["notebook", "slide", "paper"]
Venue = Literal["acm", "ieee", "usenix"]

_COLUMNS: dict[Venue, tuple[float, float]] = {"acm": (3.34, 7.0), "ieee": (3.5, 7.16), "usenix": (3.33, 7.0)}
"""Inches of one column, and of both together."""

_WIDE, _SLIDE = 16 / 9, 2.7
_USUAL = 3.6  # inches: the height of a chart whose rows do not ask for more


@dataclass(frozen=True, slots=True)
class Look:
    """How charts are drawn.

    ``column``: inches, of a paper. ``pixels``: how wide a picture is, whatever its inches are; 0: by ``dpi``.
    """

    name: StyleName = "notebook"
    column: float = 0.0
    pixels: int = 0
    dpi: float = 200.0

    @property
    def text(self) -> float:
        """Points of the labels of axes and of titles."""
        return 8.0 if self.name == "paper" else 9.0

    @property
    def small(self) -> float:
        """Points of the labels of ticks and of legends."""
        return self.text - 1.0

    @property
    def direct(self) -> bool:
        """Whether lines carry their names at their ends, where they fit, instead of a legend."""
        return self.name == "slide"

    @property
    def hatched(self) -> bool:
        """Whether bars have hatches, which a grey print keeps apart."""
        return self.name == "paper"

    def size(self, width: float, height: float | None, usual: float = _USUAL) -> tuple[float, float]:
        """Width and height of a new figure in inches; ``height``: what its rows need, None: as is ``usual``."""
        if self.name == "slide":
            tall = max(_SLIDE, _SLIDE / _USUAL * (usual if height is None else height))
            return _WIDE * tall, tall
        if self.name == "paper":
            return self.column, 0.7 * self.column * usual / _USUAL if height is None else height
        return width, usual if height is None else height

    def dpi_of(self, width: float) -> float:
        """Dots an inch of a picture of this width in inches."""
        return self.pixels / width if self.pixels else self.dpi


class _Chosen:
    """The look that holds. Not a ContextVar: a notebook may run each cell in a context of its own."""

    look = Look()


@checked
def look() -> Look:
    """The look that holds."""
    return _Chosen.look


class _Until:
    """What `style` returns: as a context manager it brings the look back that held before."""

    def __init__(self, before: Look) -> None:
        self._before = before

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        _Chosen.look = self._before


@checked
def style(name: StyleName = "notebook", *, venue: Venue | None = None, columns: Literal[1, 2] = 1) -> _Until:
    """Draw all further charts for a notebook, a slide or a paper; as a context manager, those in its block.

    Args:
        name: "notebook"; "slide": 16:9, readable from the last row, names at the ends of lines where they fit; "paper":
            as wide as a column, with hatches that a grey print keeps apart.
        venue: of a paper: "acm" (the default), "ieee" or "usenix".
        columns: of a paper: how many columns wide.

    Raises:
        ValueError: `venue` or `columns` for another style than "paper".
    """
    if name != "paper" and (venue is not None or columns != 1):
        given = f"venue={venue!r}" if venue is not None else f"columns={columns}"
        raise ValueError(f"{given} is for a paper: write style('paper', {given})")
    before = _Chosen.look
    made = Look(name)
    if name == "paper":
        made = replace(made, column=_COLUMNS[venue or "acm"][columns - 1], dpi=300.0)
    elif name == "slide":
        made = replace(made, pixels=1920)
    _Chosen.look = made
    return _Until(before)
