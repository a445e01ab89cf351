"""A reader of EDN, the data notation of Clojure: numbers are exact, and an error names line and column.

Source: github.com/edn-format/edn. The only maintained library on PyPI, ``edn_format``, does not say the line and
column of an error, and needs a parser generator; histories use only a small part of EDN.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["Keyword", "Symbol", "Tagged", "parse_edn"]

_TOKEN = re.compile(
    r"""(?P<blank>[\s,]+|;[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<discard>\#_)
      | (?P<open>\#\{|[\[({])
      | (?P<close>[\])}])
      | (?P<char>\\(?:newline|space|tab|return|u[0-9a-fA-F]{4}|\S))
      | (?P<tag>\#[A-Za-z][\w./*+!?<>=$%&-]*)
      | (?P<atom>[^\s,;"\\()\[\]{}]+)""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?\d+N?")
_FLOAT = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?")
_RATIO = re.compile(r"([+-]?\d+)/(\d+)")
_CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_WORDS = {"nil": None, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_CHARS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
_DEEPEST = 200


class Keyword(str):
    """A keyword without its colon."""

    __slots__ = ()


class Symbol(str):
    """A symbol."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag (without its ``#``) and the value behind it."""

    tag: str
    value: Any


_END = object()  # the text, or a collection, ends


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._at = 0
        self._items: list[int] = []  # where the items of an outermost list begin
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def line(self, at: int) -> int:
        return bisect_right(self._starts, at)

    def error(self, at: int, what: str) -> ValueError:
        line = self.line(at)
        return ValueError(f"{self._name}, line {line}, column {at - self._starts[line - 1] + 1}: {what}")

    def values(self) -> Iterator[tuple[int, Any]]:
        while True:
            self._items.clear()
            value, at = self._next("", 0)
            if value is _END:
                return
            if isinstance(value, list):
                yield from zip(map(self.line, self._items), value, strict=True)
            else:
                yield self.line(at), value

    def _next(self, closing: str, depth: int) -> tuple[Any, int]:
        """The next value and where it begins; `_END` at ``closing`` (at the end of the text, if that is "")."""
        if depth > _DEEPEST:
            raise self.error(self._at, "too deeply nested")
        while self._at < len(self._text):
            at = self._at
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise self.error(at, f"EDN is needed, not {self._text[at : at + 20]!r}")
            self._at = match.end()
            kind, token = str(match.lastgroup), match[0]
            if kind == "blank":
                continue
            if kind == "close":
                if token != closing:
                    raise self.error(at, f"{token!r} closes nothing")
                return _END, at
            if kind == "discard":
                self._needed(at, closing, depth)
                continue
            return self._value(kind, token, at, depth), at
        if closing:
            raise self.error(self._at, f"{closing!r} is missing")
        return _END, self._at

    def _needed(self, at: int, closing: str, depth: int) -> Any:
        value, _ = self._next(closing, depth + 1)
        if value is _END:
            raise self.error(at, "a value is missing")
        return value

    def _value(self, kind: str, token: str, at: int, depth: int) -> Any:
        if kind == "open":
            return self._collection(token, at, depth)
        if kind == "string":
            return re.sub(
                r"\\(u[0-9a-fA-F]{4}|.)", lambda m: self._escape(m[1], at), token[1:-1], flags=re.DOTALL
            )
        if kind == "char":
            return _CHARS.get(token[1:]) or (chr(int(token[2:], 16)) if len(token) == 6 else token[1:])
        if kind == "tag":
            return Tagged(token[1:], self._needed(at, "", depth))
        return self._atom(token, at)

    def _escape(self, code: str, at: int) -> str:
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise self.error(at, f"\\{code} in a string means nothing")
        return _ESCAPES[code]

    def _collection(self, opening: str, at: int, depth: int) -> Any:
        items = []
        while True:
            value, begun = self._next(_CLOSING[opening], depth + 1)
            if value is _END:
                break
            items.append(value)
            if depth == 0:
                self._items.append(begun)
        if opening != "{":
            return items
        if depth == 0:
            self._items.clear()
        if len(items) % 2:
            raise self.error(at, "a map needs a value for each key")
        try:
            return dict(zip(items[::2], items[1::2], strict=True))
        except TypeError:
            raise self.error(at, "a map with collections as keys is not read") from None

    def _atom(self, token: str, at: int) -> Any:
        if token in _WORDS:
            return _WORDS[token]
        if token[0] == ":" and len(token) > 1:
            return Keyword(token[1:])
        if _INTEGER.fullmatch(token):
            return int(token.rstrip("N"))
        if _FLOAT.fullmatch(token):
            return float(token.rstrip("M"))
        ratio = _RATIO.fullmatch(token)
        if ratio and int(ratio[2]):
            return Fraction(int(ratio[1]), int(ratio[2]))
        if token[0].isdigit() or token[0] in "#:":
            raise self.error(at, f"EDN is needed, not {token!r}")
        return Symbol(token)


def parse_edn(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """The values of a text one after the other, each with the line on which it begins; an outermost list is spread.

    Lists, vectors and sets are lists; keywords are strings (`Keyword`). Raises ValueError with name, line and column.
    """
    return _Reader(name, text).values()
