"""`sim zoo`: famous mistakes in distributed protocols."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command("zoo", epilog="Example: sim zoo RF3")
@click.argument("mistake", metavar="[MISTAKE]", required=False)
def command(mistake: str | None) -> None:
    """List famous mistakes in distributed protocols, or tell one: `sim zoo RF3`.

    Each is a correct protocol with one thing overridden, and can be run like any system: sim.zoo:RF3.
    """
    from sim.zoo import BUGS

    if mistake is None:
        for found in BUGS.values():
            click.echo(f"{found.id:<5} {found.protocol:<22} {found.kind:<13} {found.what}")
        return
    known = BUGS.get(mistake.upper())
    if known is None:
        raise click.BadParameter(
            f"there is no {mistake!r}; there are {', '.join(BUGS)}", param_hint="MISTAKE"
        )
    click.secho(f"{known.id}: {known.what}", bold=True)
    click.echo(f"in:       {known.correct.label}")
    click.echo(f"costs:    {known.kind}")
    click.echo(f"happened: {known.happened}")
    click.echo(f"code:     {known.mutated.__module__}, class {known.id}")
