"""What commands take from the user: scenario scripts, systems, field settings. One clear error each."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

import sim

if TYPE_CHECKING:
    from sim.lab import Scenario
    from sim.system import System

__all__ = [
    "apply_settings",
    "did_you_mean",
    "find_script",
    "load_scenario",
    "load_script",
    "parse_setting",
    "parse_system",
    "place_of",
    "seed_range",
    "story_folders",
]


def load_script(path: str) -> ModuleType:
    """Import a scenario script by its path, or by its bare name from ``scenarios/`` or the package."""
    file = find_script(path)
    name = f"sim_scenario_{re.sub(r'[^0-9a-zA-Z]', '_', file.stem)}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise click.UsageError(f"{path} cannot be loaded: {what}{place_of(error, file)}") from error
    return module


def find_script(path: str) -> Path:
    """The file of a scenario script: a path, or the name of one in ``scenarios/`` or among those of the package."""
    file = Path(path)
    if file.is_file():
        return file
    named = {
        found.stem: found for folder in reversed(story_folders()) for found in sorted(folder.glob("*.py"))
    }
    if path in named:
        return named[path]
    raise click.UsageError(
        f"there is no scenario script {path!r}{did_you_mean(path, named)}; `sim list` shows those that there are"
    )


def story_folders() -> list[Path]:
    """Where stories are: ``scenarios/`` here, that of the checkout, and those that the wheel brings along."""
    package = Path(sim.__file__).resolve().parent
    places = [Path("scenarios"), package.parent / "scenarios", package / "scenarios"]
    folders: dict[Path, Path] = {}
    for place in places:
        if place.is_dir() and (
            place is places[0] or (place.parent / "sim").is_dir() or place.parent == package
        ):
            folders.setdefault(place.resolve(), place)
    return list(folders.values())


def place_of(error: BaseException, file: Path) -> str:
    """`` (FILE, line N)`` of the innermost line of a script that raised the error; nothing if it was not there."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f" (line {error.lineno})" if f"line {error.lineno}" not in str(error) else ""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f" ({file}, line {lines[-1].lineno})" if lines else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for a word that is nearly one of those that are known; else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


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
    match = re.fullmatch(r"\s*([\w.:]+)\s*(\(.*\))?\s*", text, re.DOTALL)
    if match is None:
        raise click.UsageError(f"{text!r} is no system: write Raft, 'Raft(nodes=3)' or package.module:Name")
    name, arguments = match.group(1), match.group(2) or "()"
    keywords = _keywords(text, arguments)
    try:
        return _class_named(name)(**keywords)
    except TypeError as error:
        raise click.UsageError(f"{text!r}: {str(error).replace('.__init__()', '')}") from error


def _class_named(name: str) -> type[System]:
    from sim.system import System

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
    if found is None:
        known = getattr(module, "__all__", ()) or vars(module)
        raise click.UsageError(
            f"there is no system {name!r}{did_you_mean(attribute, known)}; `sim list` shows those that there are"
        )
    # Asked before anything of it is called: `builtins:exit` is callable, too.
    if not (isinstance(found, type) and issubclass(found, System)):
        raise click.UsageError(f"{name} is no system (a class derived from sim.System)")
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
