"""Labels of systems in a comparison. A label says how systems differ; the common settings are in the title.

Labels are words for people ("Raft, 5 nodes, pre vote"); `System.label` is the form that the command line takes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from sim.made import Made, arguments_of
from sim.system import System, default_of

__all__ = ["Labels", "describe", "label_all", "same", "value_words", "words"]

_SECONDS = frozenset({"heartbeat", "detection"})
_SIZE = "nodes"
_NEVER = frozenset({"unsafe"})  # shown as a prefix of the label instead
_UNITS = ((1.0, "s"), (1e3, "ms"), (1e6, "µs"))


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of systems (`each`, in the order of the systems) and their common settings (`shared`, in words)."""

    each: tuple[str, ...]
    shared: tuple[str, ...]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; for values without a simple ``==`` (arrays), whether their reprs are equal."""
    if one is other:
        return True
    try:
        return bool(one == other) and (type(one) is type(other) or (_number(one) and _number(other)))
    except (TypeError, ValueError):
        return type(one) is type(other) and repr(one) == repr(other)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def words(name: str) -> str:
    """A name from code in words: ``pre_vote`` -> "pre vote", ``LeastConnections`` -> "Least Connections"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip()


def _kind(system: System) -> str:
    """The kind of a system in words. A subclass does not inherit the title of its base."""
    title = vars(type(system)).get("title", "")
    return str(title) or words(system.kind_name)


def _seconds(value: float) -> str:
    factor, unit = next(((f, u) for f, u in _UNITS if abs(value) * f >= 1.0), _UNITS[-1])
    return f"{value * factor:.6g} {unit}"


def value_words(value: Any) -> str:
    """A value in words, with its fields that differ from their defaults: "crash (target n0, at 5.0)"."""
    if isinstance(value, System):
        inner = describe(value)
        return f"({inner})" if ", " in inner else inner
    if isinstance(value, tuple | list):
        return "(" + ", ".join(value_words(v) for v in value) + ")"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        phrases = [_phrase(f.name, getattr(value, f.name)) for f in _unusual(value)]
        named = getattr(value, "label", None)
        own = isinstance(named, str) and not named.startswith(type(value).__name__)
        return str(named) if own else _joined(words(type(value).__name__).lower(), phrases)
    if isinstance(value, Made):
        usual = arguments_of(type(value))
        phrases = [_phrase(name, held) for name, held in value.made_of().items() if held != usual[name][1]]
        return _joined(words(type(value).__name__).lower(), phrases)
    return str(getattr(value, "__name__", value))


def _joined(head: str, phrases: Sequence[str]) -> str:
    return f"{head} ({', '.join(phrases)})" if phrases else head


def _unusual(value: Any) -> list[dataclasses.Field[Any]]:
    fields = [f for f in dataclasses.fields(value) if f.repr and f.init]
    return [f for f in fields if not same(getattr(value, f.name), default_of(f))]


def _phrase(name: str, value: Any, exact: bool = False) -> str:
    """A setting in words: "pre vote", "no pre vote", "5 nodes", "heartbeat 50 ms", "mode async"."""
    if exact:
        return f"{words(name)} {value!r}"
    if isinstance(value, bool):
        return words(name) if value else f"no {words(name)}"
    if value is None:
        return f"no {words(name)}"
    if name == _SIZE and isinstance(value, int):
        return f"{value} node{'s' if value != 1 else ''}"
    if name in _SECONDS and isinstance(value, int | float):
        return f"{words(name)} {_seconds(value)}"
    return f"{words(name)} {value_words(value)}"


def _settings(system: System) -> dict[str, Any]:
    return {name: value for name, value, _ in system.shown_settings() if name not in _NEVER}


def _shown(system: System) -> set[str]:
    """The settings that differ from their defaults, and those that the label always shows."""
    unusual = {name for name, value, usual in system.shown_settings() if not same(value, usual)} - _NEVER
    return unusual | (set(system.label_fields) & set(_settings(system)))


def describe(system: System) -> str:
    """One system in words: its class and the settings that differ from their defaults."""
    settings, shown = _settings(system), _shown(system)
    return _with_mark(system, [_phrase(name, settings[name]) for name in settings if name in shown])


def _with_mark(system: System, phrases: Sequence[str]) -> str:
    text = ", ".join([_kind(system), *phrases])
    return f"UNSAFE {text}" if system.unsafe else text


def label_all(systems: Sequence[System]) -> Labels:
    """Labels of systems in a comparison, all different. Raises ValueError for two equal systems."""
    for i, system in enumerate(systems):
        if any(same(system, other) for other in systems[:i]):
            raise ValueError(f"the same system is given twice: {describe(system)}")
    if len(systems) == 1:
        return Labels((describe(systems[0]),), ())
    settings = [_settings(system) for system in systems]
    shown = [_shown(system) | _contested(i, systems, settings) for i, system in enumerate(systems)]
    sizes = [s[_SIZE] for s in settings if _SIZE in s]
    if any(size != sizes[0] for size in sizes):  # sizes are comparable between classes
        for names, mine in zip(shown, settings, strict=True):
            names |= {_SIZE} & set(mine)
    common = _common(settings, shown)
    for names in shown:
        names -= set(common)
    texts = [_texts(i, systems, settings, shown[i]) for i in range(len(systems))]
    return Labels(_numbered(texts), tuple(_phrase(name, value) for name, value in common.items()))


def _contested(index: int, systems: Sequence[System], settings: Sequence[Mapping[str, Any]]) -> set[str]:
    """The settings in which a system differs from others of its kind, without options that are off."""
    mine = settings[index]
    rivals = [s for s, other in zip(settings, systems, strict=True) if _are_rivals(other, systems[index])]
    return {
        name
        for name, value in mine.items()
        if value is not None
        and value is not False
        and any(name not in rival or not same(value, rival[name]) for rival in rivals)
    }


def _are_rivals(one: System, other: System) -> bool:
    """Whether two systems are of one kind, so that only settings tell them apart."""
    return type(one) is type(other) and one.kind_name == other.kind_name


def _common(settings: Sequence[Mapping[str, Any]], shown: Sequence[set[str]]) -> dict[str, Any]:
    """The settings that at least one label would show, and that are equal in all systems."""
    first = settings[0]
    return {
        name: value
        for name, value in first.items()
        if any(name in names for names in shown)
        and all(name in other and same(other[name], value) for other in settings)
    }


def _texts(
    index: int, systems: Sequence[System], settings: Sequence[Mapping[str, Any]], shown: set[str]
) -> str:
    mine = settings[index]
    phrases = []
    for name in mine:
        if name in shown:
            plain = _phrase(name, mine[name])
            # Different values with the same short text are written out in full.
            alike = any(
                _are_rivals(other, systems[index])
                and name in s
                and not same(mine[name], s[name])
                and _phrase(name, s[name]) == plain
                for other, s in zip(systems, settings, strict=True)
            )
            phrases.append(_phrase(name, mine[name], exact=alike))
    return _with_mark(systems[index], phrases)


def _numbered(texts: Sequence[str]) -> tuple[str, ...]:
    """The same texts; texts that occur more than once get numbers, so that all are different."""
    taken = {text for text in texts if texts.count(text) == 1}
    found = []
    for text in texts:
        number, label = 1, text
        if texts.count(text) > 1:
            while (label := f"{text} #{number}") in taken:
                number += 1
        taken.add(label)
        found.append(label)
    return tuple(found)
