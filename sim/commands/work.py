"""Options of commands that make many runs: how they are made, and where results are kept."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import cloudpickle

from sim.commands.inputs import SCRIPT, amount, processes
from sim.commands.output import out_folder, prepare

if TYPE_CHECKING:
    from sim.lab.work import Work

__all__ = ["work_of", "work_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    processes,
    click.option(
        "--dask",
        default=None,
        metavar="tcp://HOST:8786",
        help='Run on the workers of this Dask scheduler (pip install "quorumlab[cluster]").',
    ),
    click.option(
        "--run-timeout",
        type=amount,
        default=None,
        metavar="SECONDS",
        help="Give up a run that takes longer.",
    ),
    click.option(
        "--memory-limit",
        type=amount,
        default=None,
        metavar="MB",
        help="Give up a run that takes more memory.",
    ),
    out_folder("Where results are kept; default: a new folder below results/."),
    click.option("--resume", is_flag=True, help="Go on with the results that are in --out."),
)


def work_options(command: _Command) -> _Command:
    """Give a command the options that `work_of` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def work_of(
    name: str, *, out: Path | None, resume: bool, dask: str | None, **options: Any
) -> Iterator[tuple[Work, Path]]:
    """The options, as keywords of `sweep` and `compare`, and the folder for results.

    ``name``: the name of the new folder if ``out`` is None.
    """
    from sim.lab.store import FILE
    from sim.lab.work import Work

    if resume:
        if out is None:
            raise click.UsageError("--resume needs --out: the folder with the results to go on with")
        if not (out / FILE).exists():
            raise click.UsageError(f"--resume: there is no {FILE} in {str(out)!r} to go on with")
    for option in ("workers", "run_timeout", "memory_limit") if dask is not None else ():
        if options.get(option) is not None:
            raise click.UsageError(
                f"--{option.replace('_', '-')} is for processes of this machine, and --dask has its own"
            )
    folder = prepare(_new(Path("results"), name) if out is None else out)
    given = {option: value for option, value in options.items() if value is not None}
    _carry_scripts(dask is not None)
    work = Work(out=folder, resume=resume, **given)  # type: ignore[typeddict-item]
    if dask is None:
        yield work, folder
        return
    from sim.lab.work.cluster import connected

    with connected(dask) as executor:
        yield Work(executor=executor) | work, folder


def _carry_scripts(far: bool) -> None:
    """Send the definitions of scenario scripts to processes that cannot import them: spawned, or on other machines."""
    started = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    if far or started != "fork":
        for name in [name for name in sys.modules if name.startswith(SCRIPT)]:
            cloudpickle.register_pickle_by_value(sys.modules[name])


def _new(home: Path, name: str) -> Path:
    """A folder that is not there yet: ``results/sweep``, ``results/sweep-2`` ..."""
    found, number = home / name, 1
    while found.exists() and (not found.is_dir() or any(found.iterdir())):
        number += 1
        found = home / f"{name}-{number}"
    return found
