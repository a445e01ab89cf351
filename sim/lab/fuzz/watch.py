"""What a fuzzed run does, watched without a trace of its lines: coverage, and what became of each message.

*Coverage* is a set of short texts, each of which says that something happened in a run: "a follower handled
AppendEntries after RequestVote", "a crash was recorded after an election, on another node", "n was paused while a vote
was on its way to it". A run that adds a text to those of earlier runs has reached something new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.cluster import Cluster, NodeHost
from sim.cluster.tracer import handler_name
from sim.kernel import delay_until
from sim.network.disturbances import together
from sim.network.link import Held, Link, Receiver
from sim.network.links import Flight, Network

__all__ = ["Sent", "WatchedCluster", "WatchedHost", "WatchedNetwork"]

Sent = tuple[str, str, str, int, float]
"""A copy of a message: src, dst, class, which message of this class on this link, seconds from sending to arrival
(infinite: lost by chance; nan: lost by a cut, a dead link or a crash)."""

_USUAL = frozenset({"replica", "service", "balancer"})


class WatchedHost(NodeHost):
    """A host that says which handler ran after which, in which role of the node."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._before = "on_start"
        if self.member.role in _USUAL:
            self._inner = self.step
            self.step = self._watched
            self._run = self._watched_run

    def _watched(self, handler: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if not self.in_step:
            role = getattr(self.node, "role", None)
            name = handler_name(handler)
            who = role if isinstance(role, str) else self.member.node_class.__name__
            self.cluster.covered[f"{who}: {self._before}, {name}"] = None  # type: ignore[attr-defined]
            self._before = name
        self._inner(handler, arguments)

    def _watched_run(self, function: Callable[[], Any]) -> None:
        self.step(function, ())

    def _callback(self, owner: Any, method: str, key: Any) -> Callable[[], Any]:
        function = super()._callback(owner, method, key)
        if key is not None:
            function.__name__ = method
        return function

    def _once(self, timer_key: tuple[int, str, Any], function: Callable[[], Any]) -> Callable[[], Any]:
        fire = super()._once(timer_key, function)
        fire.__name__ = getattr(function, "__name__", "fire")
        return fire


class WatchedNetwork(Network):
    """A network that knows which messages are under way, and what became of all of them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.under_way: dict[tuple[str, str, str], int] = {}
        self.sent: list[Sent] | None = None
        """The copies of messages so far, if they are noted."""
        self._counts: dict[tuple[str, str, str], int] = {}
        self._last: dict[
            tuple[str, str], int
        ] = {}  # link -> its counter at the last message that was counted

    def launch(self, link: Link, receiver: Receiver, message: Any, arrival: float) -> None:
        key = (link.src, link.dst, type(message).__name__)
        self.under_way[key] = self.under_way.get(key, 0) + 1
        if self.sent is not None:
            self._note(link, key, delay_until(self.env._now, arrival))
        super().launch(link, receiver, message, arrival)

    def drop(self, link: Link, message: Any, fate: str, held: Held | None = None) -> None:
        if self.sent is not None:
            key = (link.src, link.dst, type(message).__name__)
            # A cut or a dead link is a fault of its own: only what the link itself lost by chance is a fate.
            disturbed = together(link.disturbances)
            by_chance = fate in ("lost", "corrupted") and max(disturbed.loss, disturbed.corrupted) < 1.0
            self._note(link, key, float("inf") if by_chance else float("nan"))
        super().drop(link, message, fate, held)

    def arrive(self, flight: Flight) -> None:
        link, message = flight[:2]
        self.under_way[link.src, link.dst, type(message).__name__] -= 1
        super().arrive(flight)

    def _note(self, link: Link, key: tuple[str, str, str], after: float) -> None:
        assert self.sent is not None
        place = (link.src, link.dst)
        if self._last.get(place) != link.messages:  # not a copy of the message before
            self._last[place] = link.messages
            self._counts[key] = self._counts.get(key, 0) + 1
        self.sent.append((*key, self._counts[key], after))


class WatchedCluster(Cluster):
    """A cluster that collects coverage.

    Attributes
    ----------
    covered: the coverage so far (in order; the values say nothing).
    """

    plain_host = WatchedHost
    plain_network = WatchedNetwork

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.covered: dict[str, None] = {}
        self._last_event = ("", "")
        super().__init__(*arguments, **options)

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        before, where = self._last_event
        if (event, node) != self._last_event:
            place = "the same node" if node == where else "another node"
            self.covered[f"{before}, {event}, on {place}"] = None
            self._last_event = event, node
        super().record(node, event, detail)

    def struck(self, verb: str, names: tuple[str, ...]) -> None:
        """A fault has acted on nodes: which messages of them were under way?"""
        if not isinstance(self.network, WatchedNetwork):
            return
        for (src, dst, kind), count in self.network.under_way.items():
            if count:
                if src in names:
                    self.covered[f"{verb} while its {kind} is under way"] = None
                if dst in names:
                    self.covered[f"{verb} while {kind} is under way to it"] = None
