"""The default application of systems: a key-value store."""

from __future__ import annotations

from typing import Any, ClassVar

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

__all__ = ["READS", "KeyValueStore", "on_value"]

READS = frozenset({"get", "scan"})
"""Kinds of command that change nothing."""


class KeyValueStore(Application):
    """Keys with values of any type (numbers, strings ...). Attribute: ``data`` (key -> value)."""

    operations: ClassVar[frozenset[str]] = frozenset(
        {"get", "put", "cas", "append", "increment", "delete", "scan"}
    )
    reads: ClassVar[frozenset[str]] = READS
    may_fail: ClassVar[frozenset[str]] = frozenset({"cas"})
    several_keys: ClassVar[frozenset[str]] = frozenset({"scan"})
    judged_as: ClassVar[str | None] = "auto"
    not_judged: ClassVar[frozenset[str]] = frozenset(
        {"scan"}
    )  # how many keys were asked for is not in a history

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def apply(self, command: Command) -> Result:
        """Execute a command; docs/protocols.md describes each kind. Raises ValueError for an unknown kind.

        An append to a value that is not a string, or an increment of a value that is not a number, fails and changes
        nothing.
        """
        kind, key, value, data = command.kind, command.key, command.value, self.data
        if kind == "get":
            return Result("ok", data.get(key))
        if kind == "put":
            data[key] = value
            return Result("ok", value)
        if kind == "cas":
            if data.get(key) != value[0]:
                return Result("fail", value, data.get(key))
            data[key] = value[1]
            return Result("ok", value)
        if kind == "append":
            old = data.get(key)
            if old is not None and not isinstance(old, str):
                return Result("fail", value, f"{key} holds no string")
            data[key] = (old or "") + value
            return Result("ok", value)
        if kind == "increment":
            old = data.get(key)
            if old is not None and not isinstance(old, int | float):
                return Result("fail", value, f"{key} holds no number")
            data[key] = (old or 0) + value
            return Result("ok", value, data[key])
        if kind == "scan":
            return Result("ok", tuple((k, data[k]) for k in sorted(k for k in data if k >= key)[:value]))
        if kind == "delete":
            data.pop(key, None)
            return Result("ok")
        raise ValueError(f"unknown kind of command: {kind!r}")

    def snapshot(self) -> tuple[tuple[str, Any], ...]:
        """The keys with their values."""
        return tuple(self.data.items())

    def restore(self, snapshot: tuple[tuple[str, Any], ...]) -> None:
        self.data = dict(snapshot)


def on_value(value: Any, command: Command) -> tuple[Result, Any]:
    """The result of a command on a register with ``value`` (None: empty), and the register's new value."""
    _SCRATCH.data = {} if value is None else {command.key: value}
    result = _SCRATCH.apply(command)
    return result, _SCRATCH.data.get(command.key)


_SCRATCH = KeyValueStore()  # to make one for each command would cost more than the command
