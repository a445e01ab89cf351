"""Durable before send: what a message promises is on the disk of its sender when it leaves.

>>> promises(RequestVoteReply, keeps=("current_term", "voted_for"))

A system returns it from `System.invariants`. What a run does is watched for the author: which step sent a message, when
it left, and what a crash of its sender would have left of the fields at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

from sim.durability import Durable, DurableLog
from sim.invariants.declared import names_of, require_attributes
from sim.node import Node
from sim.system import Invariant, Member
from sim.values import shown as told

__all__ = ["DurableBeforeSend", "Shown", "Stored", "promises"]


class Stored:
    """The durable fields of a node as a crash now would leave them: ``stored("voted_for")``.

    Attributes
    ----------
    node: the live node.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._disk = node.host.disk
        self._durable = self._disk.durable
        self._found: dict[str, tuple[Any, Durable]] = {}
        self._seen: list[tuple[str, dict[str, Any] | None, str, Any]] | None = None  # what `look` looks at

    def __call__(self, name: str) -> Any:
        """The value of a field on disk, its default where it was never written; ``"part.field"`` of a part."""
        _, declared = self._found.get(name) or self._find(name)
        return self._durable(name, declared.empty)

    @property
    def synced(self) -> int:
        """The last record that the disk has synced."""
        return self._disk.synced

    def look(self, names: Iterable[str]) -> tuple[int, str | None]:
        """The last record of the disk that changes one of these fields and is not synced (0: there is none).

        And a field among them that a crash loses even if all is synced: it is not durable, or was changed unwritten
        (None: there is none). The names are the same at each look. Raises ValueError for a field that the node does not
        have at all.
        """
        if self._seen is None:
            self._seen = [self._where(name) for name in names]
        last_change, durable, last = self._disk.last_change, self._durable, 0
        for name, values, plain, empty in self._seen:
            if values is None:
                return last, name
            record = last_change(name)
            if record:
                if record > last:
                    last = record
                continue
            held, on_disk = values[plain], durable(name, empty)
            if held is not on_disk and not isinstance(held, _CONTAINERS) and held != on_disk:
                return last, name
        return last, None

    def _where(self, name: str) -> tuple[str, dict[str, Any] | None, str, Any]:
        """The name of a field, the attributes of its owner (None: the field is not durable), its name there, its
        default.
        """
        owner, declared = self._find(name)
        is_durable = declared.field in owner.__class__._durables
        return name, owner.__dict__ if is_durable else None, declared.field, declared.empty

    def _find(self, name: str) -> tuple[Any, Durable]:
        """The node or the part of it that has a field, and the field's declaration (one of its own if it has none)."""
        plain, owner = name, cast(Any, self.node)
        if "." in name:
            part, _, plain = name.rpartition(".")
            owner = self.node.__dict__.get(part)
        declared = getattr(owner.__class__, "_durables", {}).get(plain)
        if declared is not None:
            self._found[name] = owner, declared
            return owner, declared
        if not hasattr(owner, plain):
            known = ", ".join(type(self.node)._durables) or "none"
            raise ValueError(
                f"promises(keeps={name!r}): {type(self.node).__name__} has no such field; durable are {known}"
            )
        absent = Durable()
        absent.field = plain
        self._found[name] = owner, absent
        return owner, absent


class Held(Stored):
    """The durable fields of a node as it has them, whether they are synced or not."""

    def __call__(self, name: str) -> Any:
        owner, declared = self._find(name)
        return getattr(owner, declared.field)


_CONTAINERS = (DurableLog, dict, Mapping)  # they journal each change themselves

Shown = Callable[[Stored, Any, str], bool]
"""Whether the disk of its sender shows what a message says: (stored, message, destination)."""


Said = tuple[Any, str, bool]
"""A message that a step has sent: it, its destination, and whether it has left."""
Unsynced = tuple[Any, str, int, Stored]
"""A message that waits for the disk: it, its destination, the record that must be there, and the disk."""


