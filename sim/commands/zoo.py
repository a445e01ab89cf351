"""`sim zoo`: famous mistakes in distributed protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sim.commands.fuzz import find, fuzz_options

if TYPE_CHECKING:
    from sim.zoo import Bug

__all__ = ["command"]


@click.command("zoo", epilog="Examples: sim zoo RF3; sim zoo RF3 --find --seed 1")
@click.argument("mistake", metavar="[MISTAKE]", required=False)
@click.option(
    "--find", "finds", is_flag=True, help="Look for a run that shows the mistake, as `sim fuzz` does."
)
@fuzz_options
@click.pass_context
def command(context: click.Context, /, mistake: str | None, finds: bool, **options: Any) -> None:
    """List famous mistakes in distributed protocols, or tell one: `sim zoo RF3`.

    Each is a correct protocol with one thing overridden, and can be run like any system: sim.zoo:RF3. The options other
    than --find are those of `sim fuzz`, and need --find.

    Exit code with --find 1: something broke, or runs failed; 0: nothing; 2: bad input.
    """
    if not finds:
        _refuse_options_of_find(context, options)
    if mistake is None:
        if finds:
            raise click.UsageError("--find needs a mistake to look for, such as RF3")
        _list()
        return
    known = _known(mistake)
    if finds:
        context.exit(find(known.system, **options))
    click.secho(f"{known.id}: {known.what}", bold=True)
    click.echo(f"in:       {known.correct.label}")
    click.echo(f"costs:    {known.kind}")
    click.echo(f"happened: {known.happened}")
    click.echo(f"code:     {known.mutated.__module__}, class {known.id}")


def _refuse_options_of_find(context: click.Context, options: Mapping[str, Any]) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in options and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} has an effect only with --find")


def _known(mistake: str) -> Bug:
    from sim.zoo import BUGS

    known = BUGS.get(mistake.upper())
    if known is None:
        raise click.BadParameter(
            f"there is no {mistake!r}; there are {', '.join(BUGS)}", param_hint="MISTAKE"
        )
    return known


def _list() -> None:
    from sim.zoo import BUGS

    for found in BUGS.values():
        click.echo(f"{found.id:<5} {found.protocol:<22} {found.kind:<13} {found.what}")
