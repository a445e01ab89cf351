"""What commands take from the user: scenario scripts, systems, field settings. One clear error each."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sim.lab import Scenario
    from sim.system import System

__all__ = [
    "apply_settings",
    "load_scenario",
    "load_script",
    "parse_setting",
    "parse_system",
    "seed_range",
    "writable",
]


def load_script(path: str) -> ModuleType:
    """Import a scenario script by its path, or by the bare name of one in ``scenarios/``."""
    file = Path(path)
    if not file.exists() and not file.suffix:
        file = Path("scenarios") / f"{path}.py"
    if not file.is_file():
        raise click.UsageError(f"there is no scenario script {path!r}; `sim list` shows those in scenarios/")
    name = f"sim_scenario_{re.sub(r'[^0-9a-zA-Z]', '_', file.stem)}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise click.UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module


def load_scenario(path: str) -> Scenario:
    """The ``scenario`` of a script."""
    from sim.lab import Scenario

    module = load_script(path)
    scenario = getattr(module, "scenario", None)
    if not isinstance(scenario, Scenario):
        raise click.UsageError(f"{path} defines no scenario (a module-level name `scenario`, a sim.Scenario)")
    return scenario


def parse_setting(text: str) -> tuple[str, Any]:
    """``"workload.rate=20"`` -> ``("workload__rate", 20)``; values are Python literals, systems, or plain words."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise click.UsageError(f"{text!r} is no setting: write field=value, such as system.nodes=3")
    return name.replace(".", "__"), _value(name, value)


def _value(name: str, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    return parse_system(text) if name == "system" else text


def apply_settings(scenario: Scenario, settings: Sequence[str]) -> Scenario:
    """A scenario with the settings of the command line applied, in order."""
    for setting in settings:
        name, value = parse_setting(setting)
        scenario = scenario.vary(name, value)
    return scenario


def parse_system(text: str) -> System:
    """``Raft``, ``Raft(nodes=3)`` or ``package.module:Name(nodes=3)`` -> a system."""
    from sim.system import System

    match = re.fullmatch(r"\s*([\w.:]+)\s*(\(.*\))?\s*", text, re.DOTALL)
    if match is None:
        raise click.UsageError(f"{text!r} is no system: write Raft, 'Raft(nodes=3)' or package.module:Name")
    name, arguments = match.group(1), match.group(2) or "()"
    keywords = _keywords(text, arguments)
    try:
        made = _class_named(name)(**keywords)
    except TypeError as error:
        raise click.UsageError(f"{text!r}: {str(error).replace('.__init__()', '')}") from error
    if not isinstance(made, System):
        raise click.UsageError(f"{name} is no system (a sim.System)")
    return made


def _class_named(name: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if colon:
        sys.path.insert(0, "")  # a package in the current folder, as with `python -m`
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise click.UsageError(f"{module_name} cannot be imported: {error}") from error
        finally:
            sys.path.remove("")
    else:
        module, attribute = importlib.import_module("sim.protocols"), name
    found = getattr(module, attribute, None)
    if not callable(found):
        raise click.UsageError(f"there is no system {name!r}; `sim list` shows them")
    return found


def _keywords(text: str, arguments: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f{arguments}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("only keyword arguments")
        return {str(k.arg): _literal(k.value) for k in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise click.UsageError(f"{text!r}: {error}; write Name(field=value), with literal values") from error


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(f"{ast.unparse(value)} is no literal value") from None


def seed_range(seeds: int, first: int = 0) -> range:
    """``seeds`` seeds from ``first`` on."""
    if seeds < 1 or first < 0:
        raise click.UsageError(f"seeds must be at least 1 and the first at least 0, not {seeds} from {first}")
    return range(first, first + seeds)


def writable(context: click.Context, option: click.Parameter, out: Path | None) -> Path | None:
    """Callback of ``--out``: refuse a folder that cannot be made, before anything has run that would then be lost."""
    if out is not None:
        nearest = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise click.UsageError(
                f"nothing can be written to {str(out)!r}: {nearest} is no folder open to you"
            )
    return out
