"""A live session: cuts by hand, going back in time, and the script that repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from sim.arguments import checked_methods
from sim.display import Block, Displayed, text_of_blocks
from sim.faults.partitions import between
from sim.lab.disturbable import Disturbable
from sim.lab.labels import describe
from sim.lab.live.journal import Journal, JournalEntry, keeps_journal
from sim.network.detention import Detention
from sim.settings import Seconds

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario
    from sim.lab.simulation import Simulation

__all__ = ["Session"]

_ROUNDING, _DECIMALS = 1e-9, 12  # of seconds

Group = str | Sequence[str]


@keeps_journal
@checked_methods
class Session(Displayed, Disturbable):
    """The part of a simulation for users who are in it: each intervention is noted (`sim.lab.live.journal`)."""

    scenario: Scenario
    seed: int
    _journal: Journal
    _by_hand: list[tuple[list[tuple[str, str]], str]]

    if TYPE_CHECKING:

        @property
        def now(self) -> float: ...
        def find(self, target: str) -> tuple[str, ...]: ...
        def everyone(self, region: str | None = None) -> tuple[str, ...]: ...
        def run(self, until: float | None = None) -> None: ...
        def step(self) -> bool: ...
        def _build(self) -> None: ...

    # Cuts by hand

    def isolate(self, target: str) -> None:
        """Cut a node from all others, clients included, until `heal`.

        ``target``: the name of a node, a machine, a region, or a role: ``"leader"``, the one that leads now. Raises
        ValueError for a name that means none, and for a role that no member holds now.
        """
        group = self._meant(target)
        others = [name for name in self.everyone() if name not in group]
        self._cut_off([group, others])

    def split(self, *groups: Group) -> None:
        """Cut all links between groups of nodes, until `heal`.

        Each group is a target, or several: see `isolate`. Nodes in no group, clients too, keep all their links. With a
        single group, it is cut from all members of the system that are not in it. Raises ValueError for a node that
        stands in two groups, and for a group that is left without a node.
        """
        sides = [self._group(group) for group in groups]
        if len(sides) == 1:
            sides.append([name for name in self._members_by_name() if name not in sides[0]])
        if len(sides) < 2 or not all(sides):
            raise ValueError(f"split: groups of nodes are needed, none of them empty, not {groups!r}")
        named = [name for side in sides for name in side]
        twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
        if twice:
            raise ValueError(f"split: {', '.join(twice)} would be in two groups of {groups!r}")
        self._cut_off(sides)

    def cut(self, pairs: list[tuple[str, str]], label: str = "") -> None:
        """Cut directed links: (source, destination). They are healed by `heal`."""
        if self._journal.under_way == "cut":
            self._by_hand.append((pairs, label))
        super().cut(pairs, label)

    def heal(self, pairs: list[tuple[str, str]] | None = None, label: str = "") -> None:
        """Take back one cut of these directed links; without links, all that was cut by hand.

        A cut of one of the scenario's faults ends when that fault says.
        """
        if pairs is not None:
            super().heal(pairs, label)
            return
        for cut, named in self._by_hand:
            super().heal(cut, named)
        self._by_hand = []

    def _cut_off(self, sides: list[list[str]]) -> None:
        pairs, label = between(map(tuple, sides)), " | ".join(map(",".join, sides))
        if not self._calm:
            self._by_hand.append((pairs, label))
        super().cut(pairs, label)

    def _members_by_name(self) -> Iterable[str]:
        return (name for name, host in self.cluster.hosts.items() if host.member.role != "client")

    def _group(self, group: Group) -> list[str]:
        targets = [group] if isinstance(group, str) else group
        if not isinstance(targets, list | tuple) or not all(isinstance(target, str) for target in targets):
            raise ValueError(f"split: a group is a name, or a list of names, not {group!r}")
        return list(dict.fromkeys(name for target in targets for name in self._meant(target)))

    def _meant(self, target: str) -> list[str]:
        found = list(self.everyone(target) if target not in self.cluster.hosts else ()) or list(
            self.find(target)
        )
        if not found:
            raise ValueError(f"no member is {target} now: run on, or name a node")
        return found

    # Back in time

    @property
    def journal(self) -> tuple[JournalEntry, ...]:
        """What was done by hand so far, and how far the session ran in between."""
        return tuple(self._journal.entries)

    def back(self, seconds: Seconds) -> None:
        """Go back by so many simulated seconds: begin again from the seed, and repeat what was done before that time.

        Interventions at that time or later are forgotten, so that something else can be tried. Nodes are new objects
        afterwards. Raises ValueError if the session has not run for so long.
        """
        target = self._noted_time(self.now - seconds)
        if target < 0.0:
            raise ValueError(f"back: {seconds:g} s ago is before the start: it is {self.now:g} s")
        kept: list[JournalEntry] = []
        for entry in self._journal.entries:
            later = entry.time > target if entry.moves else entry.time >= target
            if later:
                break
            kept.append(entry)
        for value in (value for entry in kept for value in (*entry.arguments, *entry.options.values())):
            if isinstance(value, Detention):
                value.forget()
        self._build()
        repeat(self, kept)
        self.run(until=target)

    def _noted_time(self, time: float) -> float:
        """A difference of two times without its rounding: the time of an entry, if it is so near."""
        entries = self._journal.entries
        return next((e.time for e in entries if abs(e.time - time) < _ROUNDING), round(time, _DECIMALS))

    def text(self) -> str:
        """What it shows of itself: the time, and of each member its state, role, term and log, in short."""
        return text_of_blocks(self.blocks())

    def blocks(self) -> list[Block]:
        """The parts of its `text`."""
        from sim.lab.live.look import look

        return look(cast("Simulation", self))

    def __repr__(self) -> str:
        return f"<Simulation of {describe(self.scenario.system)}, seed {self.seed}, at {self.now:.6g} s>"

    def __str__(self) -> str:
        """Its script; its state instead, with the reason, where the script cannot be written."""
        try:
            return self.script()
        except ValueError as reason:
            return f"{self.text()}\n\nThere is no script: {reason}"

    def script(self) -> str:
        """The Python script that repeats this session: scenario, seed, and each intervention at its simulated time.

        Raises ValueError, with the reason, for what cannot be written: a function whose text is not known, a value
        without a written form, a session that was interrupted within an event.
        """
        from sim.lab.live.script import script_of

        return script_of(self.scenario, self.seed, self._journal.entries)


def repeat(session: Session, entries: Iterable[JournalEntry]) -> None:
    """Do to a new session what was done to another one. What was raised then is raised again, and passes."""
    from sim.lab.live.script import refuse_interrupted

    for entry in entries:
        refuse_interrupted(entry)
        try:
            _again(session, entry)
        except Exception as error:
            if entry.error is None or not isinstance(error, entry.error):
                raise


def _again(session: Session, entry: JournalEntry) -> None:
    if entry.verb == "step":
        for _ in range(entry.arguments[0]):
            session.step()
    else:
        getattr(session, entry.verb)(*entry.arguments, **entry.options)
