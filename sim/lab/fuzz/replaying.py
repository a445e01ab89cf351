"""Replay files: a schedule, what broke in it, and the digest of its run; and playing them again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sim.arguments import checked
from sim.display import Displayed
from sim.faults.strike import Strike
from sim.faults.when import Trigger
from sim.lab.fuzz.judging import Breakage
from sim.lab.fuzz.playing import Played, play
from sim.lab.version import version
from sim.written.texts import json_of, parse_json
from sim.written.tree import from_dict, to_dict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.lab.run import Run
    from sim.lab.scenario import Scenario

__all__ = ["NotPlayable", "Replay", "Replayed", "load_replay", "picture_of", "story_of"]

_FORM = 1
_BEFORE, _MARGIN = 0.05, 0.05
"""A picture begins so many seconds before the last fault, and has this part of its length as a margin at its end."""


class NotPlayable(ValueError):
    """A replay file whose schedule cannot be played as it is written, by this version."""


@dataclass(frozen=True)
class Replay(Displayed):
    """A schedule in which something broke.

    Attributes
    ----------
    scenario, seed: the schedule. broken: what broke. digest: that of the run. version: that of `sim` which made it.
    unreached: the triggers of its faults that were not reached when the file was made.
    """

    scenario: Scenario
    seed: int
    broken: Breakage
    digest: str
    version: str
    unreached: tuple[Trigger, ...] = ()

    @classmethod
    def of(cls, scenario: Scenario, seed: int) -> Replay:
        """The replay of a schedule. Raises ValueError if nothing breaks in it."""
        played = play(scenario, seed)
        if played.broken is None:
            raise ValueError(f"nothing breaks in {scenario.system.label} with seed {seed}")
        return cls(scenario, seed, played.broken, played.run.digest(), version(), played.simulation.unreached)

    def __repr__(self) -> str:
        return f"<Replay of {self.scenario.system.label}, seed {self.seed}: {self.broken.invariant}>"

    def text(self) -> str:
        """What broke, in which schedule."""
        return f"{self.scenario.system.label}, seed {self.seed}: {self.broken}\nmade by {self.version}"

    def to_json(self) -> str:
        """Its file. Raises ValueError, with the path, if the scenario has no written form."""
        tree = {
            "replay": _FORM,
            "version": self.version,
            "seed": self.seed,
            "digest": self.digest,
            "broken": to_dict(self.broken),
            "unreached": [to_dict(trigger) for trigger in self.unreached],
            "scenario": self.scenario.to_dict(),
        }
        return json_of(tree) + "\n"

    def save(self, path: Path | str) -> Path:
        """Write its file; returns the path."""
        file = Path(path)
        file.write_text(self.to_json(), encoding="utf-8")
        return file

    def play(self) -> Replayed:
        """Play it again, and compare. Raises `NotPlayable` for a fault that cannot happen any more as it is written."""
        try:
            return Replayed(self, play(self.scenario, self.seed))
        except (ValueError, LookupError) as error:
            raise NotPlayable(f"the schedule cannot be played as it is written: {error}") from error


@dataclass(frozen=True)
class Replayed(Displayed):
    """A replay that was played again."""

    replay: Replay
    played: Played

    def __repr__(self) -> str:
        return f"<Replayed {self.replay.scenario.system.label}, seed {self.replay.seed}: {self.outcome}>"

    @property
    def outcome(self) -> Literal["same", "nothing", "other", "not as written"]:
        """Whether the same invariant broke, nothing, or something else.

        "not as written": nothing broke, and a fault did not strike, as its trigger was not reached.
        """
        found = self.played.broken
        if found is None:
            return "not as written" if self.unreached else "nothing"
        return "same" if found.invariant == self.replay.broken.invariant else "other"

    @property
    def unreached(self) -> tuple[Trigger, ...]:
        """The triggers that were reached when the file was made, and are not any more."""
        return tuple(one for one in self.played.simulation.unreached if one not in self.replay.unreached)

    @property
    def differences(self) -> list[str]:
        """What is otherwise than when the file was made, a line each: the version, the digest of the run."""
        told = []
        if self.replay.version != version():
            told.append(f"the version is {version()}; the file was made by {self.replay.version}")
        digest = self.played.run.digest()
        if self.replay.digest != digest:
            told.append(
                f"the run is another one: its digest is {digest}; in the file it is {self.replay.digest}"
            )
        told += [
            f"a fault did not strike: its trigger {trigger!r} is not reached" for trigger in self.unreached
        ]
        return told

    def text(self) -> str:
        """What happened, in a few lines."""
        found, wanted = self.played.broken, self.replay.broken
        if self.outcome == "same":
            first = f"the same breaks again: {found}"
        elif self.outcome == "not as written":
            first = f"the schedule cannot be played as it is written; when the file was made, this broke: {wanted}"
        elif self.outcome == "nothing":
            first = f"nothing breaks; when the file was made, this did: {wanted}"
        else:
            first = f"something else breaks: {found}; when the file was made, this did: {wanted}"
        return "\n".join([first, *self.differences])


@checked
def load_replay(path: Path | str, *, allow: Collection[str] = ()) -> Replay:
    """The replay in a file.

    ``allow``: names of modules outside ``sim`` whose classes the file may name; they are imported.

    Raises OSError for a file that cannot be read, ValueError for one that is no replay file, `NotPlayable` where its
    schedule cannot be made by this version: a class or a field that is not there any more, a module that is not
    allowed.
    """
    tree = parse_json(Path(path).read_text(encoding="utf-8"))
    if not isinstance(tree, dict) or tree.get("replay") != _FORM:
        raise ValueError(f"{path} is no replay file of form {_FORM}: it has no such 'replay'")
    try:
        broken: Breakage = from_dict(tree["broken"], Breakage)
        unreached = tuple(from_dict(one, Trigger) for one in tree.get("unreached", ()))
        seed, digest, made_by = tree["seed"], tree["digest"], tree["version"]
        written: Any = tree["scenario"]
    except KeyError as missing:
        raise ValueError(f"{path} is no replay file: it has no {missing}") from None
    if not isinstance(seed, int) or not isinstance(digest, str) or not isinstance(made_by, str):
        raise ValueError(f"{path} is no replay file: its seed, digest or version is of the wrong kind")
    from sim.lab.scenario import Scenario

    try:
        scenario = Scenario.from_dict(written, allow=allow)
    except (ValueError, TypeError, LookupError) as error:
        raise NotPlayable(f"{path} cannot be played as it is written: {error}") from error
    return Replay(scenario, seed, broken, digest, made_by, unreached)


def story_of(scenario: Scenario, seed: int, *, width: int = 140) -> tuple[str, Run]:
    """The story of a schedule, with what breaks in it at the end; and its run with a full trace, for charts."""
    played = play(replace(scenario, trace="full"), seed)
    calm = played.simulation.calmed
    return played.run.story(broken_lines(played.broken), calm=calm, width=width), played.run


def picture_of(run: Run) -> Axes:
    """The space-time diagram of a schedule that was run with a full trace, from shortly before its last fault on."""
    times = [
        fault.at for fault in run.scenario.faults if isinstance(fault, Strike) and isinstance(fault.at, float)
    ]
    begin = max(0.0, max(times, default=0.0) - _BEFORE)
    margin = _MARGIN * (run.ended - begin)
    return run.plot.space_time((begin, run.ended + margin), clients=True)


def broken_lines(broken: Breakage | None) -> list[str]:
    """The end of a story: what broke, and the facts that show it, a line each."""
    if broken is None:
        return ["Nothing broke."]
    when = "" if broken.time is None else f" at {broken.time:.6f} s"
    where = f" on {', '.join(broken.nodes)}" if broken.nodes else ""
    return [f"BROKEN{when}{where}: {broken.invariant}", *(f"  {fact}" for fact in broken.facts)]
