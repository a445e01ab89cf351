"""A host that records all steps of its node, each with its cause (`sim.cluster.tracer`).

It does what `NodeHost` does, at the same times and with the same events. Each waiting item (a timer, work, a message on
the cores, a part of a story) carries its cause.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from simpy.events import Event

from sim.cluster.alarms import Alarms
from sim.cluster.cores import Job
from sim.cluster.host import NodeHost
from sim.cluster.inbound import Delivery
from sim.cluster.own_steps import OwnSteps
from sim.cluster.story import Stories, Story
from sim.cluster.tracer import Cause, Tracer, cause_of
from sim.network.traced import Letter, MessageRow, TracedNetwork
from sim.node import Part

if TYPE_CHECKING:
    from sim.node import Handlers

__all__ = ["TracedHost"]


class _Told(tuple[Any, ...]):
    """An item that waits, with the facts that the trace records about it."""

    letter: Letter
    row: MessageRow
    cause: Cause
    job: Job | None = None


class TracedHost(NodeHost):
    """A host that writes a full trace."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.tracer: Tracer = arguments[0].tracer
        self.network: TracedNetwork = arguments[0].network
        super().__init__(*arguments, **options)
        self.step = partial(self.tracer.run, self, self.step)
        self._run = self._traced_run
        self.routes = _Ways(self, self.routes)
        self._inside: dict[int, MessageRow] = {}  # messages that have arrived and are not handled yet

    def quick_verbs(self, owner: Handlers) -> dict[str, Callable[..., None]]:
        """None: each verb goes through its host."""
        return {}

    def make_alarms(self) -> Alarms:
        return _TracedAlarms(self)

    def make_stories(self) -> Stories:
        return _TracedStories(self)

    def because(self, cause: Cause | None, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function that makes a step, and record the cause of the step."""
        self.tracer.cause = cause
        try:
            function(*arguments)
        finally:
            self.tracer.cause = None

    def crash(self, *, power: bool = False) -> None:
        for row in self._inside.values():
            row[5] = "crashed"
        self._inside.clear()
        super().crash(power=power)

    # Messages in

    def receive(self, src: str, message: Any) -> None:
        if not self.handlers or self.network.arriving is None:
            super().receive(src, message)
            return
        delivery = _Told((src, message))
        row = delivery.row = self.network.arriving
        self._inside[row[7]] = row
        if self.nic is not None and not self.network.is_local(src, self.name):
            self.nic.pass_on("in", message, self._off_the_card, (self.crashes, delivery))
        else:
            self._take_in(cast(Delivery, delivery))

    def _take_in(self, delivery: Delivery) -> None:
        profile = self.profile
        if profile.messages_are_free or not isinstance(delivery, _Told):
            super()._take_in(delivery)
            return
        self.messages_in += 1
        cost = profile.per_message + profile.per_byte * delivery[1].wire_bytes
        delivery.job = Job(cost, self.handle, delivery)
        self.cpu.submit(delivery.job)

    def handle(self, delivery: Delivery) -> None:
        if not isinstance(delivery, _Told):
            super().handle(delivery)
            return
        if not hasattr(delivery, "cause"):
            delivery.cause = {"kind": "message", "id": delivery.row[7], **self._served(delivery.job)}
        if self.halt is None:
            self._inside.pop(delivery.row[7], None)
        self.because(delivery.cause, super().handle, delivery)

    def _served(self, job: Job | None) -> dict[str, float]:
        """When a core began to serve an item, and when it was done."""
        if job is None:
            return {}
        done = self.env._now
        # Cores that are shared serve all at once: what is more than the work itself is waiting.
        began = job.started or done - job.seconds
        return {"began": began, "done": done}

    # Messages out

    def to_wait(self, message: Any) -> Any:
        return _Waiting(message, Letter(self.tracer.step, self.env._now))

    def leaving(self, what: tuple[Any, ...]) -> tuple[Any, ...]:
        told = _Told(what)
        told.letter = cast(Letter, self.network.letter)
        return told

    def send_done(self, leaving: tuple[Callable[[Any], None], Any]) -> None:
        self._with(cast(_Told, leaving).letter, super().send_done, leaving)

    def on_its_way(self, leaving: tuple[int, str, Any]) -> None:
        self._with(cast(_Told, leaving).letter, super().on_its_way, leaving)

    def _with(self, letter: Letter, function: Callable[..., None], *arguments: Any) -> None:
        """Send a message along its way out, with its letter."""
        before, self.network.letter = self.network.letter, letter
        try:
            function(*arguments)
        finally:
            self.network.letter = before

    # Timers and work

    def set_timer(self, owner: Handlers, name: str, delay: float, key: Any) -> None:
        super().set_timer(owner, name, delay, key)
        prefix = f"{owner.part_name}." if isinstance(owner, Part) else ""
        cause = {"kind": "timer", "name": name, "after": self.tracer.step} | _keyed(key)
        cause["handler"] = f"{prefix}on_{name}_timeout"
        timer = self.timers[id(owner), name, key]  # id: a look-up, never an order
        timer._function = partial(self._fire, cause)

    def _traced_run(self, function: Callable[[], Any]) -> None:
        self.step(function, ())

    def _fire(self, cause: Cause, function: Callable[[], Any]) -> None:
        self.because(dict(cause), self._run, function)

    def work(self, owner: Handlers, name: str, seconds: float, key: Any, priority: int) -> None:
        super().work(owner, name, seconds, key, priority)
        job = self.jobs[id(owner), name, key]
        told = job.argument = _Told(job.argument)
        told.cause = {"kind": "work", "name": name, "after": self.tracer.step} | _keyed(key)
        told.job = job

    def work_done(self, done: tuple[tuple[int, str, Any], Callable[..., Any], Any]) -> None:
        told = cast(_Told, done)
        told.cause.update(self._served(told.job))
        told.job = None  # once: a pause may put it off
        self.because(told.cause, super().work_done, done)

    # Messages to itself

    def to_self(self, message: Any) -> None:
        letter = self.network.letter
        after = self.tracer.step if letter is None else letter.step
        self.stories.because = {"kind": "own", "message": type(message).__name__, "after": after}  # type: ignore[attr-defined]
        super().to_self(message)


def _keyed(key: Any) -> dict[str, Any]:
    return {} if key is None else {"key": key if isinstance(key, int | str) else repr(key)}


class _Waiting:
    """A message and its letter, until the message is sent."""

    __slots__ = ("letter", "message")

    def __init__(self, message: Any, letter: Letter) -> None:
        self.message = message
        self.letter = letter


class _Ways(dict[str, Callable[[Any], None]]):
    """The ways out of a traced host: each sends a message, or one that has waited, together with its letter."""

    def __init__(self, host: TracedHost, ways: dict[str, Callable[[Any], None]]) -> None:
        super().__init__()
        self._host = host
        self._inner = ways

    def __missing__(self, dst: str) -> Callable[[Any], None]:
        self._inner[dst]  # an unknown destination is an error now

        def send(message: Any) -> None:
            letter, now = None, self._host.env._now
            if isinstance(message, _Waiting):
                letter, message = message.letter, message.message
                letter.ready = now
            self._host._with(letter or Letter(self._host.tracer.step, now), self._inner[dst], message)

        self[dst] = send
        return send


class _TracedAlarms(Alarms):
    """Alarms that say which step set them."""

    def __init__(self, host: TracedHost) -> None:
        super().__init__(host.env, host.clocks)
        self._host = host

    def set(self, delay: float, function: Callable[[Any], Any], argument: Any = None) -> None:
        name = "sleep" if isinstance(getattr(function, "__self__", None), Event) else "timeout"
        cause = {"timer": name, "after": self._host.tracer.step}
        super().set(delay, partial(self._host.because, cause, function), argument)


class _TracedStories(Stories):
    """Stories that record, for each part, what it waited for."""

    def __init__(self, host: TracedHost) -> None:
        super().__init__(host)
        self._traced = host
        self.own_steps = _TracedOwnSteps(host, self)
        self.because: Cause | None = None  # of the message to itself that is being sent

    def go_on(self, story: Story, event: Event | None) -> None:
        found = cause_of(event) or self._traced.tracer.cause or {}
        cause = {"kind": "story", "name": story.name, "after": -1, **found}
        self._traced.because(cause | {"kind": "story"}, super().go_on, story, event)


class _TracedOwnSteps(OwnSteps):
    """The node's next steps, each with its cause."""

    def __init__(self, host: TracedHost, stories: _TracedStories) -> None:
        super().__init__(host)
        self._traced = host
        self._stories = stories

    def add(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        own, self._stories.because = self._stories.because, None
        cause = own or self._traced.tracer.context()
        super().add(self._traced.because, (cause, function, *arguments))
