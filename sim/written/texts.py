"""Trees as text: JSON and TOML. Both can hold the same trees, and each reads back what it wrote."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from sim.written.tree import from_dict, to_dict

__all__ = [
    "from_json",
    "from_toml",
    "json_of",
    "noted",
    "parse_json",
    "parse_toml",
    "reason_unwritten",
    "to_json",
    "to_toml",
    "toml_key",
    "toml_of",
    "toml_value",
    "unwritten",
]

_LONGEST = 100_000  # characters in a picture; a network of a million measured samples would be longer
_UNWRITTEN = "unwritten"  # no class has this name
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_json(value: Any, indent: int | None = 2) -> str:
    """A value as JSON. Raises ValueError, with the path, if a part of it has no written form."""
    return json_of(to_dict(value), indent)


def to_toml(value: Any) -> str:
    """A value as TOML. Raises ValueError, with the path, if a part of it has no written form."""
    return toml_of(to_dict(value))


def from_json(text: str, kind: Any = Any, *, allow: Collection[str] = ()) -> Any:
    """The value that a JSON text describes; see `sim.written.tree.from_dict`."""
    return from_dict(parse_json(text), kind, allow=allow)


def from_toml(text: str, kind: Any = Any, *, allow: Collection[str] = ()) -> Any:
    """The value that a TOML text describes; see `sim.written.tree.from_dict`."""
    return from_dict(parse_toml(text), kind, allow=allow)


def json_of(tree: Any, indent: int | None = 2) -> str:
    """A tree as JSON; equal trees give equal texts."""
    return json.dumps(tree, indent=indent, ensure_ascii=False, allow_nan=False)


def parse_json(text: str) -> Any:
    """The tree of a JSON text. Raises ValueError, with the line; duplicate keys, NaN and Infinity are errors, too."""
    return _parsed("JSON", lambda: json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant))


def parse_toml(text: str) -> Any:
    """The tree of a TOML text. Raises ValueError with the line."""
    return _parsed("TOML", lambda: tomllib.loads(text))


def _parsed(form: str, parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except ValueError as error:
        raise ValueError(f"this is no {form}: {error}") from None
    except RecursionError:
        raise ValueError(f"this {form} is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} comes twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f'{name} is no number of JSON; write {{"class": "float", "of": "inf"}}')


def noted(values: Sequence[Any]) -> str:
    """Values as one line of JSON, for the metadata of a picture; for a value without written form, the reason."""
    trees = [_tree_or_reason(value) for value in values]
    text = json_of(trees[0] if len(trees) == 1 else trees, indent=None)
    if len(text) <= _LONGEST:
        return text
    return json_of(unwritten("too long", sha256=sha256(text.encode()).hexdigest()), None)


def _tree_or_reason(value: Any) -> Any:
    try:
        return to_dict(value)
    except ValueError as error:
        return unwritten(error)


def unwritten(why: ValueError | str, **more: str) -> dict[str, str]:
    """The mark in the place of a written form that a value does not have: the reason, and facts that tell it apart."""
    return {"class": _UNWRITTEN, "reason": str(why), **more}


def reason_unwritten(tree: Any) -> str | None:
    """The reason in such a mark; None for any other tree."""
    return str(tree["reason"]) if isinstance(tree, Mapping) and tree.get("class") == _UNWRITTEN else None


# TOML


def toml_of(tree: Mapping[str, Any]) -> str:
    """A tree as TOML: first numbers and strings, then a section for each table and each entry of an array of tables."""
    return "\n".join(_section(tree, ())).strip() + "\n"


def _section(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    sections = {key: item for key, item in tree.items() if len(path) < 2 and _is_section(item)}
    for key, item in tree.items():
        if key not in sections:
            yield f"{toml_key(key)} = {toml_value(item)}"
    for key, item in sections.items():
        head = ".".join(map(toml_key, (*path, key)))
        if isinstance(item, Mapping):
            yield from ("", f"[{head}]", *_section(item, (*path, key)))
        else:
            for entry in item:
                yield from ("", f"[[{head}]]", *_section(entry, (*path, key)))


def _is_section(item: Any) -> bool:
    if isinstance(item, Mapping):
        return bool(item) and item.get("class") != "None"
    return isinstance(item, list) and bool(item) and all(isinstance(entry, Mapping) for entry in item)


def toml_value(item: Any) -> str:
    """A part of a tree as TOML, in one line."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return _quoted(item)
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{toml_key(key)} = {toml_value(part)}" for key, part in item.items()) + "}"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(map(toml_value, item)) + "]"
    return repr(item)


def toml_key(key: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    # JSON and TOML have the same escapes; TOML also requires one for the character 0x7f.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
