"""A scenario as TOML with comments: every field with its meaning, its unit, the values that it takes, its default."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim.written.fields import described_with_bounds, in_words, meanings
from sim.written.hints import implied, keywords
from sim.written.names import ROOMS
from sim.written.texts import toml_key, toml_value
from sim.written.tree import to_dict, to_tree

__all__ = ["commented_toml", "defaults_of"]

_WIDTH = 110
_LONGEST = 90  # characters of a default that is shown; a longer one is described by its field
_IN_TOML = {
    "a tuple of values": "an array",
    "True or False": "true or false",
    "a mapping": "a table",
    "'": '"',
}


def commented_toml(scenario: Any, head: Sequence[str] = ()) -> str:
    """A scenario as TOML that reads back as the same scenario, with comments for a person who changes it.

    A field that has its default is a comment, too: ``#warmup = 0.0``. ``head``: the first lines.
    """
    return "\n".join([*head, *_section(scenario, to_dict(scenario), ())]).strip() + "\n"


def defaults_of(value: Any) -> list[str]:
    """The fields of a value that have their defaults and were not given."""
    fresh, given = _fresh(type(value)), getattr(value, "given", ())
    return [
        name
        for name, (_, default) in keywords(type(value)).items()
        if name not in given and _is(getattr(value, name), getattr(fresh, name, default))
    ]


def _fresh(cls: Any) -> Any:
    """An instance of a class of which nothing was given; None where something must be given."""
    try:
        return cls()
    except (TypeError, ValueError):
        return None


def _is(held: Any, default: Any) -> bool:
    try:
        return bool(held == default)
    except (TypeError, ValueError):  # arrays
        return False


def _section(value: Any, tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The fields of a value; first those that are no section of their own. ``tree``: its written form."""
    cls = type(value)
    known, explained, usual = keywords(cls), meanings(cls), defaults_of(value)
    parts = [name for name, (hint, _) in known.items() if _has_section(value, name, hint, name in usual)]
    if path and not all(name in explained for name in known):
        yield from _wrapped(in_words(cls))
    if path and "class" in tree:
        yield f"class = {toml_value(tree['class'])}"
    said = ""
    for name, (hint, default) in known.items():
        if name not in parts:
            text = explained.get(name, "")
            yield from ("", *_wrapped("" if text == said else text), *_wrapped(_allowed(hint, default)))
            yield _line(name, {} if name in usual else tree, hint, default)
            said = text
    for name in parts:
        yield from ("", "", *_wrapped(explained.get(name, "")), *_part(value, (*path, name)))


def _has_section(owner: Any, name: str, hint: Any, usual: bool) -> bool:
    """Whether a field is a section of its own: a part of a scenario, or a value whose class goes without saying."""
    held = getattr(owner, name)
    if isinstance(held, tuple | list):
        return bool(held) and name in ROOMS
    if not dataclasses.is_dataclass(held):
        return False
    return name in ROOMS or (
        implied(hint) is type(held) and not (usual and len(toml_value(to_tree(held))) > _LONGEST)
    )


def _part(owner: Any, path: tuple[str, ...]) -> Iterator[str]:
    name = path[-1]
    held, hint = getattr(owner, name), keywords(type(owner))[name][0]
    head = ".".join(map(toml_key, path))
    if isinstance(held, tuple | list):
        for entry in held:
            yield from (f"[[{head}]]", *_section(entry, to_tree(entry, name), path))
        return
    written = to_tree(held, name)
    if implied(hint) is type(held):
        del written["class"]
    yield from (f"[{head}]", *_section(held, written, path))


def _line(name: str, tree: Mapping[str, Any], hint: Any, default: Any) -> str:
    if name in tree:
        return f"{toml_key(name)} = {toml_value(tree[name])}"
    text = "" if default is None else toml_value(to_tree(default))
    if not text or len(text) > _LONGEST:
        text = f"<{_words(hint) or 'a value'}>"
    return f"#{toml_key(name)} = {text}"


def _allowed(hint: Any, default: Any) -> str:
    """The values that a field takes, and its default, as a sentence."""
    told = [_words(hint)] if _words(hint) else []
    if default is None:
        told.append("default: not set")
    elif default is not dataclasses.MISSING:
        text = toml_value(to_tree(default))
        told += [f"default: {text}"] if len(text) <= _LONGEST else []
    sentence = "; ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _words(hint: Any) -> str:
    """The values that an annotation allows, in the words of TOML."""
    words = described_with_bounds(hint)
    for python, toml in _IN_TOML.items():
        words = words.replace(python, toml)
    return words


def _wrapped(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH - 2, break_on_hyphens=False)]
