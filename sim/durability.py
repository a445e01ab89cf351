"""Durable state: fields of a node that survive a crash.

``promised = durable(Ballot.ZERO)`` in a class body declares a field on disk. A message that the node sends after a
write leaves the node only when the write is on disk (see `sim.node`). A crash loses writes that are not yet on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, overload

from sim.engine import COMPILED
from sim.values import PLAIN, shown

if TYPE_CHECKING or not COMPILED:
    from sim.values import is_immutable
else:
    from sim._values import is_immutable

__all__ = ["Durable", "DurableLog", "DurableMap", "durable", "durable_log", "durable_map"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


def _refuse(what: str, value: Any) -> NoReturn:
    raise TypeError(
        f"{what}: {shown(value)} is mutable, so it could change without being written again; use numbers, texts, "
        "tuples, frozensets, messages or frozen dataclasses of such"
    )


class Durable:
    """The declaration of a field on disk; `restore` makes its first value from the contents of the disk.

    Attributes
    ----------
    field: its name. empty: its value where nothing was ever written.
    """

    def __init__(self, empty: Any = None) -> None:
        self.field = ""
        self.empty = empty

    def __set_name__(self, owner: type, name: str) -> None:
        self.field = name

    def restore(self, disk: Any, field: str) -> Any:
        """The value of the field when its node boots."""
        raise NotImplementedError

    def require_in_place(self, value: Any) -> None:
        """Raise TypeError when ``value`` cannot be the value of the field."""


class _DurableValue(Durable):
    """A value on disk. It has ``__set__`` but no ``__get__``: a read finds the attribute of the instance."""

    def __init__(self, default: Any) -> None:
        super().__init__(default)
        if not is_immutable(default):
            raise TypeError(
                f"durable({shown(default)}): the value is mutable; use durable_log() or durable_map()"
            )

    def __set__(self, instance: Any, value: Any) -> None:
        if value.__class__ not in PLAIN and not is_immutable(value):
            _refuse(f"durable field {self.field!r}", value)
        instance.__dict__[self.field] = value
        prefix = instance.__dict__.get("part_name")
        instance.host.disk.write(f"{prefix}.{self.field}" if prefix else self.field, "set", value)

    def restore(self, disk: Any, field: str) -> Any:
        return disk.read(field, self.empty)


class _DurableContainer(Durable):
    """A durable log or map: its first value is a container that journals each change.

    ``__set__`` refuses assignments. There is no ``__get__``: a read finds the attribute of the instance.
    """

    def __init__(self, kind: type) -> None:
        super().__init__({} if kind is DurableMap else ())
        self.kind = kind

    def __set__(self, instance: Any, value: Any) -> None:
        if value is not instance.__dict__.get(self.field):  # `self.map |= {...}` assigns the same object
            raise TypeError(self._misuse(value))

    def _misuse(self, value: Any) -> str:
        if self.kind is DurableMap:
            verbs = (
                f"self.{self.field}[key] = ..., del self.{self.field}[key], .update(...), .replace({{...}})"
            )
        else:
            verbs = f"self.{self.field}.append(item), .extend(items), .truncate(length), .discard(count), .reset(items)"
        return (
            f"durable field {self.field!r} is changed in place, not assigned: {shown(value)} would not be written to "
            f"disk; write {verbs}"
        )

    def restore(self, disk: Any, field: str) -> Any:
        return self.kind(disk.read(field, ()), _journal(disk, field))

    def require_in_place(self, value: Any) -> None:
        """Raise TypeError when ``value`` is not a container of the declared kind."""
        if not isinstance(value, self.kind):
            raise TypeError(self._misuse(value))


def _journal(disk: Any, field: str) -> Callable[[str, Any], None]:
    """Writes an operation and its argument to the journal of a field."""
    return partial(disk.write, field)


class DurableLog(Generic[T]):
    """A log on disk, 0-based: `append`, `truncate` the end, `discard` the beginning, `reset`.

    Each `append`, `truncate` and `discard` is journalled in O(1). ``items`` is the list itself: read it, never change
    it.
    """

    __slots__ = ("_journal", "items")

    def __init__(self, items: Iterable[T], journal: Callable[[str, Any], None]) -> None:
        self.items: list[T] = list(items)
        self._journal = journal

    def append(self, item: T) -> None:
        """Add an item at the end. Raises TypeError when the item is mutable."""
        if item.__class__ not in PLAIN and not is_immutable(item):
            _refuse("a durable log", item)
        self.items.append(item)
        self._journal("append", item)

    def extend(self, items: Iterable[T]) -> None:
        """Add items at the end, in order."""
        for item in items:
            if item.__class__ not in PLAIN and not is_immutable(item):
                _refuse("a durable log", item)
            self.items.append(item)
            self._journal("append", item)

    def truncate(self, length: int) -> None:
        """Keep only the first ``length`` items. Raises IndexError when the log is shorter."""
        if not 0 <= length <= len(self.items):
            raise IndexError(f"cannot truncate a log of {len(self.items)} items to {length}")
        if length < len(self.items):
            del self.items[length:]
            self._journal("truncate", length)

    def discard(self, count: int) -> None:
        """Drop the first ``count`` items (log compaction). Raises IndexError when there are fewer."""
        if not 0 <= count <= len(self.items):
            raise IndexError(f"cannot discard {count} of {len(self.items)} items")
        if count:
            del self.items[:count]
            self._journal("discard", count)

    def reset(self, items: Iterable[T] = ()) -> None:
        """Replace everything."""
        kept = tuple(items)
        if not is_immutable(kept):
            _refuse("a durable log", next(item for item in kept if not is_immutable(item)))
        self.items[:] = kept
        self._journal("reset", kept)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __repr__(self) -> str:
        return f"DurableLog({self.items!r})"


class DurableMap(dict[K, V]):
    """A map on disk: a dict that journals each change of a key in O(1). Keys and values are immutable."""

    def __init__(self, items: Any, journal: Callable[[str, Any], None]) -> None:
        super().__init__(items)
        self._journal = journal

    def __setitem__(self, key: K, value: V) -> None:
        if value.__class__ not in PLAIN and not is_immutable(value):
            _refuse(f"a durable map, at {key!r}", value)
        if key.__class__ not in PLAIN and not is_immutable(key):
            _refuse("a durable map, as a key", key)
        super().__setitem__(key, value)
        self._journal("put", (key, value))

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._journal("delete", key)

    def pop(self, key: K, *default: Any) -> Any:
        if key in self:
            value = self[key]
            del self[key]
            return value
        if default:
            return default[0]
        raise KeyError(key)

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, items: Any) -> Self:  # type: ignore[override,misc]
        self.update(items)
        return self

    def clear(self) -> None:
        self.replace({})

    def replace(self, items: dict[K, V]) -> None:
        """Replace everything."""
        kept = dict(items)
        for key, value in kept.items():
            if not is_immutable((key, value)):
                _refuse(f"a durable map, at {key!r}", value)
        super().clear()
        super().update(kept)
        self._journal("reset", kept)

    def popitem(self) -> tuple[K, V]:
        raise TypeError("a durable map has no popitem: say which key")


if TYPE_CHECKING:

    def durable(default: T) -> T:
        """A field on disk: it survives a crash once synced. Takes immutable values only."""

    def durable_log() -> DurableLog[Any]:
        """An empty log on disk (`DurableLog`)."""

    def durable_map() -> DurableMap[Any, Any]:
        """An empty map on disk (`DurableMap`)."""

else:

    def durable(default):
        """A field on disk: it survives a crash once synced. Takes immutable values only."""
        return _DurableValue(default)

    def durable_log():
        """An empty log on disk (`DurableLog`)."""
        return _DurableContainer(DurableLog)

    def durable_map():
        """An empty map on disk (`DurableMap`)."""
        return _DurableContainer(DurableMap)
