"""`sim schema`: print the JSON Schema of the written form."""

from __future__ import annotations

import json

import click

__all__ = ["command"]


@click.command("schema", epilog="Example: sim schema > scenario.schema.json")
def command() -> None:
    """Print the JSON Schema of scenario files (JSON and TOML), for editors and other programs.

    The schema is made from the classes of the library and the annotations of their fields.
    """
    from sim.written import schema

    click.echo(json.dumps(schema(), indent=2))
