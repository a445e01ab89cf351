"""`sim check`: judge a history."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from sim.commands.output import chart_file

__all__ = ["check"]

_MODELS = ("auto", "register", "cas-register", "key-value", "counter", "set", "queue")
_LINES = 20  # lines of a counterexample that are printed


@click.command(
    "check",
    epilog="Example: sim check history.jsonl --model register. "
    "Exit code: 0 valid, 1 invalid, 3 unknown (budget spent, the question does not apply, or no operation "
    "succeeded), 2 bad input.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--model", type=click.Choice(_MODELS), default="auto", show_default=True, help="What the keys hold."
)
@click.option(
    "--consistency",
    default="linearizable",
    show_default=True,
    help="linearizable, sequential, causal, CC, CCv, CM, pram, regular, read-your-writes, monotonic-reads, "
    "monotonic-writes, writes-follow-reads, eventual; or `strongest` for the strongest that holds.",
)
@click.option(
    "--initial", metavar="JSON", default=None, help="What every key starts with (default: null, 0, empty)."
)
@click.option(
    "--failed-cas",
    type=click.Choice(["drop", "mismatch"]),
    default="drop",
    show_default=True,
    help="A failed cas only did not happen, or says that the value was another one.",
)
@click.option(
    "--budget", type=click.IntRange(min=1), default=10_000_000, show_default=True, help="Steps of search."
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=chart_file,
    default=None,
    help="Write a chart (PNG, SVG, PDF).",
)
@click.option("--text", is_flag=True, help="Print the history as a timeline, too.")
def check(
    file: str,
    model: str,
    consistency: str,
    initial: str | None,
    failed_cas: str,
    budget: int,
    plot: Path | None,
    text: bool,
) -> None:
    """Judge a history of client operations: FILE holds one JSON object a line; - is standard input.

    Histories of events are read, too (EDN of Jepsen and Knossos, JSON and logs of Jepsen), recognised by their first
    lines.

    \b
    {"process": 3, "kind": "cas", "key": "x", "value": [1, 2], "call": 0.1, "return": 0.2, "status": "ok"}
    """
    from sim.analysis.checks import Verdict, strongest
    from sim.analysis.checks import check as judge
    from sim.analysis.history import read_history

    options: dict[str, Any] = {"model": model, "failed_cas": failed_cas, "budget": budget, "progress": True}
    try:
        options["initial"] = None if initial is None else _json(initial)
        operations = read_history(sys.stdin if file == "-" else file, progress=True)
        if "note" in operations.attrs:
            click.echo(operations.attrs["note"], err=True)
        if initial is None and operations.attrs.get("initial") is not None:
            options["initial"] = operations.attrs["initial"]
        name = consistency
        if consistency == "strongest":
            name = strongest(operations, **options)
            click.echo(f"strongest: {name}")
            if name == "none":
                sys.exit(1 if judge(operations, **options).valid is False else 3)
        verdict: Verdict = judge(operations, name, witness=plot is not None or text, **options)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
    _report(verdict)
    try:
        _draw(operations, verdict, plot, text)
    except (ValueError, OSError) as error:  # an error of the chart does not change the verdict
        click.echo(f"sim check: no chart: {' '.join(str(error).split())}", err=True)
    sys.exit({"valid": 0, "invalid": 1, "unknown": 3}[verdict.status])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"--initial {text!r} is not JSON: {error}") from None


def _report(verdict: Any) -> None:
    click.echo(f"{verdict.status}: {verdict.consistency} ({verdict.model}). {verdict.reason}")
    for operation in verdict.counterexample[:_LINES]:
        click.echo(f"  {operation.label}: {operation}")
    if len(verdict.counterexample) > _LINES:
        click.echo(f"  … and {len(verdict.counterexample) - _LINES} more")


def _draw(operations: Any, verdict: Any, plot: Path | None, text: bool) -> None:
    if text:
        from sim.analysis.checks import history_text

        click.echo("\n".join(history_text(operations, verdict).splitlines()[1:]))
    if plot is not None:
        import matplotlib

        matplotlib.use("agg")
        from sim.analysis.checks import history_chart
        from sim.analysis.plots import save

        told = f"data model: {verdict.model}; verdict: {verdict.status}"
        save(history_chart(operations, verdict), plot, dpi=150, settings=told)
        click.echo(f"chart: {plot}")
