"""The `sim` command. Its subcommands are in `sim.commands` and are imported only when they are called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from sim import __version__
from sim.commands.output import outlive_pipes

__all__ = ["main"]

_COMMANDS = {
    "calibrate": "Fit the machines of a scenario to a measured throughput-latency curve.",
    "check": "Judge a history (JSONL) by a consistency model.",
    "compare": "Run several systems in one scenario, under the same seeds.",
    "demo": "Compare real protocols on measured networks, with a leader crash in the middle.",
    "describe": "Say in sentences what a scenario will run, and what was derived.",
    "frontier": "Name the settings of a sweep between which the choice is open, and draw them.",
    "fuzz": "Run a system in storms until something breaks, and shrink what broke.",
    "grade": "Grade submissions of the Raft lab.",
    "init": "Write a scenario file with comments, to change and run.",
    "list": "List systems, products, networks, workloads, faults and scenarios.",
    "new": "Begin a protocol (node, system, invariants, tests) or a paper, in a folder of its own.",
    "export": "Write a saved run for Perfetto, ShiViz, or as frames.",
    "report": "Write a run, comparison, sweep or fuzzed story as one HTML file.",
    "replay": "Play a replay file of `sim fuzz` again.",
    "reproduce": "Run again what a figure, a saved folder or a paper states, and compare.",
    "results": "How far a sweep is, and its runs as a file.",
    "run": "Run a scenario: a script, or a file in TOML or JSON.",
    "schema": "Print the JSON Schema of scenario files, for editors.",
    "sweep": "Run a scenario with fields varied.",
    "validate": "Simulate published results again and judge each figure.",
    "view": "Draw a log of messages as a page to step through.",
    "zoo": "List famous mistakes, tell one, or find it in a run.",
}
_EXAMPLES = """
\b
Examples:
  sim demo
  sim init mine.toml
  sim describe mine.toml
  sim run mine.toml
  sim run scenarios/raft_failover.py --seed 7
  sim run scenarios/raft_failover.py --set duration=60 --set system.nodes=3
  sim compare Raft MultiPaxos "PrimaryBackup(mode='async')" --seeds 5
  sim compare Raft MultiPaxos --network rtt.csv --fault 'Crash("leader", at=5, down=2)'
  sim sweep scenarios/raft_failover.py --vary system.nodes=3,5,7 --seeds 5 --out night
  sim sweep scenarios/raft_failover.py --vary system.nodes=3,5,7 --seeds 5 --out night --resume
  sim check history.jsonl --model register
  sim new protocol my_store
  sim fuzz "Raft(nodes=3)" --runs 200
"""


def _keep_traceback(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.find_root().obj["traceback"] = True


_TRACEBACK = click.Option(
    ["--traceback"],
    is_flag=True,
    expose_value=False,
    callback=_keep_traceback,
    help="On an error, print Python's traceback, too.",
)


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from sim.engine import engine_in_words

        click.echo(f"sim, version {__version__}\n{engine_in_words()}")
        context.exit()


_VERSION = click.Option(
    ["--version"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and which engine runs and why.",
)


class _LazyGroup(click.Group):
    """Imports a subcommand when it is called; the help needs only its name and its first line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"sim.commands.{cmd_name}")
        command: click.Command = getattr(module, "command", None) or getattr(module, cmd_name)
        if _TRACEBACK not in command.params:
            command.params.append(_TRACEBACK)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from sim.written.names import did_you_mean

            raise click.UsageError(f"No such command {args[0]!r}{did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    epilog=_EXAMPLES,
    params=[_VERSION, _TRACEBACK],
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def cli(context: click.Context) -> None:
    """A simulator for distributed systems: scenarios in, frames, verdicts and charts out.

    `sim COMMAND --help` explains a command. `sim list` shows what a scenario can be made of.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; bad input is one line on standard error and exit code 2, never a traceback.

    ``arguments``: the arguments after ``sim``; None: those of this process.
    """
    outlive_pipes()
    state = {"traceback": False}
    try:
        code = cli.main(arguments, prog_name="sim", standalone_mode=False, obj=state)
        sys.exit(code if isinstance(code, int) else 0)
    except click.Abort as abort:
        said = str(abort.__cause__ or "")
        _fail(f"interrupted: {said}" if said else "interrupted", 130)
    except click.ClickException as error:
        _show(error.__cause__ or error, state)
        _fail(error.format_message(), 2 if isinstance(error, click.UsageError) else error.exit_code)
    except Exception as error:
        _show(error, state)
        _fail(_in_words(error), 2)


def _show(error: BaseException, state: dict[str, bool]) -> None:
    """Print the traceback where ``--traceback`` asks for it."""
    if state["traceback"]:
        traceback.print_exception(error)


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"sim: {' '.join(text.split())}", err=True)
    sys.exit(code)


_REFUSALS = (ValueError, LookupError, OSError, ImportError)
"""Classes of exceptions whose message is a sentence for the user; the class is not shown."""


def _in_words(error: Exception) -> str:
    """The error as one sentence; for an error that was not meant for the user, with its class, file and line."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    frames = traceback.extract_tb(error.__traceback__)
    plain = isinstance(error, _REFUSALS) and not isinstance(error, KeyError | IndexError)
    if frames and not (plain and _is_ours(frames[-1].filename)):
        last = next((f for f in reversed(frames) if not _is_library(f.filename)), frames[-1])
        text = f"{type(error).__name__}: {text} ({last.filename}, line {last.lineno})"
    notes = "; ".join(getattr(error, "__notes__", ()))
    return f"{text or type(error).__name__}{f' ({notes})' if notes else ''}"


def _is_ours(filename: str) -> bool:
    """Whether a file belongs to this package."""
    return Path(__file__).parent in Path(filename).parents


def _is_library(filename: str) -> bool:
    """Whether a file belongs to Python or an installed library."""
    return "site-packages" in filename or filename.startswith((sys.base_prefix, "<"))
