"""Agreement of replicas, seen through the application that they replicate: free for any system that has one.

Every replica applies the same interfering commands in the same order, each of them once; a snapshot carries its
position in that order; what a client is told is what came of its command; replicas at one position hold one state
(Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach", 1990: agreement and order).

The order is that in which a command is *first* applied, by any replica, also by one that has crashed since. A system
whose replicas may take back what they applied, or may apply interfering commands in different orders, says so
(`System.applied`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.invariants.sequences import CommonSequence, Disagreement, LooseSequence
from sim.made import class_of
from sim.node import Node
from sim.system import Invariant
from sim.values import PLAIN, is_message
from sim.values import shown as told

__all__ = ["Agreement"]

_MARKS = 64  # the states of so many snapshots are remembered, for each group
_DEEPEST = 4  # node, part, sessions, application
_MOST = 32  # containers with more items are not searched for applications
_OF_HOST = frozenset({"host", "settings", "random", "node", "members", "peers"})


class _Copy:
    """An application that a replica works on, what it has done before it was known whose it is, and its position."""

    __slots__ = ("application", "before", "begins", "node", "order", "position")

    def __init__(self, application: Any) -> None:
        self.application = application
        self.node = ""
        self.before: list[Callable[[], None]] = []
        self.order: Any = None
        self.position: Any = None  # None: not known
        self.begins = True

    @property
    def is_fresh(self) -> bool:
        """Whether it is in its first state."""
        if not self.node:
            return self.begins and not self.before
        return self.position is not None and not self.position.total


@dataclass
class _Group:
    """A group of replicas: their order, and the latest snapshots with their positions, by identity and by state."""

    order: CommonSequence
    marks: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    states: dict[Any, list[Any]] = field(default_factory=dict)


@dataclass
class Agreement(Invariant):
    """Agreement of the replicas of each group; it is the `Listener` of their applications.

    ``groups``: member -> its group. ``applied``: see `System.applied`.
    """

    title: ClassVar[str] = "replicas apply the same commands in the same order"
    groups: Mapping[str, str] = field(default_factory=dict)
    applied_is: str = "final"

    def __post_init__(self) -> None:
        self._copies: dict[int, _Copy] = {}  # by the id of the application: a look-up, never an order
        self._new: list[_Copy] = []  # made in this step: whose they are is seen at its end
        self._broken: tuple[str, Disagreement] | None = None  # by a replica, in this step
        self._of: dict[str, _Group] = {}
        self._nodes: dict[str, Node] = {}  # those that have an application: their present objects
        self._trying: dict[str, None] = {}  # nodes that have tried something out on a second application
        self._reads: frozenset[str] = frozenset()
        self._told: dict[tuple[int, int], Any] = {}  # writes that clients saw succeed: their outcomes

    @property
    def is_free(self) -> bool:
        return True

    def _group(self, node: str) -> _Group:
        name = self.groups[node]
        if name not in self._of:
            self._of[name] = _Group(CommonSequence() if self.applied_is == "final" else LooseSequence())
        return self._of[name]

    # Told by applications (`sim.protocols.watching.Listener`)

    def made(self, application: Any) -> None:
        """An application was made: it is in its first state."""
        copy = self._copies[id(application)] = _Copy(application)
        self._new.append(copy)

    def copied(self, application: Any, original: Any) -> None:
        """An application was made that has the state, and the position, of another one."""
        copy, source = self._copies.get(id(application)), self._copies.get(id(original))
        if copy is not None and source is not None and not source.is_fresh:
            copy.begins = False  # it may run ahead, and be thrown away: it is not watched

    def applied(self, application: Any, command: Any, result: Any) -> None:
        """A command has taken effect."""
        copy = self._copies.get(id(application))
        if copy is None:
            return
        if copy.order is not None:
            self._apply(copy, command, result)
        else:
            copy.before.append(lambda: self._apply(copy, command, result))

    def saved(self, application: Any, snapshot: Any) -> None:
        """A snapshot was taken."""
        copy = self._copies.get(id(application))
        if copy is None:
            return
        state = _frozen(application)
        if copy.node:
            self._mark(copy, snapshot, state)
        else:
            copy.before.append(lambda: self._mark(copy, snapshot, state))

    def restored(self, application: Any, snapshot: Any) -> None:
        """The state of a snapshot was taken over."""
        copy = self._copies.get(id(application))
        if copy is None:
            return
        state = _frozen(application)
        if copy.node:
            self._find(copy, snapshot, state)
        else:
            copy.before.append(lambda: self._find(copy, snapshot, state))

    # Positions

    def _apply(self, copy: _Copy, command: Any, result: Any) -> None:
        if copy.position is None or self._broken is not None:
            return
        try:
            copy.position = copy.order.apply(
                copy.position, command, result, copy.application.touches(command), copy.node
            )
        except Disagreement as found:
            self._broken = (copy.node, found)

    def _mark(self, copy: _Copy, snapshot: Any, state: Any) -> None:
        if copy.position is None:
            return
        group, position = self._group(copy.node), copy.position.copy()
        known = group.marks.get(id(snapshot))
        if known is not None and (known[1] is None or known[1].key != position.key):
            group.marks[id(snapshot)] = (snapshot, None)  # one object stands for two places, as `()` may
        else:
            group.marks[id(snapshot)] = (snapshot, position)
        same = group.states.setdefault(state, [])
        if all(position.key != other.key for other in same):
            same.append(position)
        for kept in (group.marks, group.states):
            if len(kept) > _MARKS:
                del kept[next(iter(kept))]

    def _find(self, copy: _Copy, snapshot: Any, state: Any) -> None:
        """A replica has taken over a state: its position is that of the snapshot, unless this is not known."""
        group = self._group(copy.node)
        known = group.marks.get(id(snapshot))
        same = group.states.get(state, ())
        if known is not None and known[1] is not None:
            copy.position = known[1].copy()
        else:
            copy.position = same[0].copy() if len(same) == 1 else None
        if copy.position is not None and not group.order.take_over(copy.position):
            copy.position = None

    # Told by the run

    def on_step(self, node: Node) -> None:
        if self._new:
            self._adopt(node)
        if self._broken is not None:
            who, found = self._broken
            names = dict.fromkeys((found.other, who))
            facts = (*found.facts[:-1], f"{who}: {found.facts[-1]}")
            self.violated(names, *facts, invariant=found.invariant)

    def _adopt(self, node: Node) -> None:
        """Find out which of the new applications this node works on; the others are nobody's, such as a ghost's."""
        new, self._new = self._new, []
        held = {id(one): one for one in _applications_of(node)} if node.name in self.groups else {}
        for copy in self._copies_of(node.name):
            if id(copy.application) not in held:
                del self._copies[id(copy.application)]
        tries = bool(
            self._copies_of(node.name)
        )  # it works on another one, and tries something out on a new one
        for copy in new:
            if tries and id(copy.application) in held:
                self._trying.setdefault(node.name)  # it may yet go over to it, which is not seen
            if tries or id(copy.application) not in held:
                self._copies.pop(id(copy.application), None)
                copy.application.__class__ = class_of(copy.application)
                continue
            copy.node = node.name
            self._nodes[node.name] = node
            copy.order = self._group(node.name).order
            copy.position = copy.order.start() if copy.begins else None
            self._reads |= copy.application.reads
            for act in copy.before:
                act()
            copy.before.clear()

    def _copies_of(self, node: str) -> list[_Copy]:
        return [copy for copy in self._copies.values() if copy.node == node]

    def _watched(self, nodes: Mapping[str, Node]) -> list[_Copy]:
        """The applications of these nodes of which all is known: nothing was applied outside the run."""
        return [
            copy
            for copy in self._copies.values()
            if copy.node in nodes and hasattr(type(copy.application), "_watches")
        ]

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":
            self._trying.pop(node, None)
            if node in self._nodes and self._nodes[node].host.disk.unsynced:
                self._group(node).order.take_back(node)
            for copy in self._copies_of(node):
                del self._copies[id(copy.application)]

    def on_acknowledged(self, client: str, operation: Any) -> None:
        """A client has seen a write succeed: if a replica has applied it, this must have come of it."""
        if not self._of or operation.operation.kind in self._reads:
            return
        self._told[operation.session, operation.sequence] = operation
        applied = self._first(operation)
        if applied is None:
            return  # a replica may still do so
        applied.known = True
        result, asked, command = applied.result, operation.operation, applied.command
        if (command.kind, command.key, command.value) != (asked.kind, asked.key, asked.value):
            self.violated(
                (client, applied.node),
                f"{client} asked for {asked!r}",
                f"{applied.node} applied {command!r}",
                invariant="what is applied was asked for",
            )
        if (result.status, result.value, result.result) != (
            operation.status,
            operation.value,
            operation.result,
        ):
            self.violated(
                (client, applied.node),
                f"{applied.node} applied {command!r} with {result!r}",
                f"{client} was told {operation.status}, value={operation.value!r}, result={operation.result!r}",
                invariant="clients are told what came of their commands",
            )

    def _first(self, operation: Any) -> Any:
        """How a write was first applied, where that is final."""
        name = (operation.session, operation.sequence)
        for group in self._of.values():
            if group.order.final and name in group.order.first:
                return group.order.first[name]
        return None

    # After a storm: all faults have ended, all members are up

    def behind(self, nodes: Mapping[str, Node]) -> dict[str, tuple[int, int]]:
        """The live replicas that have not applied all that was ever applied: name -> writes that each has, and all."""
        furthest: dict[str, int] = {}
        for copy in self._watched(nodes):
            if copy.position is not None and copy.order.final:
                furthest[copy.node] = max(copy.position.total, furthest.get(copy.node, 0))
        goals = {name: self._group(name).order.total for name in furthest}
        return {name: (at, goals[name]) for name, at in furthest.items() if at < goals[name]}

    def apart(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """Two live replicas of a group that hold different states, where replicas may take back what they applied.

        Where they take nothing back, `behind` and `at_end` say more. Nothing is said of replicas with several copies.
        """
        if self.applied_is != "tentative":
            return ()
        copies: dict[str, list[_Copy]] = {}
        for copy in self._watched(nodes):
            copies.setdefault(copy.node, []).append(copy)
        first: dict[str, _Copy] = {}
        for name, (copy, *others) in copies.items():
            one = first.setdefault(self.groups[name], copy)
            if not others and one.application != copy.application:
                return (one.node, name)
        return ()

    def held_by(self, node: str) -> str:
        """What a replica holds, in words."""
        return ", ".join(_state(copy) for copy in self._copies_of(node))

    def demand_survival(self, nodes: Mapping[str, Node], keeps: Callable[[Any], bool]) -> None:
        """What clients saw succeed is applied by a live replica. Nothing is said where a position is unknown.

        ``keeps``: whether a write with this outcome survives (`System.keeps`).
        """
        copies = self._watched(nodes)
        hidden = sum(copy.node in nodes for copy in self._copies.values()) - len(copies)
        hidden += sum(name in nodes for name in self._trying)
        if not copies or hidden or any(copy.position is None for copy in copies):
            return
        held: dict[Any, None] = {}
        for copy in copies:
            order = copy.order
            if not order.final:
                held.update(dict.fromkeys(copy.position.key))
            elif copy.position.total == order.total:
                held.update(dict.fromkeys(order.first))
        lost = [told for name, told in self._told.items() if name not in held and keeps(told)]
        if lost:
            others = f", nor {len(lost) - 1} more" if len(lost) > 1 else ""
            self.violated(
                (lost[0].client, *dict.fromkeys(copy.node for copy in copies)),
                f"{lost[0].client} saw {lost[0].operation!r} succeed",
                f"no live replica has applied it{others}",
                invariant="acknowledged writes survive",
            )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """Replicas at one position hold one state."""
        first: dict[tuple[Any, ...], _Copy] = {}
        for copy in self._watched(nodes):
            if copy.position is None:
                continue
            other = first.setdefault((self.groups[copy.node], *copy.position.key), copy)
            if other.application != copy.application:
                self.violated(
                    dict.fromkeys((other.node, copy.node)),
                    f"after the same {copy.position.total} writes {other.node} holds {_state(other)}",
                    f"{copy.node} holds {_state(copy)}",
                    invariant="replicas that applied the same hold the same",
                )


def _state(copy: _Copy) -> str:
    return told({name: value for name, value in vars(copy.application).items() if name != "_arguments"})


def _applications_of(node: Node) -> Iterator[Any]:
    """The watched applications that a node refers to, in itself, its parts, and their attributes."""
    seen: dict[int, Any] = {}
    line: list[tuple[Any, int]] = [(node, 0)]
    while line:
        value, depth = line.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if hasattr(type(value), "_watches"):
            yield value
        elif depth < _DEEPEST:
            line += [(inner, depth + 1) for inner in _inside(value) if inner.__class__ not in PLAIN]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict | list | tuple):
        items = list(value.values()) if isinstance(value, dict) else list(value)
        return items if len(items) <= _MOST else []
    if isinstance(value, type) or is_message(value):
        return []
    return [item for name, item in getattr(value, "__dict__", {}).items() if name not in _OF_HOST]


def _frozen(value: Any) -> Any:
    """A value to look up the state of an application by: equal for equal states, whatever the order of keys."""
    if value.__class__ in PLAIN:
        return value
    if isinstance(value, Mapping):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if getattr(value, "__dict__", None) and not isinstance(value, type):
        return _frozen({name: item for name, item in vars(value).items() if name != "_arguments"})
    return repr(value)
