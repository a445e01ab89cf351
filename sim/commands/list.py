"""`sim list`: list systems, products, applications, networks, workloads, faults and scenarios."""

from __future__ import annotations

import ast
from pathlib import Path

import click

from sim.commands.inputs import story_folders

__all__ = ["command"]


@click.command("list", epilog="Example: sim list --scenarios scenarios")
@click.option(
    "--scenarios",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of scenario scripts; default: scenarios/ here, and those that come with the package.",
)
def command(folder: Path | None) -> None:
    """List systems, products, applications, networks, workloads, faults and scenarios."""
    import sim.faults
    import sim.network
    import sim.protocols
    import sim.protocols.applications
    import sim.workload
    from sim.faults import Fault
    from sim.protocols.application import Application
    from sim.protocols.products import all_products
    from sim.system import System

    def show(title: str, rows: list[tuple[str, str]]) -> None:
        if rows:
            click.secho(title, bold=True)
            width = max(len(name) for name, _ in rows)
            for name, text in rows:
                click.echo(f"  {name.ljust(width)}  {text}")

    def classes(module: object, base: type | None) -> list[tuple[str, str]]:
        found = [(name, getattr(module, name)) for name in sorted(getattr(module, "__all__", ()))]
        return [
            (name, _first_line(thing.__doc__))
            for name, thing in found
            if callable(thing)
            and (base is None or (isinstance(thing, type) and issubclass(thing, base) and thing is not base))
        ]

    show("Systems", classes(sim.protocols, System))
    show(
        "Products",
        [(f'{system.__name__}.like("{product.name}")', product.title) for system, product in all_products()],
    )
    show("Applications", classes(sim.protocols.applications, Application))
    show("Networks", [row for row in classes(sim.network, None) if row[0][0].islower()])
    show("Workloads", classes(sim.workload, sim.workload.Workload))
    show("Faults", classes(sim.faults, Fault))
    for place in story_folders() if folder is None else [folder]:
        rows = [(_named(path), title) for path in sorted(place.glob("*.py")) if (title := _title(path))]
        if not rows and folder is not None:
            raise click.UsageError(
                f"there is no scenario script (a .py file with a docstring) in {str(folder)!r}"
            )
        show("Scenarios", rows)


def _named(path: Path) -> str:
    """The argument for `sim run`: the path, or the name for a script of the package."""
    return path.stem if path.is_absolute() else str(path)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _title(path: Path) -> str:
    try:
        return _first_line(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
    except (SyntaxError, UnicodeDecodeError):
        return "(cannot be read)"
