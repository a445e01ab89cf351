"""The option ``--advice`` of `sim compare` and `sim sweep`: what rules say of the measured settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sim.lab.settings import MeasuredSettings

__all__ = ["advice_option", "print_advice"]

advice_option = click.option(
    "--advice",
    is_flag=True,
    help="Print in sentences which settings are surely better, and what a choice costs; needs 5 seeds.",
)


def print_advice(results: MeasuredSettings, *measures: str) -> None:
    """Print the sentences, or why there are none."""
    from sim.analysis.advice import LEAST_SEEDS

    found = results.advice(*measures)
    none = f"none: intervals overlap, or there are fewer than {LEAST_SEEDS} seeds of each setting"
    click.echo("\n".join(["", "advice:", *(f"- {one}" for one in found)]) if found else f"\nadvice: {none}")
