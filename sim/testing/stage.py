"""A stage for several nodes: a test controls, line by line, requests, delayed messages and crashes.

>>> stage = Stage(Raft(nodes=3))                     # doctest: +SKIP
>>> stage.hold(kind="AppendEntries", dst="n2")       # doctest: +SKIP
>>> stage.ask("n0", "put", "x", 1)                   # doctest: +SKIP
>>> stage.run(0.1)                                   # doctest: +SKIP
>>> stage.crash("n0")                                # doctest: +SKIP

The stage runs in simulated time on a network with constant delay, with checking on: a broken invariant raises
`sim.system.SafetyViolation` at once. Only the nodes draw random numbers, so a schedule keeps its meaning when a change
of the code would change the meaning of a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import Any

from sim.cluster import Cluster, Disk, Machine
from sim.network.link import Held
from sim.network.topology import Topology, constant
from sim.node import Node
from sim.protocols.admin import AdminReply
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.system import Member, SafetyViolation, System, Timing

__all__ = ["Asker", "Stage"]

CLIENT = "client"


class Asker(Node):
    """The client of a stage. It keeps the messages that it receives: ``heard`` has (time, source, message)."""

    def on_start(self) -> None:
        self.heard: list[tuple[float, str, Any]] = []

    def on_reply(self, src: str, msg: Reply) -> None:
        self.heard.append((round(self.now, 9), src, msg))

    def on_redirect(self, src: str, msg: Redirect) -> None:
        self.heard.append((round(self.now, 9), src, msg))

    def on_admin_reply(self, src: str, msg: AdminReply) -> None:
        self.heard.append((round(self.now, 9), src, msg))

    def heard_of(self, kind: Any) -> list[tuple[float, str, Any]]:
        return [entry for entry in self.heard if isinstance(entry[2], kind)]

    @property
    def replies(self) -> list[Reply]:
        return [message for _, _, message in self.heard_of(Reply)]

    @property
    def redirects(self) -> list[Redirect]:
        return [message for _, _, message in self.heard_of(Redirect)]

    @property
    def admin(self) -> list[AdminReply]:
        return [message for _, _, message in self.heard_of(AdminReply)]

    @property
    def answered(self) -> list[float]:
        """The times (seconds) at which replies came, replies to administrators' requests included."""
        return [time for time, _, _ in self.heard_of((Reply, AdminReply))]


def _matcher(kind: str | None, src: str | None, dst: str | None) -> Callable[[str, str, Any], bool]:
    def matches(a: str, b: str, message: Any) -> bool:
        return (
            kind in (None, type(message).__name__, type(message))
            and (src is None or a == src)
            and (dst is None or b == dst)
        )

    return matches


