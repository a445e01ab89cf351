"""A live session as a Python script that repeats it."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from sim.lab.live.source import outside, text_of_function
from sim.network.detention import Detention

if TYPE_CHECKING:
    from sim.lab.live.journal import JournalEntry
    from sim.lab.scenario import Scenario

__all__ = ["refuse_interrupted", "script_of"]


def refuse_interrupted(entry: JournalEntry) -> None:
    """Raise ValueError for an entry that ended within an event: no other run ends there."""
    if entry.ending == "interrupted":
        raise ValueError(
            f"the session was interrupted within an event at {entry.time:.6g} s, which cannot be repeated; "
            "go back to an earlier time"
        )


def script_of(scenario: Scenario, seed: int, entries: Iterable[JournalEntry]) -> str:
    """The script: the scenario in its written form, and one line for each entry."""
    writer = _Writer()
    body: list[str] = []
    for entry in entries:
        refuse_interrupted(entry)
        body += writer.lines(entry)
    toml = scenario.to_toml().strip()
    plain = "'''" not in toml and "\\" not in toml
    text = f"r'''\n{toml}\n'''" if plain else repr(toml)
    allowed = _modules_in(toml)
    allow = f", allow={allowed!r}" if allowed else ""
    head = ["from sim import Scenario", *sorted(writer.imports)]
    made = [f"scenario = Scenario.from_toml({text}{allow})", f"live = scenario.start(seed={seed})"]
    return "\n".join([*head, "", *made, *body]) + "\n"


def _modules_in(toml: str) -> tuple[str, ...]:
    """The modules outside ``sim`` that a written scenario names."""
    import tomllib

    found: dict[str, None] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for name in ("class", "of"):
                told = value.get(name)
                if isinstance(told, str) and ":" in told and not told.startswith("sim."):
                    found[told.partition(":")[0]] = None
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                look(part)

    look(tomllib.loads(toml))
    return tuple(found)


class _Writer:
    """Writes entries, and gathers what they import."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self._detentions: dict[int, str] = {}
        self._written: dict[str, str] = {}  # name -> the assignment or definition that it has now
        self._before: list[str] = []

    def lines(self, entry: JournalEntry) -> list[str]:
        """The lines of an entry: what its arguments need, and the call."""
        self._before = []
        if entry.verb == "step":
            calls = [f"for _ in range({entry.arguments[0]}):", "    live.step()"]
        else:
            given = [self.value(value) for value in entry.arguments]
            if entry.verb == "run":
                given = [f"until={given[0]}"]
            given += [f"{name}={self.value(value)}" for name, value in entry.options.items()]
            when = "" if entry.moves else f"  # at {entry.time:.9g} s"
            calls = [f"live.{entry.verb}({', '.join(given)}){when}"]
        if entry.ending:
            assert entry.error is not None
            self.imports["from contextlib import suppress"] = None
            calls = [f"with suppress({self.value(entry.error)}):", *(f"    {line}" for line in calls)]
        return [*self._before, *calls]

    def value(self, value: Any) -> str:
        """A value as a Python expression. Raises ValueError for one without."""
        if isinstance(value, float) and not math.isfinite(value):
            return f"float('{value}')"
        if isinstance(value, Enum):
            return f"{self._named(type(value))}.{value.name}"
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return repr(value)
        if isinstance(value, list):
            return f"[{', '.join(map(self.value, value))}]"
        if isinstance(value, tuple):
            return f"({', '.join(map(self.value, value))}{',' * (len(value) == 1)})"
        if isinstance(value, frozenset | set):
            inner = ", ".join(sorted(map(self.value, value)))
            kind = type(value).__name__
            return f"{kind}({{{inner}}})" if value else f"{kind}()"
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{self.value(k)}: {self.value(v)}' for k, v in value.items())}}}"
        return self._object(value)

    def _object(self, value: Any) -> str:
        if isinstance(value, Detention):
            return self._detention(value)
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type | BuiltinFunctionType):
            return self._named(value)
        made: Mapping[str, Any] | None = None
        if hasattr(value, "made_of"):
            made = value.made_of()
        elif dataclasses.is_dataclass(value):
            made = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        elif hasattr(type(value), "_fields"):
            made = {name: getattr(value, name) for name in value._fields}
        if made is None:
            raise ValueError(f"the script cannot write {value!r}: it is no plain value")
        given = ", ".join(f"{name}={self.value(part)}" for name, part in made.items())
        return f"{self._named(type(value))}({given})"

    def _named(self, value: Any, alias: str = "") -> str:
        """The name of a class or function, which is imported."""
        module, name = value.__module__, value.__qualname__
        if module == "builtins":
            return str(name)
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not value or module == "__main__":
            raise ValueError(f"the script cannot name {name}: define it at the top of a module")
        head = name.partition(".")[0]
        renamed = f" as {alias}" if alias and alias != head else ""
        self.imports[f"from {module} import {head}{renamed}"] = None
        return alias or name

    def _detention(self, value: Detention) -> str:
        name = self._detentions.get(id(value))
        if name is None:
            name = self._detentions[id(value)] = f"kept_{len(self._detentions) + 1}"
            kind = self._named(Detention)
            self._before.append(f"{name} = {kind}({', '.join(map(self.value, value.said))})")
        return name

    def _function(self, function: FunctionType) -> str:
        """A function: a lambda in place, any other by its name, below its definition."""
        text = text_of_function(function)
        for name, value in outside(function).items():
            if value is not function:
                self._given(name, value)
        if function.__name__ == "<lambda>":
            return text
        self._write(function.__name__, text)
        return function.__name__

    def _given(self, name: str, value: Any) -> None:
        """Let a name that a function reads mean what it meant."""
        if isinstance(value, ModuleType):
            self.imports[f"import {value.__name__} as {name}"] = None
        elif isinstance(value, type) or (isinstance(value, FunctionType) and value.__module__ != "__main__"):
            try:
                self._named(value, name)
            except ValueError:
                if isinstance(value, type):
                    raise
                self._function(value)
        elif isinstance(value, FunctionType) and value.__name__ == name:
            self._function(value)
        else:
            self._write(name, f"{name} = {self.value(value)}")

    def _write(self, name: str, text: str) -> None:
        if self._written.get(name) != text:
            self._written[name] = text
            self._before += text.splitlines()