@dataclass
class DurableBeforeSend(Invariant):
    """The writes of a step to certain fields are on the disk of its node before a message of that step leaves.

    Made by `promises`. A subclass may override `is_shown` if that test needs a ghost.
    """

    title: ClassVar[str] = "durable before send"
    concerns: Callable[[type], bool] = field(default=lambda kind: False)
    keeps: tuple[str, ...] = ()
    shown: Shown | None = None
    but_for_damage: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._stored: dict[str, Stored] = {}  # node -> what its present incarnation has on disk
        self._kept: dict[str, dict[tuple[type, str], Any]] = {}  # node -> the last that it said of each class
        self._boots: dict[
            str, int
        ] = {}  # node -> how many steps of its restart are to come: one for each part, too
        # `is_shown` without a call more, as most have no test, or one that is a function:
        plain = type(self).is_shown is DurableBeforeSend.is_shown
        self._test: Shown | None = self.shown if plain else self.is_shown
        self._said: dict[str, list[Said]] = {}  # node -> what the step that runs has sent
        self._waiting: dict[str, list[Unsynced]] = {}  # node -> what waits for its disk

    @property
    def is_free(self) -> bool:
        """Yes, unless ``shown`` is a method of another invariant, whose ghost it needs."""
        return not isinstance(getattr(self.shown, "__self__", None), Invariant)

    def begin(self, members: Iterable[Member]) -> None:
        require_attributes("promises: keeps", self.keeps, members)

    def is_shown(self, stored: Stored, message: Any, dst: str) -> bool:
        """Whether the disk shows what the message says."""
        return self.shown is None or self.shown(stored, message, dst)

    def is_told_of(self, kind: type) -> bool:
        return self.concerns(kind) or hasattr(kind, "carries")

    def _inside(self, message: Any) -> Any:
        """The message that is concerned, taken out of the envelopes of calls and replies; None: it is none."""
        while not self.concerns(message.__class__):
            envelope = getattr(message.__class__, "carries", None)
            if envelope is None:
                return None
            message = getattr(message, envelope)
        return message

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        inside = message if self.concerns(message.__class__) else self._inside(message)
        if inside is not None:
            self._said.setdefault(src, []).append((inside, dst, False))

    def on_send(self, src: str, dst: str, message: Any) -> None:
        inside = message if self.concerns(message.__class__) else self._inside(message)
        if inside is None:
            return
        waiting = self._waiting.get(src)
        if waiting:
            for at, (waits, to, needed, stored) in enumerate(waiting):
                if waits is inside and to == dst:
                    del waiting[at]
                    self._leaves(src, dst, inside, needed, stored)
                    return
        self._said.setdefault(src, []).append((inside, dst, True))

    def on_step(self, node: Node) -> None:
        if self._boots and node.name in self._boots:
            self._boot(node)
        said = self._said.pop(node.name, None) if self._said else None
        if said is None:
            return
        stored = self._stored.get(node.name)
        if stored is None or stored.node is not node:
            stored = self._stored[node.name] = Stored(node)
        needed, lost = stored.look(self.keeps)
        if lost is not None:
            owner, declared = stored._find(lost)
            held = told(getattr(owner, declared.field))
            self.violated(
                node.name,
                f"it sends {said[0][0]!r}",
                f"a crash would lose its {lost}={held}: it is not on disk",
            )
        for message, dst, left in said:
            if left:
                self._leaves(node.name, dst, message, needed, stored)
            else:
                self._waiting.setdefault(node.name, []).append((message, dst, needed, stored))

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":  # messages that waited are lost: no node has received them
            self._said.pop(node, None)
            self._waiting.pop(node, None)
        elif event == "restart" and node in self._kept:
            if detail.get("wiped"):
                del self._kept[node]
            else:
                self._boots[node] = -1

    def _boot(self, node: Node) -> None:
        """A step of a restart: after the last one the fields must still show what the node said before."""
        name, stored = node.name, Held(node)
        if not set(node.disk_damaged).isdisjoint(self.but_for_damage):
            self._boots.pop(name)
            self._kept.pop(name)
            return
        left = self._boots.pop(name)
        left = len(type(node)._parts) if left < 0 else left - 1
        if left:
            self._boots[name] = left
            return
        for (_, dst), message in self._kept[name].items():
            if not self.is_shown(stored, message, dst):
                held = ", ".join(f"{field}={told(stored(field))}" for field in self.keeps)
                self.violated(
                    name,
                    f"it has sent {message!r} to {dst} before its restart",
                    f"after it, it has {held}",
                    invariant="a restart takes nothing back",
                )

    def _leaves(self, src: str, dst: str, message: Any, needed: int, stored: Stored) -> None:
        """A message leaves; all up to the record ``needed`` (0: nothing) must be synced."""
        test = self._test
        if needed > stored._disk.synced or (test is not None and not test(stored, message, dst)):
            held = ", ".join(f"{name}={told(stored(name))}" for name in self.keeps)
            self.violated(src, f"it sends {message!r} to {dst}", f"its disk has {held}")
        if self.shown is not None:
            kept = self._kept.get(src)
            if kept is None:
                kept = self._kept[src] = {}
            kept[message.__class__, dst] = message


def promises(
    *kinds: type | Callable[[type], bool],
    keeps: str | Iterable[str],
    shown: Shown | None = None,
    but_for_damage: str | Iterable[str] = (),
) -> DurableBeforeSend:
    """An invariant: when a message of one of these classes leaves its sender, these fields are on its disk.

    A step is atomic, so what counts is what the fields hold at the end of the step that sends: a handler that answers
    first and writes afterwards breaks the promise, and so does a message sent with ``hold=False``, and a field that is
    not durable. So name only the fields that the message promises to keep.

    Parameters
    ----------
    kinds:
        Classes of messages; or a function that says whether a class is meant.
    keeps:
        Names of durable fields of the sender; ``"part.field"`` for those of a part.
    shown:
        ``shown(stored, message, destination)``: whether the disk shows what the message says, if that can be tested;
        ``stored("current_term")`` is what the disk has. It must stay true while the node goes on, and after a restart,
        when it is asked again of the last message of each class to each destination.
    but_for_damage:
        Names of durable fields that damage may take for good (`System.disks_may_be_damaged`): a node that finds one of
        them damaged when it boots is not asked again of what it said before. What damage takes and the node restores,
        from a copy or otherwise, is not named here.

    Raises ValueError for no field and for no class.
    """
    fields = names_of("promises: keeps", keeps)
    lost = names_of("promises: but_for_damage", but_for_damage) if but_for_damage else ()
    for kind in kinds:
        if not callable(kind):
            raise ValueError(f"promises: {kind!r} is no class of messages")
    if not kinds:
        raise ValueError("promises: name the class of messages that makes the promise")
    classes = tuple(kind for kind in kinds if isinstance(kind, type))
    tests = tuple(kind for kind in kinds if not isinstance(kind, type))

    @cache
    def concerns(kind: type) -> bool:
        return kind in classes or any(test(kind) for test in tests)

    return DurableBeforeSend(concerns=concerns, keeps=fields, shown=shown, but_for_damage=lost)
