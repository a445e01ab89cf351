"""Measures whether `sim fuzz` finds the mistakes of the zoo, and makes docs/zoo.md of it: python docs/make_zoo.py.

Each search is `sim.lab.fuzz.fuzz` with its defaults; nothing is tuned to a mistake. For each mistake:

1. three searches of 500 runs (seeds 0, 1, 2);
2. one of 5,000 runs (seed 3), if none of the three found anything;
3. for mistakes of safety and liveness, one of 1,000 runs (seed 0) with our own invariants off (``check="free"``).

With --mutants, the mutants of tests/**/test_*_mutants.py, too: one search of 500 runs each (seed 0).

Results go to docs/zoo.json as they come, so that a measurement can be stopped and gone on with. What was measured with
other sources (`sim.zoo.sources`; for a mutant: any of `sim`) is measured again. A search that its time limit cut short
is marked so, and made again when it is given more time. Each result says with which sources it was made: `--searches`
may leave some for another day.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sim.lab.fuzz import Find, fuzz, shrink_schedule
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm
from sim.lab.version import version
from sim.node import Node
from sim.system import System
from sim.zoo import BUGS, Bug, Mutated
from sim.zoo.sources import sources_of

HOME = Path(__file__).resolve().parent
RESULTS, PAGE, STORMS = HOME / "zoo.json", HOME / "zoo.md", HOME / "storms.json"

SEEDS, RUNS, LONG_RUNS, FREE_RUNS = (0, 1, 2), 500, 5000, 1000
LONG_SEED = 3
WITH_FREE = ("safety", "liveness")
SEARCHES = (*map(str, SEEDS), "long", "free")
"""The names of the searches for a mistake."""


@dataclass(frozen=True)
class Measured:
    """What a search gave.

    Attributes
    ----------
    runs: made. found: the number of the run that broke; None: none did. invariant: what broke.
    seconds: real time. cut: whether the time limit ended it. faults, operations: those of the shrunk story.
    """

    runs: int
    found: int | None = None
    invariant: str = ""
    seconds: float = 0.0
    cut: bool = False
    faults: int | None = None
    operations: int | None = None
    limit: float = 0.0  # the seconds that it was given
    error: str = ""  # what the search raised; what it found is lost then
    sources: str = ""  # their digest, and the commit
    commit: str = ""

    def wants_more_than(self, limit: float) -> bool:
        """Whether it found nothing before its time was over, and may now have much more (seconds)."""
        return self.cut and self.found is None and limit > 1.2 * self.limit

    def text(self, most: int) -> str:
        """A cell of the table. ``most``: how many runs were asked for."""
        if self.found is not None:
            return str(self.found)
        if self.error:
            return f"error: {self.error}"
        ended = f" ({self.limit:.0f} s)" if self.cut and self.runs < most else ""
        return f"not found in {self.runs}{ended}"


@dataclass(frozen=True)
class Asked:
    """A search to make: its name, the most runs, its seed, and whether our own invariants are off."""

    name: str
    runs: int
    seed: int
    free: bool = False

    def storm(self, system: System, seed: int) -> Scenario:
        """The storm of a seed: the usual one."""
        drawn = draw_storm(system, seed)
        return replace(drawn, check="free") if self.free else drawn


class Measurement:
    """The results so far, and what is left of the time."""

    def __init__(
        self,
        budget: float,
        limit: float,
        workers: int,
        results: Path = RESULTS,
        searches: tuple[str, ...] = SEARCHES,
    ) -> None:
        self.until = time.monotonic() + budget
        self.limit, self.workers, self.results, self.searches = limit, workers, results, searches
        kept = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
        self.kept: dict[str, Any] = {"mistakes": {}, "mutants": {}, "of mutants": ""} | kept
        self.commit = f"{_git('rev-parse', '--short', 'HEAD')} ({_git('log', '-1', '--format=%cs')})"

    def begin_mutants(self) -> None:
        """Forget the searches for mutants that were made with other sources of `sim`."""
        if self.kept["of mutants"] != version():
            self.kept |= {"mutants": {}, "of mutants": version()}

    def measure_mutant(self, name: str, system: System) -> None:
        """Make the search for a mutant of the tests, if it is not made yet."""
        limit = min(self.limit, self.until - time.monotonic())
        if name in self.kept["mutants"] or limit <= 0:
            return
        found = search_for(system, Asked("0", RUNS, 0), limit, self.workers, shrinks=False)
        result = replace(found, limit=round(limit, 1), commit=self.commit)
        self.kept["mutants"][name] = asdict(result)
        self._save()
        click.echo(f"{name} {result.text(RUNS)} {result.invariant}")

    def measure(self, bug: Bug) -> None:
        """Make the searches for a mistake that are not made yet, or were made with other sources."""
        for asked in (Asked(str(seed), RUNS, seed) for seed in SEEDS):
            self._make(bug, asked)
        if all(self.of(bug, str(seed)) is None or not self._found(bug, str(seed)) for seed in SEEDS):
            self._make(bug, Asked("long", LONG_RUNS, LONG_SEED), share=4.0)
        if bug.kind in WITH_FREE:
            self._make(bug, Asked("free", FREE_RUNS, 0, free=True), share=2.0)

    def of(self, bug: Bug, name: str) -> Measured | None:
        """The result of a search; None: there is none."""
        found = self.kept["mistakes"].get(bug.id, {}).get(name)
        return None if found is None else Measured(**found)

    def _found(self, bug: Bug, name: str, sources: str | None = None) -> bool:
        """Whether a search has found the mistake; ``sources``: with these (None: with any)."""
        result = self.of(bug, name)
        return result is not None and result.found is not None and sources in (None, result.sources)

    def _make(self, bug: Bug, asked: Asked, share: float = 1.0) -> None:
        if asked.name not in self.searches:
            return
        limit = min(share * self.limit, self.until - time.monotonic())
        known, sources = self.of(bug, asked.name), sources_of(bug)
        stands = known is not None and known.sources == sources and not known.wants_more_than(limit)
        if limit <= 0 or stands:
            return
        told = any(self._found(bug, str(seed), sources) for seed in SEEDS)  # one story of a mistake is enough
        found = search_for(bug.system, asked, limit, self.workers, shrinks=not told and not asked.free)
        result = replace(found, limit=round(limit, 1), sources=sources, commit=self.commit)
        self.kept["mistakes"].setdefault(bug.id, {})[asked.name] = asdict(result)
        self._save()
        click.echo(f"{bug.id:<5} {asked.name:<5} {result.text(asked.runs)} {result.invariant}")

    def _save(self) -> None:
        self.results.write_text(json.dumps(self.kept, indent=1) + "\n", encoding="utf-8")


def mutants() -> dict[str, System]:
    """The mutants of nodes that tests hold, by name, each in the first system whose members run what it changes.

    Mutants of parts, and of nodes that only a test puts together, are left out.
    """
    hosts = [bug.correct for bug in BUGS.values()]
    found: dict[str, System] = {}
    for file in sorted((HOME.parent / "tests").rglob("test_*_mutants.py")):
        module = import_module(".".join(file.relative_to(HOME.parent).with_suffix("").parts))
        for mutant in vars(module).values():
            if isinstance(mutant, type) and issubclass(mutant, Node) and _is_mutant(mutant, module.__name__):
                host = next((one for one in hosts if _runs(one, mutant.__bases__[0])), None)
                if host is not None:
                    found[f"{file.stem[5:-8]} {mutant.__name__}"] = _mutated(host, mutant)
    return found


def _is_mutant(node_class: type, module: str) -> bool:
    """Whether a class in a test module is a mutant: made there, or taken from the zoo."""
    return node_class.__module__ == module or node_class.__module__.startswith("sim.zoo.")


def _runs(system: System, node_class: type) -> bool:
    return any(issubclass(member.node_class, node_class) for member in system.members())


def _mutated(host: System, mutant: type[Node]) -> System:
    cls = type(mutant.__name__, (Mutated, type(host)), {"mutated_nodes": (mutant,)})
    # A field that is given keeps its value in storms: what has its default is not given, as nobody who fuzzes gives it.
    values = {f.name: getattr(host, f.name) for f in fields(host) if f.init}
    return cls(**{f.name: values[f.name] for f in fields(host) if f.init and values[f.name] != f.default})  # type: ignore[no-any-return]


def search_for(system: System, asked: Asked, limit: float, workers: int, *, shrinks: bool) -> Measured:
    """One search, of at most ``limit`` seconds; ``shrinks``: what it finds is shrunk, too."""
    began = time.monotonic()
    try:
        fuzzed = fuzz(
            system,
            runs=asked.runs,
            seconds=limit,
            seed=asked.seed,
            storm=asked.storm,
            shrinking=0.0,
            progress=None,
            workers=workers,
        )
    except Exception as error:  # one search is not worth the measurement
        return Measured(
            0, seconds=round(time.monotonic() - began, 1), error=f"{type(error).__name__}: {error}"
        )
    seconds = round(time.monotonic() - began, 1)
    if not fuzzed.finds:
        return Measured(fuzzed.runs, seconds=seconds, cut=fuzzed.runs < asked.runs)
    first = min(fuzzed.finds, key=lambda find: find.number)
    faults, operations = _size(first) if shrinks else (None, None)
    return Measured(
        fuzzed.runs, first.number, first.broken.invariant, seconds, faults=faults, operations=operations
    )


def _size(find: Find) -> tuple[int | None, int | None]:
    """The faults and operations of the shrunk story."""
    search = shrink_schedule(find.replay.scenario, find.replay.seed)
    return (None, None) if search is None else (len(search.strikes), len(search.calls))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HOME, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def page(kept: dict[str, Any]) -> str:
    """The page, made of the results."""
    return "\n".join(_lines({name: kept["mistakes"].get(name, {}) for name in BUGS}, kept)) + "\n"


def _lines(found: dict[str, dict[str, Any]], kept: dict[str, Any]) -> Iterator[str]:
    results = {
        name: {asked: Measured(**told) for asked, told in searches.items()}
        for name, searches in found.items()
    }
    yield HEAD
    yield from _totals(results)
    yield ""
    yield "## The table"
    yield ""
    commits = dict.fromkeys(one.commit for mine in results.values() for one in mine.values())
    yield (
        f"Measured at commit {', '.join(commits)}; what was measured with sources that have changed since is measured "
        "again when this page is made the next time. Where its time was over before its runs were made, a search that "
        "found nothing says in brackets how many seconds it had."
    )
    yield ""
    yield "| id | what | costs | found in run (seeds 0, 1, 2) | of 5,000 | what broke | s | story | free, of 1,000 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, bug in BUGS.items():
        yield _row(bug, results[name])
    yield from _of_storms()
    if kept["mutants"]:
        yield from _of_mutants({name: Measured(**told) for name, told in kept["mutants"].items()})


def _row(bug: Bug, mine: dict[str, Measured]) -> str:
    three = [mine[str(seed)].text(RUNS) if str(seed) in mine else "not measured" for seed in SEEDS]
    cells = [
        bug.id,
        bug.what,
        bug.kind,
        "; ".join(three),
        mine["long"].text(LONG_RUNS) if "long" in mine else "",
        ", ".join(dict.fromkeys(m.invariant for key, m in mine.items() if m.invariant and key != "free")),
        ", ".join(f"{mine[str(seed)].seconds:.0f}" for seed in SEEDS if str(seed) in mine),
        next((f"{m.faults} / {m.operations}" for m in mine.values() if m.faults is not None), ""),
        _free(bug, mine),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _free(bug: Bug, mine: dict[str, Measured]) -> str:
    if bug.kind not in WITH_FREE:
        return ""
    if "free" not in mine:
        return "not measured"
    free = mine["free"]
    return free.text(FREE_RUNS) + (f": {free.invariant}" if free.invariant else "")


def _totals(results: dict[str, dict[str, Measured]]) -> Iterator[str]:
    """What was found, in numbers, and the names of what was not."""
    seeds = tuple(map(str, SEEDS))
    judged = [name for name, bug in BUGS.items() if bug.kind in WITH_FREE]
    yield "| | of | found | not found | not measured |"
    yield "|---|---|---|---|---|"
    yield _total("a search of 500 runs", results, list(BUGS), seeds)
    yield _total("a search of 500, or of 5,000 runs", results, list(BUGS), (*seeds, "long"))
    yield _total("our own invariants off, 1,000 runs", results, judged, ("free",))
    sizes = [one for mine in results.values() for one in mine.values() if one.faults is not None]
    if sizes:
        faults = _median([one.faults or 0 for one in sizes])
        operations = _median([one.operations or 0 for one in sizes])
        yield ""
        yield f"The {len(sizes)} shrunk stories: in the median {faults:g} faults and {operations:g} operations."


def _total(
    what: str, results: dict[str, dict[str, Measured]], all_of: list[str], searches: tuple[str, ...]
) -> str:
    made = {name: [results[name][c] for c in searches if c in results[name]] for name in all_of}
    found = [name for name in all_of if any(one.found is not None for one in made[name])]
    missing = [name for name in all_of if made[name] and name not in found]
    unmade = [name for name in all_of if not made[name]]
    return f"| {what} | {len(all_of)} | {len(found)} | {', '.join(missing) or 'none'} | {', '.join(unmade) or 'none'} |"


def _of_storms() -> Iterator[str]:
    """What `docs/make_storms.py` has counted."""
    counts = json.loads(STORMS.read_text(encoding="utf-8")) if STORMS.exists() else {"systems": {}}
    made = counts["systems"]
    yield ""
    yield "## Systems without a mistake"
    yield ""
    if not made:
        yield "1,000 storms of 2 s of every system (`python docs/make_storms.py`, `make nightly`): not measured."
        return
    broken = [f"{name} ({one['broken']})" for name, one in made.items() if one["broken"] or one["failed"]]
    yield (
        f"{sum(one['storms'] for one in made.values()):,} storms of 2 s, of {len(made)} systems, at commit "
        f"{counts['commit']} (`python docs/make_storms.py`, `make nightly`). Something broke, or a run failed, in: "
        f"{', '.join(broken) or 'none'}."
    )


def _of_mutants(made: dict[str, Measured]) -> Iterator[str]:
    """What became of the mutants of the tests."""
    missing = [
        f"{name} ({one.error or f'in {one.runs} runs'})" for name, one in made.items() if one.found is None
    ]
    commits = dict.fromkeys(one.commit for one in made.values())
    yield ""
    yield "## The mutants of the tests"
    yield ""
    yield (
        "The classes of nodes in `tests/**/test_*_mutants.py`, each in a system with default settings, one search of "
        f"500 runs (seed 0) at commit {', '.join(commits)}: {len(made) - len(missing)} of {len(made)} found. Some "
        "change nothing unless a test hands a node a message that no node sends. Not found: "
        + ("; ".join(missing) or "none")
        + "."
    )


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


HEAD = """\
# The zoo: are famous mistakes found?

