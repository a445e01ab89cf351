"""The cluster: all hosts of a run. This is where nodes are made, crashed and restarted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from sim.cluster.host import NodeHost
from sim.cluster.profile import Machine
from sim.cluster.sharing import Sharing
from sim.cluster.traced_host import TracedHost
from sim.cluster.tracer import TracedEnvironment, Tracer
from sim.engine import COMPILED
from sim.kernel import Environment, Streams
from sim.network.link import HEADER_BYTES
from sim.network.links import Network
from sim.network.topology import Topology
from sim.network.traced import TracedNetwork
from sim.node import Node
from sim.recorder import Recorder
from sim.settings import Bounds
from sim.system import Invariant, Member, MessageHooks, StepHooks, hooks_of

__all__ = ["Cluster", "Tracing", "share_traced"]

_Sample = Annotated[
    float, Bounds("True, False, 'full', or a share of messages above 0 and at most 1", above=0, most=1)
]
Tracing = bool | Literal["full"] | _Sample
"""Records in addition to operations and events: none, each message, each message and each step of a node, or a share of
the messages."""


def share_traced(tracing: Tracing) -> float:
    """The share of messages that are recorded: 0 for none, 1 for all."""
    return 1.0 if tracing == "full" else float(tracing)


class Cluster:
    """Nodes on hosts, joined by a network.

    Parameters
    ----------
    topology:
        The properties of the links between places.
    seed:
        Seed of every random stream (>= 0).
    tracing:
        Record each message; "full": each step of a node, too; a number: a share of the messages.
    checking:
        Call the invariants after every event, and raise an error if a message changes between send and delivery.
    """

    plain_host: type[NodeHost] = NodeHost
    plain_network: type[Network] = Network
    """Those of a run without a full trace."""

    def __init__(
        self, topology: Topology, seed: int = 0, *, tracing: Tracing = False, checking: bool = False
    ) -> None:
        full = tracing == "full"
        self.env = TracedEnvironment() if full else Environment()
        self.streams = Streams(seed)
        share = share_traced(tracing)
        self.recorder = Recorder(full=full, share=share, packed=COMPILED and not full)
        self.checking = checking
        self.tracer: Tracer | None = None
        if isinstance(self.env, TracedEnvironment):
            self.tracer = self.env.tracer = Tracer(self.env, self.recorder)
        self.host_class = TracedHost if full else self.plain_host
        network_class = TracedNetwork if full else self.plain_network
        self.network = network_class(
            self.env, self.streams, topology, self.recorder, tracing=share, checking=checking
        )
        self.hosts: dict[str, NodeHost] = {}
        self.invariants: tuple[Invariant, ...] = ()  # those of `watch`
        self._events_heard: list[Callable[[str, str, dict[str, Any]], None]] = []  # by listeners
        self.on_wait, self.on_send, self.on_deliver = map(MessageHooks, ("on_wait", "on_send", "on_deliver"))
        self._call(())
        self._groups: dict[str, list[str]] = {}
        self._as_tuples: dict[str, tuple[str, ...]] = {}
        self._sharing = Sharing(self)

    # Construction

    def add(
        self,
        member: Member,
        *,
        place: str,
        profile: Machine | None = None,
        settings: Any = None,
        beside: str | None = None,
    ) -> NodeHost:
        """Add a member at a place; ``beside`` names a node that it reaches without network delay.

        Raises ValueError when the name is taken, or when its machine exists already with another place, number or
        discipline of cores, or network card.
        """
        if member.name in self.hosts:
            raise ValueError(f"two members are named {member.name!r}")
        neighbour = self._on_machine(member, place, profile or Machine())
        self._groups.setdefault(member.group, []).append(member.name)
        cpu, nic = (None, None) if neighbour is None else (neighbour.cpu, neighbour.nic)
        host = self.host_class(self, member, place, profile or Machine(), settings, cpu, nic)
        self.hosts[member.name] = host
        self.network.attach(host, place, beside, member.machine)
        return host

    def _on_machine(self, member: Member, place: str, profile: Machine) -> NodeHost | None:
        """The host of another member on the same machine, if any; ValueError if place, cores or card differ."""
        if member.machine is None:
            return None
        for other in self.hosts.values():
            if other.member.machine == member.machine:
                mine, theirs = (place, profile.cores, profile.discipline, profile.nic), other.cores_at
                if mine != theirs:
                    raise ValueError(
                        f"{member.name} and {other.name} run on {member.machine}: "
                        f"its place, cores, discipline and nic cannot be {mine} and {theirs}"
                    )
                return other
        return None

    def watch(self, invariants: Iterable[Invariant]) -> None:
        """Call these invariants from now on (only with ``checking``).

        Raises ValueError for one that needs what no member has.
        """
        watched = tuple(invariants)
        members = [host.member for host in self.hosts.values() if host.member.role != "client"]
        for invariant in watched:
            invariant.now = lambda: float(self.env.now)
            invariant.begin(members)
        self._call((*self.invariants, *watched))
        if self.checking and self.invariants:
            self._hear_sends()

    def listen(
        self,
        *,
        on_event: Callable[[str, str, dict[str, Any]], None] | None = None,
        on_send: Callable[[str, str, Any], None] | None = None,
    ) -> None:
        """From now on call these functions like the hooks of an invariant, with checking or without.

        They judge nothing, and change nothing at once.
        """
        if on_event is not None:
            self._events_heard.append(on_event)
            self._call(self.invariants)
        if on_send is not None:
            self.on_send.add_listener(on_send)
            self._hear_sends()

    def _hear_sends(self) -> None:
        self.network.on_send = self.on_send
        self.network.rewire()

    def stop_watching(self) -> None:
        """Call no invariant from now on: one of them is broken."""
        self._call(())

    def _call(self, invariants: tuple[Invariant, ...]) -> None:
        """From now on, call the hooks of these invariants (none without checking), and the listeners."""
        self.invariants = invariants
        called = invariants if self.checking else ()
        for hooks in (self.on_wait, self.on_send, self.on_deliver):
            hooks.take_from(called)
        self._on_step = StepHooks(called)
        self.on_acknowledged = hooks_of(called, "on_acknowledged")
        self._on_event: list[Callable[[str, str, dict[str, Any]], None]] = [
            *hooks_of(called, "on_event"),
            *self._events_heard,
        ]

    def watch_only(self, wanted: Callable[[Invariant], bool]) -> None:
        """From now on, call only those of the present invariants that are ``wanted``."""
        kept = [invariant for invariant in self.invariants if wanted(invariant)]
        self.stop_watching()
        self.watch(kept)

    def boot(self) -> None:
        """Start every member that is not a spare, in the order in which they were added."""
        for host in self.hosts.values():
            if not host.member.off and not host.is_up:
                host.boot()

    def group_of(self, name: str) -> tuple[str, ...]:
        """All members of a node's group, itself included, in order."""
        if name not in self.hosts:
            return (name,)
        group = self.hosts[name].member.group
        names, known = self._groups[group], self._as_tuples.get(group, ())
        if len(known) != len(names):
            known = self._as_tuples[group] = tuple(names)
        return known  # one tuple for all its members: in a large group, copies would take most of the memory

    def peers_of(self, name: str) -> tuple[str, ...]:
        """The other members of a node's group."""
        group = self.group_of(name)
        place = group.index(name)
        return group[:place] + group[place + 1 :]

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The live nodes, by name."""
        return {name: host.node for name, host in self.hosts.items() if host.node is not None}

    # Faults

    def crash(self, name: str, *, power: bool = False) -> None:
        """Crash a node: its object is thrown away, its disk remains. No effect on a node that is down.

        ``power``: its machine loses power, so that no write survives that is not synced.
        """
        host = self._host(name)
        if host.is_up:
            self.record(name, "crash", {})
            if self.checking and host.node is not None:
                self._sharing.crashed(host.node)
            host.crash(power=power)
            self.network.reset(name)

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Restart a crashed node, with the contents of its disk or, if ``wiped``, with an empty disk."""
        host = self._host(name)
        if not host.is_up:
            if wiped:
                host.disk.wipe()
            self.record(name, "restart", {"wiped": True} if wiped else {})
            host.boot()

    def pause(self, name: str) -> None:
        """Pause a node (see `NodeHost.pause`). No effect on a node that is down or paused."""
        host = self._host(name)
        if host.is_up and not host.is_paused:
            self.record(name, "pause", {})
            host.pause()

    def resume(self, name: str) -> None:
        """Resume a paused node. No effect on other nodes; a node that crashed during its pause is down."""
        host = self._host(name)
        if host.is_paused:
            self.record(name, "resume", {})
            host.resume()

    def _host(self, name: str) -> NodeHost:
        if name not in self.hosts:
            raise LookupError(f"there is no node {name!r}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    # Recording and checking

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        """Append a row to the frame ``events``, and call the invariants with it when checking is on."""
        self.recorder.events.append((self.env.now, node, event, detail))
        for hear in self._on_event:
            hear(node, event, detail)

    def after_step(self, node: Node) -> None:
        """Call the invariants after a handler of this node has run."""
        for hear in self._on_step[node.__class__]:
            hear(node)
        sharing = self._sharing
        sharing.steps += 1
        if sharing.steps >= sharing.next_look:
            sharing.look_now_and_then()

    def before_first_step(self, node: Node) -> None:
        """Called when checking is on and a node, whose parts exist already, is about to boot."""
        self._sharing.booted(node)

    def sample(self, node: str, gauge: str, value: float) -> None:
        """Append to the frame ``samples``."""
        self.recorder.samples.append((self.env.now, node, gauge, value))

    def finish(self) -> None:
        """At the end of a run, write the counters of links and hosts into the recorder.

        With checking on, raises TypeError when nodes share state (see `sim.cluster.sharing`).
        """
        if self.checking:
            self._sharing.look()
        self.network.trace_in_flight()
        out: dict[str, list[int]] = {name: [0, 0] for name in self.hosts}
        for (src, dst), link in self.network.links.items():
            size = link.bytes + HEADER_BYTES * link.messages
            out[src][0] += link.messages
            out[src][1] += size
            roles = (self.hosts[src].member.role, self.hosts[dst].member.role)
            self.recorder.links.append((src, dst, *roles, link.messages, size, link.lost, link.duplicated))
        now = self.env.now
        for name, host in self.hosts.items():
            busy = host.cpu.busy_until(now)
            self.recorder.nodes.append(
                (
                    *(name, host.member.role, host.place, host.messages_in, *out[name], busy),
                    *(busy / (now * host.cpu.cores) if now else 0.0, host.cpu.backlog_max),
                    *(host.disk.syncs, host.disk.bytes, host.crashes),
                )
            )
