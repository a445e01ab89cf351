"""A paper: ``paper.toml`` says for each figure what is run, how it is drawn, and in which file it stands.

.. code-block:: toml

    form = 1
    title = "..."
    modules = ["protocol"]              # modules of this folder that the figures name

    [[figures]]
    output = "figures/latency.pdf"
    scenario = "scenario.toml"          # a scenario in the written form
    systems = [{class = "protocol:Mine"}, {class = "Raft"}]
    seeds = 5
    chart = "by_region"                 # a chart of a comparison; with vary, of a sweep

    [[figures]]
    output = "figures/own.svg"
    script = "own.py"                   # defines figure(path), which draws into that file

Nothing else is run: modules and scripts must lie in the folder of the paper.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.lab.reproduce.answers import Reproduced, judged
from sim.lab.reproduce.folder import drawn_by_script, inside, modules_of
from sim.lab.reproduce.pictures import PICTURES
from sim.lab.scenario import Scenario
from sim.system import System
from sim.written.names import did_you_mean
from sim.written.texts import parse_toml
from sim.written.tree import from_dict, from_tree

__all__ = ["Paper", "PaperFigure", "read_paper"]

_FORM = 1
_COMPARED = (
    *("anatomy", "availability", "bars", "by_region", "latency_cdf", "latency_percentiles", "messages"),
    *("timeline", "unavailability"),
)
_SWEPT = ("heatmap", "lines", "throughput_latency")


@dataclass(frozen=True)
class PaperFigure:
    """A figure: its file below the folder of the paper, and either a ``script`` or what is declared."""

    output: str
    script: str | None = None
    scenario: str | None = None
    systems: Sequence[Any] = ()
    vary: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Sequence[int] = 5
    chart: str = "latency_cdf"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """The contents of a ``paper.toml``; ``folder`` is the folder that contains it."""

    folder: Path
    title: str
    modules: tuple[str, ...]
    figures: tuple[PaperFigure, ...]

    def draw(self, *, workers: int | None = None, progress: str | None = "drawing") -> list[Path]:
        """Draw all figures into their files; returns the paths."""
        with modules_of(self.folder, self.modules):
            return [
                self._drawn(figure, self.folder / figure.output, workers, progress) for figure in self.figures
            ]

    def reproduce(
        self, *, workers: int | None = None, progress: str | None = "reproducing"
    ) -> list[Reproduced]:
        """Draw each figure once more, into another place, and compare what both state.

        Raises ValueError for a figure that is not there.
        """
        from sim.lab.reproduce.again import read_record

        old = {figure.output: read_record(self.folder / figure.output) for figure in self.figures}
        answers = []
        with modules_of(self.folder, self.modules), tempfile.TemporaryDirectory() as place:
            for number, figure in enumerate(self.figures):
                new = Path(place) / f"{number}{Path(figure.output).suffix}"
                self._drawn(figure, new, workers, progress)
                answers.append(judged(figure.output, old[figure.output], read_record(new)))
        return answers

    def _drawn(self, figure: PaperFigure, path: Path, workers: int | None, progress: str | None) -> Path:
        from sim.analysis.plots import save

        path.parent.mkdir(parents=True, exist_ok=True)
        if figure.script is not None:
            return drawn_by_script(self.folder, figure.script, path)
        results = self._results(figure, workers, progress)
        return save(getattr(results.plot, figure.chart)(**figure.options), path)

    def _results(self, figure: PaperFigure, workers: int | None, progress: str | None) -> Any:
        from sim.lab.compare import compare
        from sim.lab.sweep import sweep

        scenario = self._scenario(figure)
        systems = [self._system(tree, figure) for tree in figure.systems]
        seeds = figure.seeds if isinstance(figure.seeds, int) else list(figure.seeds)
        try:
            if not figure.vary:
                return compare(systems, scenario, seeds=seeds, workers=workers, progress=progress)
            fields = ({"system": systems} if systems else {}) | {
                name: [from_tree(value, name.partition(".")[0], self.modules) for value in values]
                for name, values in figure.vary.items()
            }
            return sweep(scenario, fields, seeds=seeds, workers=workers, progress=progress)
        except ValueError as error:
            raise ValueError(f"{figure.output}: {error}") from error

    def _scenario(self, figure: PaperFigure) -> Scenario:
        file = inside(self.folder, str(figure.scenario), figure.output)
        try:
            return Scenario.from_toml(file.read_text(encoding="utf-8"), allow=self.modules)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def _system(self, tree: Any, figure: PaperFigure) -> System:
        made: System = from_dict(tree, System, allow=self.modules, path=f"{figure.output}: system")
        return made


def read_paper(file: Path | str) -> Paper:
    """The paper of a ``paper.toml``. Raises ValueError, with the file and the entry, for an entry that is refused."""
    place = Path(file)
    try:
        tree = parse_toml(place.read_text(encoding="utf-8"))
        return _paper(place.resolve().parent, tree)
    except OSError as error:
        raise ValueError(f"{place} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _paper(folder: Path, tree: Mapping[str, Any]) -> Paper:
    _known(tree, ("form", "title", "modules", "figures"), "a paper")
    if tree.get("form") != _FORM:
        raise ValueError(f"it has the form {tree.get('form')!r}; this version reads the form {_FORM}")
    modules = tree.get("modules", [])
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise ValueError(f"modules must be a list of names, not {modules!r}")
    for name in modules:
        if not name.isidentifier():
            raise ValueError(
                f"modules: {name!r} is no module of this folder; a module is a file {name}.py in it"
            )
        inside(folder, f"{name}.py", "modules")
    figures = tree.get("figures", [])
    if not isinstance(figures, list) or not figures:
        raise ValueError("it has no [[figures]]")
    found = tuple(_figure(folder, entry) for entry in figures)
    outputs = [figure.output for figure in found]
    for output in outputs:
        if outputs.count(output) > 1:
            raise ValueError(f"two figures stand in {output!r}")
    return Paper(folder, str(tree.get("title", "")), tuple(modules), found)


def _figure(folder: Path, entry: Any) -> PaperFigure:
    names = tuple(PaperFigure.__dataclass_fields__)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("output"), str):
        raise ValueError(f'a figure needs output = "FILE", not {entry!r}')
    output = str(entry["output"])
    _known(entry, names, output)
    if Path(output).suffix.lower() not in PICTURES:
        raise ValueError(f"{output!r} is no picture: its name ends in none of {', '.join(PICTURES)}")
    inside(folder, output, output, there=False)
    figure = PaperFigure(**entry)
    if (figure.script is None) == (figure.scenario is None):
        raise ValueError(f"{output}: give either a script or a scenario")
    if figure.script is not None:
        given = [name for name in entry if name not in ("output", "script")]
        if given:
            raise ValueError(f"{output}: {given[0]} has no effect beside a script")
        inside(folder, str(figure.script), output)
        return figure
    inside(folder, str(figure.scenario), output)
    charts = _SWEPT if figure.vary else _COMPARED
    if figure.chart not in charts:
        kind = "sweep" if figure.vary else "comparison"
        near = did_you_mean(str(figure.chart), charts)
        raise ValueError(
            f"{output}: a {kind} has no chart {figure.chart!r}{near}; it has {', '.join(charts)}"
        )
    if not figure.vary and not figure.systems:
        raise ValueError(f"{output}: give systems to compare, or fields to vary")
    if "ax" in figure.options:
        raise ValueError(f"{output}: options cannot hold ax")
    return figure


def _known(tree: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    for key in tree:
        if key not in names:
            raise ValueError(
                f"{what} has no entry {key!r}{did_you_mean(key, names)}; it has {', '.join(names)}"
            )