`sim.zoo` has famous mistakes in distributed protocols, each a correct system with one thing overridden. `sim zoo` lists
them, `sim zoo RF3` tells where one happened, and `sim zoo RF3 --find` looks for a run that shows it, shrinks it, and
writes a replay file.

This page is made by `python docs/make_zoo.py`. It measures whether `sim fuzz` finds each mistake with its default
settings, the same for all: three searches of 500 runs (seeds 0, 1, 2); where none of them finds anything, one of
5,000 runs (seed 3); and for the mistakes of safety and liveness one of 1,000 runs without our own invariants
(`check="free"`: only what every system has or declares in one line, claimed consistency, acknowledged writes and
progress). A number is the run that broke. The story is what is left of it after shrinking: faults / operations.
"""


@click.command()
@click.option("--only", default=None, help="These mistakes, such as RF3,RF4; default: all.")
@click.option(
    "--budget", default=2400.0, show_default=True, help="Seconds for all; what is left is not measured."
)
@click.option("--limit", default=30.0, show_default=True, help="Seconds for a search of 500 runs.")
@click.option(
    "--searches", default=",".join(SEARCHES), show_default=True, help="Of the searches, only these."
)
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--mutants", "with_mutants", is_flag=True, help="The mutants of the tests, too.")
@click.option("--again", is_flag=True, help="Forget earlier results.")
def main(
    only: str | None,
    budget: float,
    limit: float,
    searches: str,
    workers: int,
    with_mutants: bool,
    again: bool,
) -> None:
    """Measure what is not measured yet, and write the page."""
    chosen = list(BUGS) if only is None else only.upper().split(",")
    unknown = [name for name in chosen if name not in BUGS]
    if unknown:
        raise click.BadParameter(f"there is no {unknown[0]!r}", param_hint="--only")
    made = tuple(searches.split(","))
    if not set(made) <= set(SEARCHES):
        raise click.BadParameter(f"they are of {', '.join(SEARCHES)}", param_hint="--searches")
    if again:
        RESULTS.unlink(missing_ok=True)
    measurement = Measurement(budget, limit, workers, searches=made)
    for name in chosen:
        measurement.measure(BUGS[name])
    if with_mutants:
        measurement.begin_mutants()
        for name, system in mutants().items():
            measurement.measure_mutant(name, system)
    PAGE.write_text(page(measurement.kept), encoding="utf-8")


if __name__ == "__main__":
    main()
