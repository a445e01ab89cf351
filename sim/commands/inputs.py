"""Input of commands: scenario scripts, systems, field settings. Each kind of bad input has one clear error."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

import sim
from sim.commands.written import parse_system, parse_value, split_list
from sim.settings import field_path
from sim.written.names import did_you_mean

if TYPE_CHECKING:
    from sim.lab import Scenario

__all__ = [
    "SCRIPT",
    "DefaultOf",
    "allow_modules",
    "amount",
    "find_script",
    "first_seeds",
    "is_written",
    "load_scenario",
    "load_script",
    "load_written",
    "parse_precision",
    "parse_setting",
    "parse_system",
    "parse_variation",
    "place_of",
    "precisions",
    "processes",
    "refuse_allowed",
    "scenario_of",
    "seed_range",
    "story_folders",
]

SCRIPT = "sim_scenario_"
"""The prefix of the module names of scenario scripts."""


class DefaultOf(click.Option):
    """An option whose default is a constant of the library, ``home="module:NAME"``: it is written there only.

    The module is imported when the command runs or its help is shown, so that `sim --help` answers at once.
    """

    def __init__(self, *arguments: Any, home: str, **options: Any) -> None:
        self._home = home
        super().__init__(*arguments, **{**options, "show_default": True})

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        module, name = self._home.split(":")
        return getattr(importlib.import_module(module), name)


def load_script(path: str) -> ModuleType:
    """Import a scenario script by its path, or by its bare name from ``scenarios/`` or the package."""
    file = find_script(path)
    name = f"{SCRIPT}{re.sub(r'[^0-9a-zA-Z]', '_', file.stem)}"
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
    """The file of a scenario script. ``path``: a path, or the name of a script in ``scenarios/`` or the package."""
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
    """The folders of scenario scripts: ``scenarios/`` here, ``scenarios/`` of the checkout, and those in the wheel."""
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
    """`` (FILE, line N)``: the innermost line of the script in the traceback; "" if the script is not in it."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f" (line {error.lineno})" if f"line {error.lineno}" not in str(error) else ""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f" ({file}, line {lines[-1].lineno})" if lines else ""


def load_scenario(path: str, allow: Sequence[str] = ()) -> Scenario:
    """The ``scenario`` of a script, or the scenario in a file of the written form (TOML, JSON)."""
    if is_written(path):
        scenario, seed = load_written(path, allow)
        if seed is not None:
            raise click.UsageError(f"{path}: seed = {seed} is for `sim run`; here --seeds says which")
        return scenario
    refuse_allowed(path, allow)
    return scenario_of(load_script(path), path)


def scenario_of(module: ModuleType, path: str) -> Scenario:
    """The scenario that a script defines. ``path``: the script as the user named it, for the error."""
    from sim.lab import Scenario

    found = getattr(module, "scenario", None)
    if not isinstance(found, Scenario):
        raise click.UsageError(f"{path} defines no scenario (a module-level name `scenario`, a sim.Scenario)")
    return found


class _Amount(click.FloatRange):
    """A finite number above zero. `click.FloatRange` lets nan through, because no comparison with it is true."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


amount = _Amount(min=0, min_open=True)
"""The type of an option that takes a number of seconds or megabytes."""

processes = click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one a core."
)

allow_modules = click.option(
    "--allow-module",
    "allow",
    multiple=True,
    metavar="NAME",
    help="Import this module of yours where a TOML or JSON file names it.",
)


def is_written(path: str) -> bool:
    """Whether a path names a scenario in the written form (``.toml`` or ``.json``)."""
    return Path(path).suffix in {".toml", ".json"}


def refuse_allowed(path: str, allow: Sequence[str]) -> None:
    """Refuse ``--allow-module`` for a script, because a script imports any module anyway."""
    if allow:
        raise click.UsageError(f"--allow-module {allow[0]} has no effect: {path} is no .toml or .json file")


def load_written(path: str, allow: Sequence[str] = ()) -> tuple[Scenario, int | None]:
    """The scenario of a TOML or JSON file, and the ``seed`` of the file; None if the file has no seed."""
    from sim.lab import Scenario
    from sim.lab.seeds import seed_list
    from sim.written.texts import parse_json, parse_toml

    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        tree = parse_toml(text) if file.suffix == ".toml" else parse_json(text)
        seed = tree.pop("seed", None) if isinstance(tree, dict) else None
        if seed is not None:
            seed_list([seed])
        return Scenario.from_dict(tree, allow=allow), seed
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from error


def parse_setting(text: str) -> tuple[str, Any]:
    """``"workload.rate=20"`` -> ``("workload__rate", 20)``; for values see `sim.commands.written`."""
    name, value = _split(text, f"{text!r} is no setting: write field=value, such as system.nodes=3")
    return field_path(name), parse_value(name, value)


def parse_variation(text: str) -> tuple[str, list[Any]]:
    """``"system.nodes=3,5"`` -> ``("system__nodes", [3, 5])``."""
    name, listed = _split(text, f"{text!r} varies nothing: write field=a,b,c, such as system.nodes=3,5,7")
    return field_path(name), [parse_value(name, value) for value in split_list(listed)]


def _split(text: str, complaint: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value.strip() or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise click.UsageError(complaint)
    return name, value


def precisions(command: Any) -> Any:
    """The options ``--precision`` and ``--max-seeds``."""
    wanted = click.option(
        "--precision",
        multiple=True,
        metavar="[MEASURE=]FRACTION",
        help="Add seeds until means are so precise: 0.02 for ± 2 % of throughput, p50 and p99; or p99=0.05.",
    )
    most = click.option("--max-seeds", type=int, default=None, help="At most so many seeds for --precision.")
    return wanted(most(command))


def parse_precision(texts: Sequence[str]) -> float | dict[str, float] | None:
    """``["0.02"]`` -> 0.02, ``["p50=0.01", "p99=0.05"]`` -> a mapping, nothing -> None."""
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return _fraction(texts[0])
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(
                f"--precision {text} names no measure: write one number for all, or p50={text}"
            )
        if name in found:
            raise click.UsageError(f"--precision {name} is given twice")
        found[name] = _fraction(value)
    return found


def _fraction(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(
            f"--precision takes a fraction such as 0.02, or p50=0.02, not {text!r}"
        ) from None


def first_seeds(seeds: int | None, by_default: int, precision: object, max_seeds: int | None) -> int:
    """How many seeds to begin with, if the command line does not say."""
    from sim.analysis.precision import FIRST_STAGE

    if seeds is not None:
        return seeds
    return by_default if precision is None else min(FIRST_STAGE, max_seeds or FIRST_STAGE)


def seed_range(seeds: int, first: int = 0) -> range:
    """``seeds`` seeds from ``first`` on."""
    if seeds < 1 or first < 0:
        raise click.UsageError(f"seeds must be at least 1 and the first at least 0, not {seeds} from {first}")
    return range(first, first + seeds)
