"""A host: it runs one node. It provides the verbs and calls the handlers.

A host continues to exist when its node crashes. A crash throws the node object away; a restart makes a new one from
the contents of the disk. A crash also discards everything that could still reach the old object (timers, queued work,
stories, held messages), and the verbs of the old object have no effect any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from simpy.events import AnyOf, Event

from sim.cluster.alarms import Alarms, stretch
from sim.cluster.cores import Cpu, Job, make_cpu
from sim.cluster.dead_host import bury
from sim.cluster.disk import make_disk
from sim.cluster.own_steps import OwnStep
from sim.cluster.profile import Machine
from sim.cluster.rpc import Calls, Return
from sim.cluster.sending import Nic, ways_out
from sim.cluster.story import Stories, Story
from sim.engine import COMPILED
from sim.hosting import HostContract, callback, require_delay, require_work
from sim.kernel import Timer
from sim.message import check_message
from sim.node import Caller, Handlers, Node
from sim.unchanged import require_unchanged

if TYPE_CHECKING or not COMPILED:
    from sim.cluster.clock import NodeClocks
    from sim.cluster.inbound import Inbound
    from sim.cluster.verbs import plain_step, quick_verbs
    from sim.unchanged import Picture
else:
    from sim._unchanged import Picture
    from sim.cluster._clock import NodeClocks
    from sim.cluster._inbound import Inbound
    from sim.cluster._verbs import plain_step, quick_verbs

if TYPE_CHECKING:
    from sim.cluster.cluster import Cluster
    from sim.system import Member

__all__ = ["NodeHost"]

RunStep = Callable[[Callable[..., Any], tuple[Any, ...]], None]


class NodeHost(Inbound):
    """Hosts one member of the cluster.

    Attributes of interest to tests and notebooks: ``node`` (the live node, or None while it is down), ``disk``,
    ``cpu``, ``incarnation``, ``messages_in``, ``crashes``.
    """

    def __init__(
        self,
        cluster: Cluster,
        member: Member,
        place: str,
        profile: Machine,
        settings: Any,
        cpu: Cpu | None = None,  # the cores of a machine that exists already
        nic: Nic | None = None,  # its network card
    ) -> None:
        self.cluster = cluster
        self.member = member
        self.name = member.name
        self.place = place
        self.profile = profile
        self.messages_are_free = profile.messages_are_free
        self.settings = settings
        self.env = cluster.env
        self.node: Node | None = None
        self.incarnation = -1
        self.in_step = False
        self.disk_damaged: tuple[str, ...] = ()  # see `Node.disk_damaged`
        self.disk = make_disk(self, profile.disk, cluster.env, cluster.streams)
        self.cpu = make_cpu(profile, cluster.env) if cpu is None else cpu
        self.nic = Nic(profile.nic, cluster.env) if nic is None and profile.nic is not None else nic
        plain = self.disk.instant and not cluster.checking
        self.step: RunStep
        self._run: Callable[[Callable[[], Any]], None]
        self.step = self._run = plain_step(self) if plain else self.recorded_step
        self.clocks = NodeClocks(cluster.env, profile.clock, cluster.streams[f"clock/{self.name}"])
        self.monotonic: Callable[[], float] = self.clocks.monotonic  # see `Verbs.monotonic`
        self.handlers: dict[type, Callable[[Any, Any], Any]] = {}
        self.crashes = 0
        self.dropped = 0  # messages that arrived while the node was down
        self.timers: dict[tuple[int, str, Any], Timer] = {}
        self.jobs: dict[tuple[int, str, Any], Job] = {}
        self.alarms = self.make_alarms()  # the ends of sleeps and the timeouts of calls
        self.stories = self.make_stories()
        self._own_steps = self.stories.own_steps
        self.follow = self.stories.follow
        self.expect = self.stories.expect
        self._outbox: list[tuple[int, str, Any]] = []  # (record it depends on, destination, message)
        self.owners: list[Handlers] = []  # the node and its parts
        self._calls = Calls(self)
        self.halt: Halt | None = None  # not None while the process is paused
        self._disk_failures: list[Event] = []  # to be told of the next
        self.routes = ways_out(self, cluster.network.routes(self.name))

    def make_alarms(self) -> Alarms:
        """Its alarms."""
        return Alarms(self.env, self.clocks)

    def make_stories(self) -> Stories:
        """Its stories."""
        return Stories(self)

    def to_wait(self, message: Any) -> Any:
        """The form in which the outbox keeps a message until the disk is ready and it can be sent."""
        return message

    def leaving(self, what: tuple[Any, ...]) -> tuple[Any, ...]:
        """The form in which a core or card keeps a message while it sends it; it returns it afterwards."""
        return what

    @property
    def is_up(self) -> bool:
        """Whether the node is up."""
        return self.node is not None

    @property
    def is_paused(self) -> bool:
        """Whether the node is paused: alive, but none of its code runs."""
        return self.halt is not None

    @property
    def direct(self) -> bool:
        """Whether a message may go directly to its handler: no CPU cost, no network card, no slow disk, no checking."""
        free = self.profile.messages_are_free and self.nic is None
        return free and self.disk.instant and not self.cluster.checking

    @property
    def cores_at(self) -> tuple[str, int, str, float | None]:
        """Its place, the number and the discipline of its cores, and the speed of its network card (bytes/s)."""
        return self.place, self.profile.cores, self.profile.discipline, self.profile.nic

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members of this node's group."""
        return self.cluster.peers_of(self.name)

    @property
    def backlog(self) -> int:
        """The number of messages and pieces of work on this machine that wait or are being served."""
        return self.cpu.backlog

    # Boot, crash, pause

    def boot(self) -> None:
        """Start the node with the contents of its disk. Raises RuntimeError if it is up."""
        if self.node is not None:
            raise RuntimeError(f"{self.name} is already up")
        self.incarnation += 1
        self.clocks.begin()
        self.disk_damaged = self.disk.find_damage()
        node = self.member.node_class(self)
        self.node = node
        self.owners = [node, *(node.__dict__[name] for name in type(node)._parts)]
        for owner in self.owners:
            owner.__dict__.update(self.quick_verbs(owner))
            for kind, handler in type(owner).takers().items():
                if kind in self.handlers:
                    raise TypeError(f"{self.name}: two parts handle {kind.__name__}")
                self.handlers[kind] = getattr(owner, handler)
        self.handlers.update(self._calls.handlers())
        if self.cluster.checking:
            self.cluster.before_first_step(node)
        for owner in [*self.owners[1:], node]:
            self.step(owner.on_start, ())

    def quick_verbs(self, owner: Handlers) -> dict[str, Callable[..., None]]:
        """The verbs that take the place of an owner's own, because they are quicker."""
        return quick_verbs(self, owner)

    def crash(self, *, power: bool = False) -> None:
        """Throw the node away; only what is on the disk survives. ``power``: see `Cluster.crash`."""
        if self.node is None:
            return
        self.crashes += 1
        self.halt = None
        self.disk.crash(power=power)
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.alarms.clear()
        self.jobs.clear()
        if self.member.machine is None:
            self.cpu.clear()
            if self.nic is not None:
                self.nic.clear()
        else:
            self.cpu.drop(self)
        self._outbox.clear()
        self._calls.clear()
        self.handlers.clear()
        for owner in self.owners:
            for verb in self.quick_verbs(owner):
                owner.__dict__.pop(verb, None)
        bury(self.owners, self)
        self.owners = []
        self.node = None
        self.stories.close()  # last: verbs that stories call while they close (`finally`) reach a dead host

    def disk_failed(self) -> None:
        """A sync has failed: the node crashes, as etcd does, because it cannot say what is on its disk."""
        self.cluster.record(self.name, "disk failed", {})
        self.cluster.crash(self.name, power=True)  # nothing of what failed survives
        failures, self._disk_failures = self._disk_failures, []
        for failure in failures:
            failure.succeed()

    def disk_failure(self) -> Event:
        """An event that happens when the next sync fails."""
        self._disk_failures.append(self.env.event())
        return self._disk_failures[-1]

    def pause(self) -> None:
        """Pause the process (as if stopped, or collecting garbage): none of its handlers, timers and stories runs.

        Messages that arrive during the pause wait. Work that its cores finish during the pause waits, too. Its clocks
        continue.
        """
        if self.node is None or self.halt is not None:
            return
        halt = self.halt = Halt(dict(self.handlers))
        for timer in self.timers.values():
            if timer.deadline is not None:
                halt.timers.append((timer.deadline, timer))
                timer.cancel()
        for kind, handler in halt.handlers.items():
            self.handlers[kind] = self._defer(halt, handler)

    def resume(self) -> None:
        """Resume a paused process: overdue timers fire first; then it handles what has arrived, in order.

        Event loops run timers first, too (a turn of libuv begins with them). This order shows whether a protocol
        wrongly suspects other nodes because of its own pause.
        """
        halt, self.halt = self.halt, None
        if halt is None:
            return
        self.handlers.update(halt.handlers)
        self._own_steps.go_on(halt.own_steps)
        now = self.env.now
        for due, timer in sorted(halt.timers, key=lambda entry: entry[0]):
            timer.arm_at(max(due, now))
        for act, arguments in halt.late:
            self._catch_up(act, arguments)
        self.flush()

    def _defer(self, halt: Halt, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], None]:
        """A replacement for a handler during a pause, because some links call handlers directly."""

        def wait(src: Any, message: Any) -> None:
            halt.late.append((self.step, (handler, (src, message))))

        return wait

    def _catch_up(self, late: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Schedule a delayed action of a pause for this instant; it is skipped if the node crashes before."""
        node = self.node

        def act(_: None) -> None:
            if self.node is node:
                late(*arguments)

        self.env.call_after(0.0, act, None)

    @property
    def identity(self) -> dict[str, Any]:
        """The attributes that a new node object gets."""
        return {
            "host": self,
            "name": self.name,
            "members": self.cluster.group_of(self.name),
            "peers": self.peers,
            "settings": self.settings,
            "random": self.cluster.streams[f"node/{self.name}"],
            "incarnation": self.incarnation,
            "disk_damaged": self.disk_damaged,
        }

    # Messages in

    def dispatch(self, src: str, message: Any) -> None:
        """See `Verbs.dispatch`."""
        result = self.handler_of(src, message)(src, message)
        if result is not None:
            self.follow(result)

    def blame(self, error: Exception) -> None:
        """Add a note to an exception: on which node and at what time it happened."""
        note = f"on {self.name} ({self.member.node_class.__name__}) at {self.env.now:.6f} s"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

    # Messages out

    def send(self, dst: str, message: Any, hold: bool) -> None:
        """See `Verbs.send`."""
        if hold:
            needed = self.disk.unsynced
            if needed:
                self._outbox.append((needed, dst, self.to_wait(message)))
                for hear in self.cluster.on_wait[message.__class__]:
                    hear(self.name, dst, message)
                return
        self.routes[dst](message)

    def send_done(self, leaving: tuple[Callable[[Any], None], Any]) -> None:
        """A core has done the work of sending a message: the message leaves, after the pause if there is one."""
        if self.halt is not None:
            self.halt.late.append((self.send_done, (leaving,)))
            return
        go, message = leaving
        go(message)

    def on_its_way(self, leaving: tuple[int, str, Any]) -> None:
        """The network card has sent a message."""
        life, dst, message = leaving
        if life == self.crashes:
            self.cluster.network.routes(self.name, heard=False)[dst](message)

    def flush(self) -> None:
        """Send the messages whose writes are now synced, in order."""
        outbox = self._outbox
        if not outbox or self.halt is not None:
            return
        synced, ready = self.disk.synced, 0
        while ready < len(outbox) and outbox[ready][0] <= synced:
            ready += 1
        going, self._outbox = outbox[:ready], outbox[ready:]
        for _, dst, message in going:
            self.routes[dst](message)

    def to_self(self, message: Any) -> None:
        """Send a message to this node itself: it is the node's next step. Of the rest, only invariants see it."""
        check_message(message)
        for hear in self.cluster.on_send[message.__class__]:
            hear(self.name, self.name, message)
        picture = Picture(message) if self.cluster.checking else None
        self._own_steps.count()
        self._own_steps.add(self._from_self, (message, picture))

    def _from_self(self, message: Any, picture: Picture | None) -> None:
        if picture is not None:
            require_unchanged(picture, self.name, self.name)
        for hear in self.cluster.on_deliver[message.__class__]:
            hear(self.name, self.name, message)
        self.step(self.handler_of(self.name, message), (self.name, message))

    def reply(self, src: str, message: Any, hold: bool) -> None:
        """See `Verbs.reply`."""
        if isinstance(src, Caller):
            message = Return(src.call_id, message)
        self.send(src, message, hold)

    # Timers and work

    def set_clock(self, *, offset: float | None = None, drift: float | None = None) -> None:
        """Set the wall clock (to ``offset`` seconds ahead of simulated time), or the drift of both clocks from now on.

        Running timers, sleeps and calls end by the monotonic clock: if it now runs faster, they end sooner.
        """
        factor, now = self.clocks.set(offset=offset, drift=drift), self.env._now
        if factor == 1.0:
            return
        stretch(self.timers.values(), now, factor)
        self.alarms.stretch(factor)
        if self.halt is not None:
            timers = self.halt.timers
            timers[:] = [(now + factor * (due - now) if due > now else due, timer) for due, timer in timers]

    def set_timer(self, owner: Handlers, name: str, delay: float, key: Any) -> None:
        """See `Verbs.set_timer`."""
        if not 0.0 <= delay < inf:
            require_delay(self.name, name, delay)
        timer_key = (id(owner), name, key)  # id: a look-up, never an order
        timer = self.timers.get(timer_key)
        if timer is None:
            function = self._callback(owner, f"on_{name}_timeout", key)
            if key is not None:
                function = self._once(timer_key, function)
            timer = self.timers[timer_key] = Timer(self.env, self._run, function)
        timer.arm_at(self.env._now + delay / self.clocks.rate)

    def _once(self, timer_key: tuple[int, str, Any], function: Callable[[], Any]) -> Callable[[], Any]:
        """A function for a keyed timer that also deletes the fired timer: there may be any number of keys."""

        def fire() -> Any:
            self.timers.pop(timer_key, None)
            return function()

        return fire

    def cancel_timer(self, owner: Handlers, name: str, key: Any) -> None:
        """See `Verbs.cancel_timer`."""
        if key is None:
            timer = self.timers.get((id(owner), name, None))
        else:
            timer = self.timers.pop((id(owner), name, key), None)
        if timer is not None:
            timer.cancel()

    def _callback(self, owner: Handlers, method: str, key: Any) -> Callable[[], Any]:
        handler = callback(owner, method)
        return handler if key is None else partial(handler, key)

    def work(self, owner: Handlers, name: str, seconds: float, key: Any, priority: int) -> None:
        """See `Verbs.work`."""
        require_work(self.name, name, seconds)
        handler = callback(owner, f"on_{name}_done")
        job_key = (id(owner), name, key)
        job = self.jobs[job_key] = Job(seconds, self.work_done, (job_key, handler, key), priority)
        self.cpu.submit(job)

    def cancel_work(self, owner: Handlers, name: str, key: Any) -> bool:
        """See `Verbs.cancel_work`."""
        job = self.jobs.pop((id(owner), name, key), None)
        return job is not None and self.cpu.cancel(job)

    # The rest of the verbs

    def record(self, event: str, detail: dict[str, Any]) -> None:
        """See `Verbs.record`."""
        self.cluster.record(self.name, event, detail)

    def barrier(self) -> None:
        """See `Verbs.barrier`."""
        self.disk.seal()

    # Stories

    def spawn(self, story: Any) -> Story:
        """See `Verbs.spawn`."""
        return self.stories.spawn(story)

    def sleep(self, seconds: float) -> Event:
        """See `Verbs.sleep`."""
        over = self.env.event()
        self.alarms.set(seconds, over.succeed)
        return over

    def event(self) -> Event:
        """See `Verbs.event`."""
        return self.env.event()

    def call(self, dst: str, request: Any, timeout: float | None) -> Event:
        """See `Verbs.call`."""
        return self._calls.start(dst, request, timeout)

    def first_of(self, events: Iterable[Event]) -> AnyOf:
        """See `Verbs.first_of`."""
        return self.env.any_of(list(events))


class Halt:
    """Everything that a pause keeps for the time after it."""

    __slots__ = ("handlers", "late", "own_steps", "timers")

    def __init__(self, handlers: dict[type, Callable[[Any, Any], Any]]) -> None:
        self.handlers = handlers
        self.timers: list[tuple[float, Timer]] = []  # when they are due
        self.late: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []  # delayed calls, in order
        self.own_steps: list[OwnStep] = []  # the node's own next steps when the pause began


if TYPE_CHECKING:
    _HOST: type[HostContract] = NodeHost  # mypy compares it with the contract
