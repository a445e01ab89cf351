"""Epidemic spreading of updates: rumour mongering and anti-entropy, as a part of any node and as a system.

Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", PODC 1987.

*Rumour mongering* (section 1.4): an update that a member learns is *hot*; once a cycle it contacts another member
at random and pushes hot updates, or pulls them, or both. It loses interest in one

- with *feedback*, when it was unnecessary (the other knew it already); *blind*, whatever came of it;
- by a *counter*, the k-th time that this happens in a row; by a *coin*, each time with probability 1/k.

So in the end some member may not have been told (the residue). *Anti-entropy* (1.3) leaves nobody out: now and then a
member compares all it has with a random other, and they exchange what one of them lacks.

Reading of the paper that its table 1 needs: whether a contact is unnecessary is judged by what the other knew when the
cycle began, and a contact that was of use resets the counter. When updates are pulled, a cycle counts as useful if any
of those who asked in it needed the update (the paper's footnote on pull and counters).

Updates of a key are ordered by (when it was written on the writer's clock, the writer): the last writer wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf
from typing import Any, Literal

from sim.message import message
from sim.node import Part, durable_map
from sim.settings import Value

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
STYLES = ("push", "pull", "push-pull")


@message
class Written:
    """An update: ``key`` was given ``value`` at ``time`` (seconds on the clock of ``writer``)."""

    key: str
    value: Any
    time: float
    writer: str

    @property
    def version(self) -> tuple[float, str]:
        """What orders the updates of a key."""
        return (self.time, self.writer)


@message
class Rumours:
    """Hot updates; ``feedback``: whether the receiver should say which of them were unnecessary."""

    updates: tuple[Written, ...]
    feedback: bool


@message
class Pull:
    """Tell me what is hot."""


@message
class Feedback:
    """For each key: whether the receiver needed what it was sent, that is did not know it when the cycle began."""

    needed: tuple[tuple[str, bool], ...]


@message
class Digest:
    """The version of everything that the sender has; ``style`` is that of the exchange."""

    versions: tuple[tuple[str, float, str], ...]
    style: str


@message
class Missing:
    """What the receiver lacks, and the keys of which the sender would like to have the newer versions."""

    updates: tuple[Written, ...]
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mongering(Value):
    """How rumours are spread.

    Parameters
    ----------
    style: ``"push"``, ``"pull"`` or ``"push-pull"``.
    feedback: whether it depends on the other's answer that interest is lost; False: blind.
    stop: ``"counter"`` or ``"coin"``.
    k: after how many vain contacts, or with which probability 1/k (>= 1).
    fanout: how many others are contacted in a cycle (>= 1).
    """

    style: Style = "push"
    feedback: bool = True
    stop: Literal["counter", "coin"] = "counter"
    k: int = 2
    fanout: int = 1

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"Mongering: style must be one of {', '.join(STYLES)}, not {self.style!r}")
        if self.stop not in ("counter", "coin"):
            raise ValueError(f"Mongering: stop must be 'counter' or 'coin', not {self.stop!r}")
        for name in ("k", "fanout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Mongering: {name} must be an integer of at least 1, not {value!r}")

    @property
    def label(self) -> str:
        """Its name in charts."""
        how = "feedback" if self.feedback else "blind"
        return f"{self.style}, {how}, {self.stop}, k={self.k}" + (
            f", x{self.fanout}" if self.fanout > 1 else ""
        )


@dataclass(frozen=True, slots=True)
class AntiEntropy(Value):
    """How whole databases are compared: every so many seconds (each member with one other), and in which direction."""

    every: float = 1.0
    style: Style = "push-pull"

    def __post_init__(self) -> None:
        if not 0 < self.every < inf:
            raise ValueError(f"AntiEntropy: every must be positive seconds, not {self.every!r}")
        if self.style not in STYLES:
            raise ValueError(f"AntiEntropy: style must be one of {', '.join(STYLES)}, not {self.style!r}")

    @property
    def label(self) -> str:
        """Its name in charts."""
        return f"{self.style} anti-entropy every {self.every:g} s"


class _Hot:
    """A hot update: how often it has been unnecessary in a row, and what came of it in this cycle."""

    __slots__ = ("contacts", "count", "useful")

    def __init__(self) -> None:
        self.count = 0
        self.contacts = 0
        self.useful = False


class Epidemic(Part):
    """Holds a database of updates and spreads what is written to it.

    Settings: ``mongering`` and ``anti_entropy`` (None: those of the node's settings; both may be None there),
    ``cycle`` (seconds; None: two of its heartbeats), ``synchronous``: all members begin their cycles at multiples of
    it. Its node may define ``learned(update)``. What is learned is recorded (event ``learned``), and so is the loss of
    interest (``bored``).
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
        self.fresh: dict[str, None] = {}  # keys that it has learned of in this cycle
        if self.how is not None:
            self.set_timer("cycle", self._until_next(self.length))
        if self.compare is not None:
            self.set_timer("compare", self._until_next(self.compare.every))

    def _until_next(self, period: float) -> float:
        """Seconds to the first or, in step with all others, the next cycle."""
        if not self.in_step:
            return period * self.random.random()
        # By the wall clock: that all have the same is what "in step" means.
        begun = floor(self.now / period + 1e-6)  # now may be a rounding short of a multiple
        return (begun + 1) * period - self.now

    # What others may ask

    def write(self, key: str, value: Any) -> Written:
        """Give a key a value here; the others will hear of it."""
        known = self.updates.get(key)
        time = self.now if known is None else max(self.now, known.time)
        writer = self.name
        if known is not None and (time, writer) <= known.version:
            time += 1e-9  # written twice at one instant, or after one from a clock that is ahead
        update = Written(key, value, time, writer)
        self.learn(update)
        return update

    def read(self, key: str) -> Any:
        """The value of a key as far as this member knows; None without one."""
        update = self.updates.get(key)
        return None if update is None else update.value

    # Learning

    def learn(self, update: Written) -> bool:
        """Take an update in; whether it was news."""
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
        """Whether it did not know an update when the cycle began."""
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
        """What came of the last cycle's contacts for a hot update."""
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
