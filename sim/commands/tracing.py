"""The value of ``--trace``: what a run records of its messages."""

from __future__ import annotations

import click

from sim.cluster import Tracing

__all__ = ["MENU", "tracing_of"]

MENU = "[messages|full|SHARE]"


def tracing_of(context: click.Context, parameter: click.Parameter, value: str | None) -> Tracing | None:
    """``messages``: True, ``full``: "full", a share: the number. Raises `click.BadParameter` for anything else."""
    if value is None or value == "full":
        return "full" if value else None
    if value == "messages":
        return True
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise click.BadParameter(
            f"messages, full, or a share of the messages above 0 and at most 1, not {value!r}"
        )
    return share
