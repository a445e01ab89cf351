"""Rows of the frame ``messages``, packed: seven numbers a row, and each text once.

A traced run has a row for each message. As a tuple with its numbers, a row takes 200 bytes in new places of memory,
which costs more time than all else about it. The compiled links write the numbers of a row themselves. The engine in
Python has a plain list instead: it is quicker to make a tuple there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import starmap
from struct import Struct
from typing import Any, Self

__all__ = ["WIDTH", "PackedRows"]

MessageTuple = tuple[Any, ...]
"""(kind, source, destination, sent, delivered, fate, bytes), as in `sim.recorder.COLUMNS`."""

WIDTH = 7
"""Numbers of a row: sent, delivered, bytes, and those of its texts: fate, kind, source, destination."""

_FATES = ("delivered", "crashed", "lost")  # 0, 1, 2: the compiled links write these numbers
_EXACT = 2**53  # integers up to this are doubles exactly
_USUAL = (float, float, int)
_pack = Struct(f"{WIDTH}d").pack


class _Numbers(dict[str, int]):
    """Text -> its number in a list of texts, which gets those that are new."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__((text, number) for number, text in enumerate(texts))
        self._texts = texts

    def __missing__(self, text: str) -> int:
        self._texts.append(text)
        self[text] = number = len(self)
        return number


class PackedRows:
    """A list of such rows, as far as a `Recorder` needs one.

    Attributes
    ----------
    numbers: those of all rows. texts: all texts, by number. odd: position -> a row whose times and bytes are not two
    floats and an int. Times keep the type they are given in.
    """

    def __init__(self) -> None:
        self.numbers = array("d")
        self._add = self.numbers.frombytes  # a tuple of numbers would take twice as long
        self.texts = [*_FATES]
        self.odd: dict[int, MessageTuple] = {}
        self._number_of = _Numbers(self.texts)

    def number_of(self, text: str) -> int:
        """The number of a text."""
        return self._number_of[text]

    def append(self, row: MessageTuple) -> None:
        """Add a row at the end."""
        kind, src, dst, sent, delivered, fate, size = row
        kinds = (sent.__class__, delivered.__class__, size.__class__)
        if kinds == _USUAL and -_EXACT <= size <= _EXACT:
            number = self._number_of
            self._add(_pack(sent, delivered, size, number[fate], number[kind], number[src], number[dst]))
        else:
            self.odd[len(self)] = row
            self.numbers.extend([0.0] * WIDTH)

    def __iadd__(self, rows: Iterable[MessageTuple]) -> Self:
        for row in rows:
            self.append(row)
        return self

    def __len__(self) -> int:
        return len(self.numbers) // WIDTH

    def __iter__(self) -> Iterator[MessageTuple]:
        each = iter(self.numbers)
        return starmap(self._row, enumerate(zip(*(each,) * WIDTH, strict=True)))

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [*self][at]
        place = range(len(self))[at]
        return self._row(place, self.numbers[WIDTH * place : WIDTH * (place + 1)])

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, PackedRows | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _row(self, at: int, numbers: Iterable[float]) -> MessageTuple:
        if at in self.odd:
            return self.odd[at]
        sent, delivered, size, fate, kind, src, dst = numbers
        texts = self.texts
        return (
            texts[int(kind)],
            texts[int(src)],
            texts[int(dst)],
            sent,
            delivered,
            texts[int(fate)],
            int(size),
        )

    def __delitem__(self, end: slice) -> None:
        """Delete the rows from a position on: ``del rows[5:]``."""
        del self.numbers[WIDTH * end.start :]
        self.odd = {at: row for at, row in self.odd.items() if at < end.start}
