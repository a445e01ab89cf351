"""The network: all links of a run, made on first use, and what faults do to them.

The cost of `send` limits the speed of the simulator, so a node has, for each link, a function that does what the link
needs in its present state and nothing else: a plain datagram link (`sim.network.plain_link`) draws a delay and pushes
one entry, and writes a row where messages are traced. `observed_link` beside it is for messages that are checked,
doubled or held back. All other features (transport, bandwidth, bursts, faults) are in `sim.network.careful_link`, which
keeps the same order of random draws. A fault or a change makes another function.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sim.distributions import Constant
from sim.engine import COMPILED
from sim.kernel import Environment, Streams
from sim.network.careful_link import careful_link
from sim.network.detention import Detention
from sim.network.disturbances import Disturbance
from sim.network.fates import FateBook, Quiet, fated_link
from sim.network.link import Held, Link, Receiver, Send
from sim.network.message_rows import NAN, MessageRows
from sim.network.topology import LinkSpec, Topology
from sim.recorder import Recorder
from sim.unchanged import require_unchanged

if TYPE_CHECKING or not COMPILED:
    from sim.network.plain_link import observed_link, plain_link
    from sim.unchanged import Picture
else:
    from sim._unchanged import Picture
    from sim.network._plain_link import observed_link, plain_link

__all__ = ["Network"]

_AT_ONCE = LinkSpec(Constant(0.0))

Hear = Callable[[str, str, Any], None]

Flight = tuple[Link, Any, float, Any, Receiver, Picture | None]
"""A message on its way: the link, the message, when it was sent (seconds), the bytes for its row (None: it has none),
the receiver, the picture of it. Over a plain link only messages with a row are such; they have the first four."""


class _Routes(dict[str, Send]):
    """The links that leave one node, made on first use; ``heard``: sending a message also calls the invariants.

    The function of a link that is hardly used is made for each message, and not kept (`Network.is_passing`).
    """

    def __init__(self, network: Network, src: str, heard: bool) -> None:
        super().__init__()
        self._network = network
        self._src = src
        self._heard = heard

    def __missing__(self, dst: str) -> Send:
        send = self._network.connect(self._src, str(dst), heard=self._heard)
        if not self._network.is_passing(self._src, dst):
            self[dst] = send
        return send


class Network:
    """All links of a run.

    Parameters
    ----------
    env, streams, recorder:
        Simulated time, random streams, and the recorder of traced messages.
    topology:
        The properties of the link between two places.
    tracing:
        The share of messages that are recorded (the frame ``messages``): 0 for none, 1 for all.
    checking:
        Digest each message at send and compare at delivery, to find messages with shared mutable state.
    """

    def __init__(
        self,
        env: Environment,
        streams: Streams,
        topology: Topology,
        recorder: Recorder,
        *,
        tracing: float = 0.0,
        checking: bool = False,
    ) -> None:
        self.env = env
        self.streams = streams
        self.topology = topology
        self.recorder = recorder
        self.rows = MessageRows(recorder.messages, tracing, streams) if tracing else None
        self.checking = checking
        self.links: dict[tuple[str, str], Link] = {}
        self.places: dict[str, str] = {}
        self.on_send: Mapping[type, Iterable[Hear]] | None = (
            None  # the invariants that hear a class of messages
        )
        self.book = FateBook(topology.fates) if isinstance(topology, Quiet) else None
        self._receivers: dict[str, Receiver] = {}
        self._routes: dict[tuple[str, bool], _Routes] = {}
        self._beside: dict[str, str] = {}  # client -> the node that it is placed at
        self._machines: dict[str, str] = {}  # host -> the machine that it shares with others
        self._cuts: dict[tuple[str, str], int] = {}
        self._holding: Callable[[str, str, Any], bool] | None = None
        self._detentions: list[Detention] = []
        self._holds = False  # whether any message may be held back
        self._held: list[Held] = []
        self._pictured: tuple[float, Picture] | None = None  # the last picture, and when it was taken

    # Hosts and routes

    def attach(
        self, receiver: Receiver, place: str, beside: str | None = None, machine: str | None = None
    ) -> None:
        """Connect a host at a place. ``beside``: the name of a node that it reaches without delay.

        There is no delay between hosts on one ``machine``, either.
        """
        self._receivers[receiver.name] = receiver
        self.places[receiver.name] = place
        if beside is not None:
            self._beside[receiver.name] = beside
        if machine is not None:
            self._machines[receiver.name] = machine

    def routes(self, src: str, *, heard: bool = True) -> dict[str, Send]:
        """For a node: destination -> function that sends a message there.

        ``heard=False``: do not call the invariants, because the caller has done so already (`tell`).
        """
        known = self._routes.get((src, heard))
        if known is None:
            known = self._routes[src, heard] = _Routes(self, src, heard)
        return known

    def tell(self, src: str, dst: str, send: Send) -> Send:
        """A function that first calls the invariants, if there are any, and then ``send``.

        The invariants must see a message at the moment when its node sends it. Later delays (of a core or a network
        card, of a stream that is cut) take time, and in that time the state of the node changes.
        """
        hooks = self.on_send
        if hooks is None:
            return send

        def send_and_tell(message: Any) -> None:
            for hear in hooks[message.__class__]:
                hear(src, dst, message)
            send(message)

        return send_and_tell

    def connect(self, src: str, dst: str, *, heard: bool) -> Send:
        """The send function of a link in its present state, which first calls the invariants if it is ``heard``.

        A node reaches itself without a link. Raises LookupError for an unknown destination.
        """
        if dst not in self._receivers:
            raise LookupError(f"{src} sends to {dst!r}: there is no node of that name")
        if src == dst:
            return self._receivers[dst].to_self
        link = self.links.get((src, dst))
        if link is None:
            link = self.links[src, dst] = Link(src, dst, self._spec(src, dst), self.streams)
            link.cuts = self._cuts.get((src, dst), 0)
        receiver = self._receivers[dst]
        if self._is_plain(link):
            return plain_link(self.env, link, receiver, self.rows)
        if self._is_simple(link) and type(self).launch is Network.launch:
            return observed_link(self, link, receiver, self.on_send if heard else None)
        if self.book is not None:
            send = fated_link(self, link, receiver, self.book)
        else:
            send = careful_link(self, link, receiver)
        return self.tell(src, dst, send) if heard else send

    def is_passing(self, src: str, dst: str) -> bool:
        """Whether the send function of a link is for one message: the link is plain, and hardly used so far."""
        link = self.links.get((src, dst))
        return link is not None and link.is_new and self._is_plain(link)

    def is_local(self, src: str, dst: str) -> bool:
        """Whether both are on one machine, or one is placed beside the other: then there is no delay between them."""
        machine = self._machines.get(src)
        together = machine is not None and machine == self._machines.get(dst)
        return together or self._beside.get(src) == dst or self._beside.get(dst) == src

    def _spec(self, src: str, dst: str) -> LinkSpec:
        if self.is_local(src, dst):
            return _AT_ONCE
        return self.topology.link(self.places[src], self.places[dst])

    def _is_plain(self, link: Link) -> bool:
        """Whether a link has only latency and loss, and nothing but a trace looks at its messages."""
        observed = self.checking or self.on_send is not None or self._holds
        return not observed and not link.spec.duplicate and self._is_simple(link)

    def _is_simple(self, link: Link) -> bool:
        """Whether a link has only latency, loss and duplicates."""
        spec = link.spec
        special = spec.bandwidth or spec.burst or spec.transport != "datagram" or spec.playback
        return self.book is None and not (special or link.cuts or link.disturbances)

    def rewire(self) -> None:
        """Discard all send functions, because links have changed; each is made again at its next use."""
        for routes in self._routes.values():
            routes.clear()

    # Faults of links

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Cut directed links: messages over them are lost (messages of a stream wait). Cuts add up."""
        for src, dst in pairs:
            self._cuts[src, dst] = self._cuts.get((src, dst), 0) + 1
            if (src, dst) in self.links:
                self.links[src, dst].cuts += 1
        self.rewire()

    def heal(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take back one cut of each of these directed links."""
        healed = []
        for src, dst in pairs:
            left = max(0, self._cuts.get((src, dst), 0) - 1)
            self._cuts[src, dst] = left
            if (src, dst) in self.links:
                self.links[src, dst].cuts = left
                healed.append(self.links[src, dst])
        self.rewire()
        for link in healed:
            self._resume(link)

    def heal_all(self) -> None:
        """Take back all cuts and disturbances."""
        for link in self.links.values():
            link.disturbances = ()
        self.heal([pair for pair, count in self._cuts.items() for _ in range(count)])

    def calm(self) -> None:
        """End all cuts, disturbances and detentions; from now on no link loses or duplicates messages."""
        for detention in [*self._detentions]:
            self.let_go(detention)
        self.topology = self.topology.calmed()
        for link in self.links.values():
            spec = link.spec
            if spec.loss or spec.duplicate or spec.burst or spec.playback:  # else links go on sharing theirs
                link.spec = dataclasses.replace(spec, loss=0.0, duplicate=0.0, burst=None, playback=None)
        self.heal_all()

    def _resume(self, link: Link) -> None:
        """Send the messages that a stream kept while it was cut."""
        if link.cuts == 0 and link.waiting:
            kept = list(link.waiting)
            link.waiting.clear()
            for message in kept:
                self.send_kept(link, message)

    def keep(self, link: Link, message: Any) -> None:
        """Keep a message of a stream that is cut."""
        if link.waiting is None:
            link.waiting = deque()
        link.waiting.append(message)

    def send_kept(self, link: Link, message: Any) -> None:
        """The cut is over: send a message that the stream kept."""
        self.routes(link.src, heard=False)[link.dst](message)

    def reset(self, name: str) -> None:
        """A node has crashed: its connections are closed, and messages that streams kept for later are lost."""
        for (src, dst), link in self.links.items():
            if name in (src, dst):
                while link.waiting:
                    link.messages += 1
                    self.drop(link, link.waiting.popleft(), "crashed")
        for detention in self._detentions:
            for held in [*detention.held]:
                if name in (held.src, held.dst) and self.links[held.src, held.dst].spec.transport == "stream":
                    detention.held = [other for other in detention.held if other is not held]
                    self.lose_held(held)

    def is_cut(self, src: str, dst: str) -> bool:
        """Whether a directed link is cut now."""
        return self._cuts.get((src, dst), 0) > 0

    def disturb(self, pairs: Iterable[tuple[str, str]], disturbance: Disturbance) -> None:
        """Disturb directed links, besides the disturbances that they have, until `relieve`."""
        for src, dst in pairs:
            self.routes(src)[dst]  # makes the link if it does not exist
            self.links[src, dst].disturbances += (disturbance,)
        self.rewire()

    def relieve(self, pairs: Iterable[tuple[str, str]], disturbance: Disturbance) -> None:
        """Take back one such disturbance of each of these links; no effect where there is none."""
        for pair in pairs:
            link = self.links.get(pair)
            if link is not None and disturbance in link.disturbances:
                left = list(link.disturbances)
                left.remove(disturbance)
                link.disturbances = tuple(left)
        self.rewire()

    def detain(self, detention: Detention) -> None:
        """Keep back the messages of a detention that are sent from now on, until `let_go`."""
        self._detentions.append(detention)
        self._rewire_for_holding()

    def let_go(self, detention: Detention) -> None:
        """End a detention: its messages arrive now, in order."""
        if detention in self._detentions:
            self._detentions.remove(detention)
            self._rewire_for_holding()
        for held in detention.held:
            self.env.call_after(0.0, self.deliver_held, held)
        detention.held = []

    def _rewire_for_holding(self) -> None:
        self._holds = self._holding is not None or bool(self._detentions)
        self.rewire()

    # Holding messages back, for live sessions

    def hold(self, matches: Callable[[str, str, Any], bool]) -> None:
        """Hold each message that is sent from now on, when it arrives, if ``matches(src, dst, message)`` is true.

        On careful links, also messages that are on their way already.
        """
        self._holding = matches
        self._rewire_for_holding()

    @property
    def held(self) -> tuple[Held, ...]:
        """The held messages, in order of arrival."""
        return tuple(self._held)

    def release(self, chosen: Callable[[Held], bool] | None = None, *, stop: bool = True) -> int:
        """Deliver held messages (all, or the chosen ones) now, and stop holding if ``stop``. Returns how many."""
        if stop:
            self._holding = None
            self._rewire_for_holding()
        ready = [h for h in self._held if chosen is None or chosen(h)]
        self._held = [h for h in self._held if h not in ready]
        for held in ready:
            self.env.call_after(0.0, self.deliver_held, held)
        return len(ready)

    def lose(self, chosen: Callable[[Held], bool]) -> int:
        """Lose the chosen held messages; returns how many. Holding continues."""
        lost = [h for h in self._held if chosen(h)]
        self._held = [h for h in self._held if all(h is not one for one in lost)]
        for held in lost:
            self.lose_held(held)
        return len(lost)

    def lose_held(self, held: Held) -> None:
        """Lose a message that was held back."""
        self.drop(self.links[held.src, held.dst], held.message, "lost", held)

    def deliver_held(self, held: Held) -> None:
        """Deliver a message that was held back."""
        flight = (self.links[held.src, held.dst], held.message, held.sent, held.row)
        self._hand_over((*flight, self._receivers[held.dst], held.picture))

    # Delivery over careful links

    def arrive(self, flight: Flight) -> None:
        """A message of a careful link has reached the other end."""
        if not (self._holds and self.is_kept(flight)):
            self._hand_over(flight)

    def is_kept(self, flight: Flight) -> bool:
        """Whether a message that has reached the other end of its link is held back there."""
        link, message, sent, size, _, picture = flight
        return self._holds_back(link, message, Held(link.src, link.dst, message, sent, picture, size))

    def _holds_back(self, link: Link, message: Any, held: Held) -> bool:
        """Whether an arriving message is held back; then ``held`` is kept."""
        if self._holding is not None and self._holding(link.src, link.dst, message):
            self._held.append(held)
            return True
        for detention in self._detentions:
            if detention.takes(link, message):
                detention.held.append(self._copied(held) if detention.copies else held)
                if not detention.copies:
                    return True
        return False

    def _copied(self, held: Held) -> Held:
        """A copy of a message that arrives now."""
        return held

    def _hand_over(self, flight: Flight) -> None:
        link, message, sent, size, receiver, picture = flight
        src = link.src
        if picture is not None and not picture.is_true():
            require_unchanged(picture, src, receiver.name)
        if size is not None:
            assert self.rows is not None
            fate = "delivered" if receiver.handlers else "crashed"
            self.rows.note(src, receiver.name, message, sent, self.env._now, fate, size)
        receiver.receive(src, message)

    def launch(self, link: Link, receiver: Receiver, message: Any, arrival: float) -> None:
        """Schedule the arrival of a message of a careful link at a simulated time (seconds)."""
        env = self.env
        picture = self.picture_of(message) if self.checking else None
        size = None if self.rows is None else self.rows.size(link, message)
        flight = (link, message, env._now, size, receiver, picture)
        env.push((arrival, 1, env.serial(), self.arrive, flight))

    def picture_of(self, message: Any) -> Picture:
        """Its picture; a message that goes out several times at one instant (to many, or duplicated) has one."""
        last, now = self._pictured, self.env._now
        if last is not None and last[1].message is message and last[0] == now:
            return last[1]
        picture = Picture(message)
        self._pictured = (now, picture)
        return picture

    def drop(self, link: Link, message: Any, fate: str, held: Held | None = None) -> None:
        """Count a message that will not arrive, and record it when tracing. ``held``: if it was held back."""
        link.lost += 1
        if self.rows is not None:
            sent, size = (
                (self.env._now, self.rows.size(link, message)) if held is None else (held.sent, held.row)
            )
            if size is not None:
                self.rows.note(link.src, link.dst, message, sent, NAN, fate, size)

    def rows_under_way(self) -> list[tuple[Any, ...]]:
        """The rows of the messages that are in flight, in the order in which they were sent, or held back."""
        if self.rows is None:
            return []
        found: list[tuple[Any, ...]] = []
        there = MessageRows(found, 1.0, self.streams)
        entries = [entry for entry in self.env._queue if len(entry) == 5 and _is_flight(entry[4])]
        for entry in sorted(entries, key=lambda entry: int(entry[2])):
            link, message, sent, size = entry[4][:4]
            if size is not None:
                there.note(link.src, link.dst, message, sent, NAN, "in flight", size)
        for held in (*self._held, *(one for detention in self._detentions for one in detention.held)):
            if held.row is not None:
                there.note(held.src, held.dst, held.message, held.sent, NAN, "held", held.row)
        return found

    def trace_in_flight(self) -> None:
        """At the end of a traced run, record the messages that are still in flight, or held back."""
        self.recorder.messages += self.rows_under_way()


def _is_flight(argument: Any) -> bool:
    """Whether the argument of an entry of the event list is a message on its way (of plain and careful links)."""
    return type(argument) is tuple and bool(argument) and type(argument[0]) is Link
