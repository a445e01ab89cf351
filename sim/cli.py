"""The `sim` command. Subcommands live in `sim.commands` and are imported only when they are called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from sim import __version__

__all__ = ["main"]

_COMMANDS = {
    "check": "Judge a history (JSONL) by a consistency model.",
    "compare": "Run several systems in one scenario, under the same seeds.",
    "demo": "Compare real protocols on measured networks, with a leader crash in the middle.",
    "list": "List systems, networks, workloads, faults and scenarios.",
    "run": "Run a scenario script.",
    "sweep": "Run a scenario with fields varied.",
}
_EXAMPLES = """
\b
Examples:
  sim demo
  sim run scenarios/raft_failover.py --seed 7
  sim run scenarios/raft_failover.py --set duration=60 --set system.nodes=3
  sim compare Raft MultiPaxos "PrimaryBackup(mode='async')" --seeds 5
  sim sweep scenarios/raft_failover.py --vary system.nodes=3,5,7 --seeds 5
  sim check history.jsonl --model register
"""


class _LazyGroup(click.Group):
    """Imports a subcommand when it is called; the help needs only its name and its first line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"sim.commands.{cmd_name}")
        command: click.Command = getattr(module, "command", None) or getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sim")
def cli() -> None:
    """A simulator for distributed systems: scenarios in, frames, verdicts and charts out."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; bad input is one line on standard error and exit code 2, never a traceback.

    ``arguments``: what stands behind ``sim``; None: those of this process.
    """
    try:
        cli.main(arguments, prog_name="sim", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        click.echo("sim: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"sim: {' '.join(error.format_message().split())}", err=True)
        sys.exit(error.exit_code if error.exit_code == 1 and not isinstance(error, click.UsageError) else 2)
    except BrokenPipeError:
        sys.exit(0)
    except (ValueError, LookupError, OSError, ImportError, TypeError, SyntaxError, AttributeError) as error:
        click.echo(f"sim: {_one_line(error)}", err=True)
        sys.exit(2)


def _one_line(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    notes = "; ".join(getattr(error, "__notes__", ()))
    return " ".join(f"{text or type(error).__name__}{f' ({notes})' if notes else ''}".split())
