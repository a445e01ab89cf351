"""Epidemic spreading of updates: rumour mongering and anti-entropy, as a part for any node.

Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", PODC 1987.

*Rumour mongering* (section 1.4): an update that a member learns is *hot*. Once per cycle the member contacts another
member at random and pushes hot updates, or pulls them, or both. It loses interest in an update

- with *feedback*: after unnecessary contacts (the other member knew the update); *blind*: after any contact;
- by a *counter*: after k such contacts in a row; by a *coin*: after each such contact with probability 1/k.

So some members may never receive an update (the residue). *Anti-entropy* (1.3) reaches all members: periodically a
member compares its whole database with that of a random other member, and they exchange missing updates.

To reproduce table 1, the paper must be read as follows: a contact is unnecessary if the other member knew the update
when the cycle began, and a useful contact resets the counter. For pull, a cycle is useful if at least one of the
members that asked in it needed the update (the paper's footnote on pull and counters).

Updates of a key are ordered by (time on the writer's clock, name of the writer): the last writer wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any, Literal

from sim.message import message
from sim.node import Part, durable_map
from sim.settings import Count, Seconds, Value

__all__ = [
    "AntiEntropy",
    "Digest",
    "Epidemic",
    "Feedback",
    "Missing",
    "Mongering",
    "Pull",
    "Rumours",
    "Written",
]

Style = Literal["push", "pull", "push-pull"]


@message
class Written:
    """An update: ``writer`` wrote ``value`` to ``key`` at ``time`` (seconds on its clock)."""

    key: str
    value: Any
    time: float
    writer: str

    @property
    def version(self) -> tuple[float, str]:
        """The version, by which the updates of a key are ordered."""
        return (self.time, self.writer)


@message
class Rumours:
    """Hot updates; ``feedback``: whether the receiver should say which of them were unnecessary."""

    updates: tuple[Written, ...]
    feedback: bool


@message
class Pull:
    """Asks the receiver for its hot updates."""


@message
class Feedback:
    """For each key: whether the sender of this message needed the update (did not know it when the cycle began)."""

    needed: tuple[tuple[str, bool], ...]


@message
class Digest:
    """The versions of all updates that the sender has; ``style``: the style of the exchange."""

    versions: tuple[tuple[str, float, str], ...]
    style: str


@message
class Missing:
    """Updates that the receiver lacks, and the keys of which the sender wants newer versions (``wanted``)."""

    updates: tuple[Written, ...]
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mongering(Value):
    """How rumours are spread.

    Parameters
    ----------
    style: ``"push"``, ``"pull"`` or ``"push-pull"``.
    feedback: whether only unnecessary contacts lead to loss of interest; False: all contacts do (blind).
    stop: ``"counter"`` or ``"coin"``.
    k: counter: the number of such contacts in a row; coin: interest is lost with probability 1/k (>= 1).
    fanout: the number of members contacted in a cycle (>= 1).
    """

    style: Style = "push"
    feedback: bool = True
    stop: Literal["counter", "coin"] = "counter"
    k: Count = 2
    fanout: Count = 1

    @property
    def label(self) -> str:
        """Its name in charts."""
        how = "feedback" if self.feedback else "blind"
        return f"{self.style}, {how}, {self.stop}, k={self.k}" + (
            f", x{self.fanout}" if self.fanout > 1 else ""
        )


@dataclass(frozen=True, slots=True)
class AntiEntropy(Value):
    """How databases are compared: ``every`` (seconds) each member compares with one other; ``style``: the direction."""

    every: Seconds = 1.0
    style: Style = "push-pull"

    @property
    def label(self) -> str:
        """Its name in charts."""
        return f"{self.style} anti-entropy every {self.every:g} s"


class _Hot:
    """A hot update: its number of unnecessary cycles in a row, and the contacts and usefulness in this cycle."""

    __slots__ = ("contacts", "count", "useful")

    def __init__(self) -> None:
        self.count = 0
        self.contacts = 0
        self.useful = False


class Epidemic(Part):
    """Holds a database of updates, and spreads the updates that are written to it.

    Settings: ``mongering`` and ``anti_entropy`` (None: those of the node's settings, which may also be None),
    ``cycle`` (seconds; None: two heartbeats), ``synchronous``: all members begin their cycles at multiples of
    ``cycle``. The node may define ``learned(update)``. Each learned update is recorded (event ``learned``), and so is
    the loss of interest (``bored``).
    """

    mongering: Mongering | None = None
    anti_entropy: AntiEntropy | None = None
    cycle: float | None = None
    synchronous: bool | None = None

    updates = durable_map()  # key -> the newest update of it

    def on_start(self) -> None:
        settings = self.node.settings
        self.how = self.mongering or settings.mongering
        self.compare = self.anti_entropy or settings.anti_entropy
        self.length = float(self.cycle or settings.cycle or 2 * settings.heartbeat_interval)
        self.in_step = settings.synchronous if self.synchronous is None else self.synchronous
        self.cycles = 0
        self.hot: dict[str, _Hot] = {}
        self.fresh: dict[str, None] = {}  # keys of updates learned in this cycle
        if self.how is not None:
            self.set_timer("cycle", self._until_next(self.length))
        if self.compare is not None:
            self.set_timer("compare", self._until_next(self.compare.every))

    def _until_next(self, period: float) -> float:
        """Seconds to the first cycle or, if synchronous, to the next multiple of ``period``."""
        if not self.in_step:
            return period * self.random.random()
        # By the wall clock: "synchronous" means that all members have the same time.
        begun = floor(self.now / period + 1e-6)  # 1e-6: rounding may leave `now` just below a multiple
        return (begun + 1) * period - self.now

    # Reading and writing

    def write(self, key: str, value: Any) -> Written:
        """Write a value to a key at this member, and begin to spread it."""
        known = self.updates.get(key)
        time = self.now if known is None else max(self.now, known.time)
        writer = self.name
        if known is not None and (time, writer) <= known.version:
            time += 1e-9  # second write at one instant, or the known update is from a clock that is ahead
        update = Written(key, value, time, writer)
        self.learn(update)
        return update

    def read(self, key: str) -> Any:
        """The value of a key at this member; None if it has none."""
        update = self.updates.get(key)
        return None if update is None else update.value

    # Learning

    def learn(self, update: Written) -> bool:
        """Store an update if it is newer than the known one; returns whether it was."""
        known = self.updates.get(update.key)
        if known is not None and update.version <= known.version:
            return False
        self.updates[update.key] = update
        self.fresh[update.key] = None
        if self.how is not None:
            self.hot[update.key] = _Hot()
        self.record("learned", key=update.key, written=update.time, writer=update.writer)
        hear = getattr(self.node, "learned", None)
        if hear is not None:
            hear(update)
        return True

    # Rumour mongering

    def on_cycle_timeout(self) -> None:
        how = self.how
        assert how is not None
        self.set_timer("cycle", self._until_next(self.length) if self.in_step else self.length)
        for key in list(self.hot):
            self._lose_interest(key)
        self.fresh.clear()
        if self.hot or how.style != "push":
            for partner in self._partners(how.fanout):
                if self.hot and how.style != "pull":
                    self.send(partner, self._rumours())
                if how.style != "push":
                    self.send(partner, Pull(), hold=False)

    def _partners(self, count: int) -> list[str]:
        """Other members, drawn at random."""
        if count >= len(self.peers):
            return list(self.peers)
        return [self.random.choice(self.peers)] if count == 1 else self.random.sample(self.peers, count)

    def _rumours(self) -> Rumours:
        feedback = self.how is not None and self.how.feedback
        if not feedback:
            for hot in self.hot.values():
                hot.contacts += 1
        return Rumours(tuple([self.updates[key] for key in self.hot]), feedback)

    def on_pull(self, src: str, msg: Pull) -> None:
        if self.hot:
            self.send(src, self._rumours())

    def on_rumours(self, src: str, msg: Rumours) -> None:
        needed = [(update.key, self._needs(update)) for update in msg.updates]
        for update in msg.updates:
            self.learn(update)
        if msg.feedback:
            self.send(src, Feedback(tuple(needed)))

    def _needs(self, update: Written) -> bool:
        """Whether this member did not know an update when the cycle began."""
        known = self.updates.get(update.key)
        return (
            known is None
            or update.version > known.version
            or (update.key in self.fresh and update.version == known.version)
        )

    def on_feedback(self, src: str, msg: Feedback) -> None:
        for key, needed in msg.needed:
            hot = self.hot.get(key)
            if hot is not None:
                hot.contacts += 1
                hot.useful = hot.useful or needed

    def _lose_interest(self, key: str) -> None:
        """Count the contacts of the last cycle for a hot update, and perhaps lose interest in it."""
        hot, how = self.hot[key], self.how
        assert how is not None
        contacts, useful = hot.contacts, hot.useful
        hot.contacts, hot.useful = 0, False
        if not contacts:
            return
        if useful and how.feedback:
            hot.count = 0
            return
        hot.count += 1
        over = hot.count >= how.k if how.stop == "counter" else self.random.chance(1.0 / how.k)
        if over:
            del self.hot[key]
            self.record("bored", key=key)

    # Anti-entropy

    def on_compare_timeout(self) -> None:
        compare = self.compare
        assert compare is not None
        self.set_timer("compare", self._until_next(compare.every) if self.in_step else compare.every)
        for partner in self._partners(1):
            versions = tuple([(u.key, u.time, u.writer) for u in self.updates.values()])
            self.send(partner, Digest(versions, compare.style))

    def on_digest(self, src: str, msg: Digest) -> None:
        theirs = {key: (time, writer) for key, time, writer in msg.versions}
        lacking: tuple[Written, ...] = ()
        wanted: tuple[str, ...] = ()
        if msg.style != "push":  # the asker pulls
            lacking = tuple(
                [u for key, u in self.updates.items() if key not in theirs or u.version > theirs[key]]
            )
        if msg.style != "pull":  # the asker pushes
            mine = self.updates
            wanted = tuple([key for key, v in theirs.items() if key not in mine or v > mine[key].version])
        if lacking or wanted:
            self.send(src, Missing(lacking, wanted))

    def on_missing(self, src: str, msg: Missing) -> None:
        for update in msg.updates:
            self.learn(update)
        asked = tuple([self.updates[key] for key in msg.wanted])
        if asked:
            self.send(src, Missing(asked))