class Stage:
    """The members of a system (or a list of members), and a node ``client`` that sends only what the test tells it to.

    Parameters
    ----------
    system:
        A system, or a list of members. If the system has no failure-detection times, the heartbeat is 50 ms and the
        detection timeout 500 ms.
    change:
        Member -> the member that replaces it, for example with a mutant of its node class.
    delay:
        One-way delay of each message in seconds. network: another topology, with a place named ``lan``.
    fsync:
        Seconds that a sync of a disk takes. machines: member name -> another machine.
    client_beside:
        The member that the client reaches without delay.
    seed:
        The seed of the nodes' random streams.
    """

    def __init__(
        self,
        system: System | Sequence[Member],
        *,
        change: Callable[[Member], Member] | None = None,
        delay: float = 0.01,
        network: Topology | None = None,
        fsync: float = 0.0,
        machines: Mapping[str, Machine] | None = None,
        client_beside: str | None = None,
        seed: int = 0,
    ) -> None:
        self.delay = delay
        self.system: Any = None
        members: Sequence[Member]
        if not isinstance(system, System):
            members = system
        else:
            self.system = system.with_timing(Timing())
            members = self.system.members()
        self.cluster = Cluster(network or constant(delay), seed, checking=True, tracing=True)
        unknown = sorted(set(machines or ()))
        for member in members:
            if change is not None:
                member = change(member)
            machine = (machines or {}).get(member.name, Machine(disk=Disk(fsync=fsync)))
            settings = self.system if member.settings is None else member.settings
            self.cluster.add(member, place="lan", profile=machine, settings=settings)
            unknown = [name for name in unknown if name != member.name]
        if unknown:
            raise ValueError(
                f"machines names {unknown[0]!r}, but the members are {', '.join(self.cluster.hosts)}"
            )
        client = Member(CLIENT, Asker, group="clients", role="client")
        self.cluster.add(client, place="lan", beside=client_beside)
        if self.system is not None:
            self.cluster.watch(self.system.invariants())
        self.sequence = 0
        self._sequences: dict[int, int] = {}
        self._holds: list[Callable[[str, str, Any], bool]] = []
        self.cluster.boot()

    # Nodes

    @property
    def now(self) -> float:
        return float(self.cluster.env.now)

    @property
    def client(self) -> Any:
        """The client: an `Asker`."""
        return self.node(CLIENT)

    @property
    def names(self) -> list[str]:
        """The names of the members, without the client."""
        return [name for name in self.cluster.hosts if name != CLIENT]

    def node(self, name: str) -> Any:
        """The live node of a member; None while it is down."""
        return self.cluster.hosts[name].node

    # Time

    def run(self, seconds: float = 0.1) -> None:
        """Run for ``seconds`` of simulated time."""
        self.cluster.env.run(until=self.now + seconds)

    def tick(self) -> float:
        """Process the next entry of the event queue; returns the simulated time (seconds)."""
        self.cluster.env.step()
        return self.now

    def step(self, name: str, method: str, *arguments: Any) -> None:
        """Run one handler of a node now, as its host would, for example as if a timer fired."""
        host = self.cluster.hosts[name]
        host.step(getattr(host.node, method), arguments)

    # Requests

    def ask(
        self, name: str, kind: str = "put", key: str = "x", value: Any = None, *, session: int = 1
    ) -> int:
        """The client sends a new command of a session to a member; returns its sequence number in the session."""
        self.sequence = self._sequences[session] = self._sequences.get(session, 0) + 1
        self.send_command(name, Command(session, self.sequence, kind, key, value))
        return self.sequence

    def ask_again(
        self, name: str, kind: str = "put", key: str = "x", value: Any = None, *, session: int = 1
    ) -> None:
        """The client sends the last command of a session once more, to the same or another member."""
        self.send_command(name, Command(session, self._sequences[session], kind, key, value))

    def send_command(self, name: str, command: Command) -> None:
        """The client sends a command to a member."""
        self.client.send(name, Request(command))

    def answers(self, sequence: int) -> list[Any]:
        """The values of all replies to a sequence number so far."""
        return [reply.value for reply in self.client.replies if reply.sequence == sequence]

    # Messages

    def deliver(self, src: str, dst: str, message: Any) -> None:
        """Deliver a message to ``dst`` now, as if from ``src``: a duplicate, a late message, or one never sent."""
        self.cluster.hosts[dst].handle((src, message))

    def hold(self, *, kind: Any = None, src: str | None = None, dst: str | None = None) -> None:
        """From now on hold each arriving message of a class (or its name), from and to these nodes; None: any."""
        self._holds.append(_matcher(kind, src, dst))
        holds = tuple(self._holds)
        self.cluster.network.hold(lambda a, b, message: any(matches(a, b, message) for matches in holds))

    @property
    def held(self) -> list[Held]:
        """The held messages, in order of arrival."""
        return list(self.cluster.network.held)

    def release(self, chosen: Iterable[Held] | None = None) -> None:
        """Deliver the chosen held messages now, in the order given. Without an argument: all, and end all holds."""
        if chosen is None:
            self._holds.clear()
            self.cluster.network.release()
            return
        for one in chosen:
            if not self.cluster.network.release(partial(is_, one), stop=False):
                raise ValueError(f"{one} is not held")

    def drop(self, *, kind: Any = None, src: str | None = None, dst: str | None = None) -> int:
        """Lose the held messages of a class, from and to these nodes; returns how many. Holding continues."""
        matches = _matcher(kind, src, dst)
        return self.cluster.network.lose(lambda held: matches(held.src, held.dst, held.message))

    def cut(self, sources: Iterable[str], destinations: Iterable[str]) -> None:
        """Cut the links from each source to each destination, in this direction only."""
        destinations = list(destinations)
        self.cluster.network.cut([(a, b) for a in sources for b in destinations if a != b])

    def partition(self, *groups: Iterable[str]) -> None:
        """Cut all links between different groups. Nodes in no group, such as the client, keep all their links."""
        split = [list(group) for group in groups]
        for one in split:
            for other in split:
                if one is not other:
                    self.cut(one, other)

    def isolate(self, *names: str) -> None:
        """Cut members off from the other members; the client still reaches them."""
        self.partition(names, [name for name in self.names if name not in names])

    def heal(self) -> None:
        self.cluster.network.heal_all()

    # Crashes

    def crash(self, *names: str) -> None:
        """Crash members; writes that are not synced are lost."""
        for name in names:
            self.cluster.crash(name)

    def restart(self, *names: str, wiped: bool = False) -> None:
        """Restart crashed members with the contents of their disks (``wiped``: with empty disks)."""
        for name in names:
            self.cluster.restart(name, wiped=wiped)

    # Recorded events and messages

    def events(self, kind: str) -> list[tuple[float, str, dict[str, Any]]]:
        """(time in seconds, node, detail) of all recorded events of a kind."""
        return [
            (time, node, detail)
            for time, node, event, detail in self.cluster.recorder.events
            if event == kind
        ]

    def sent(self, kind: str | None = None, *, since: float = 0.0) -> list[tuple[str, str, str, float]]:
        """(kind, src, dst, time) of the messages sent since a time (seconds), without messages to oneself."""
        rows = [*self.cluster.recorder.messages, *self.cluster.network.rows_under_way()]
        return [
            (name, src, dst, sent)
            for name, src, dst, sent, *_ in rows
            if src != dst and sent >= since and kind in (None, name)
        ]

    def invariant_broken(self, action: Callable[[], Any] | None = None) -> str:
        """The name of the invariant that ``action``, or the next second, breaks. AssertionError if none breaks."""
        try:
            self.run(1.0) if action is None else action()
        except SafetyViolation as violation:
            return str(violation.invariant)
        raise AssertionError("no invariant broke")

    def finish(self) -> None:
        """Check the invariants of the whole state, as at the end of a run."""
        for invariant in self.cluster.invariants:
            invariant.at_end(self.cluster.nodes)
