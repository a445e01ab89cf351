"""Running stories: processes of a node. Each part of a story between two yields is one step of the node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Protocol

from simpy.events import URGENT, Event

from sim.cluster.own_steps import OwnSteps
from sim.kernel import Environment
from sim.stories import Called, generator_of, name_of, refuse_unbegun

__all__ = ["Stories", "Story"]


class _Host(Protocol):
    """The interface of a host that stories use."""

    name: str

    @property
    def step(self) -> Callable[[Callable[..., Any], tuple[Any, ...]], None]: ...
    @property
    def env(self) -> Environment: ...
    @property
    def node(self) -> Any: ...
    @property
    def halt(self) -> Any: ...
    def blame(self, error: Exception) -> None: ...


class Story(Event):
    """A running story. It is also an event, which happens when the story ends; its value is the return value."""

    def __init__(self, stories: Stories, host: _Host, generator: Generator[Any, Any, Any]) -> None:
        super().__init__(host.env)
        self._stories = stories
        self._host = host
        self.generator = generator
        self._awaited: Event | None = None
        self._runs = False
        self._closed = False

    @property
    def name(self) -> str:
        """Its name: that of the handler, or of the function that makes the generator."""
        return name_of(self.generator)

    def part(self, event: Event | None) -> None:
        """Run the part up to the next yield, within a step of the node. ``event``: what the story waited for."""
        if self._closed:
            return
        self._runs = True
        try:
            if event is None or event._ok:
                awaited = self.generator.send(None if event is None else event._value)
            else:
                awaited = self.generator.throw(event._value)
        except StopIteration as end:
            self._over()
            self.succeed(end.value)
            return
        except Exception as error:
            self._over()
            if not self.callbacks:
                raise
            self._host.blame(error)  # the stories that wait for this one get the error
            self.fail(error)
            return
        finally:
            self._runs = False
        if self._closed:  # its node crashed during this part
            self.generator.close()
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if not isinstance(awaited, Event) or awaited.env is not self.env:
            self._over()
            error = TypeError(f"{self._host.name}: {name_of(self.generator)} yields {_what(awaited)}")
            with contextlib.suppress(StopIteration):
                self.generator.throw(error)  # the traceback then shows the line
            raise error
        if awaited.callbacks is None:  # it has happened already
            self._stories.next_part(self, awaited)
        else:
            self._awaited = awaited
            awaited.callbacks.append(self._happened)

    def _happened(self, event: Event) -> None:
        self._awaited = None
        if not event._ok:
            event.defused = True
        self._stories.go_on(self, event)

    def _over(self) -> None:
        self._closed = True
        self._stories.ended(self)

    def close(self) -> None:
        """End the story: no event resumes it any more."""
        self._closed = True
        awaited = self._awaited
        if awaited is not None and awaited.callbacks is not None:
            awaited.callbacks.remove(self._happened)
        if not self._runs:
            self.generator.close()


def _what(yielded: Any) -> str:
    if isinstance(yielded, Called):
        return f"what calling {yielded.handler} gave: write `yield from`"
    if isinstance(yielded, Generator):
        return f"the generator {name_of(yielded)}: write `yield from`, or `yield self.spawn(...)`"
    return (
        f"{yielded!r}, which is no event: yield what sleep, call, event, first_of or spawn return, "
        "as in `yield self.sleep(0.01)`"
    )


class Stories:
    """The stories of the node on one host, and the node's own steps (`OwnSteps`)."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self.own_steps = OwnSteps(host)
        self._under_way: dict[Story, None] = {}  # in the order in which they began
        self.called: list[Called] = []  # handlers that yield, called in this step and not yet run

    def spawn(self, told: Any) -> Story:
        """Start a story: it begins in the node's next step, at the same instant. TypeError if ``told`` is no story."""
        story = self._begin(told)
        if story is None:
            raise TypeError(f"{self._host.name}: spawn takes a story, a generator; {told!r} is none")
        self.own_steps.add(self.go_on, (story, None))
        return story

    def follow(self, result: Any) -> None:
        """If the result of a handler is a story, run its first part now, in the step of the handler."""
        story = self._begin(result)
        if story is not None:
            story.part(None)

    def _begin(self, told: Any) -> Story | None:
        generator = generator_of(told)
        if generator is None:
            return None
        story = Story(self, self._host, generator)
        self._under_way[story] = None
        return story

    def go_on(self, story: Story, event: Event | None) -> None:
        """The event that a story waited for has happened: run its next part, as a step of the node."""
        host = self._host
        if host.halt is not None:
            host.halt.late.append((self.go_on, (story, event)))
        else:
            self.own_steps.count()
            host.step(story.part, (event,))

    def next_part(self, story: Story, event: Event) -> None:
        """The event that a story waits for had already happened: its next part is the node's next step."""
        self.own_steps.add(self.go_on, (story, event))

    def ended(self, story: Story) -> None:
        """Forget a story that is over."""
        self._under_way.pop(story, None)

    def close(self) -> None:
        """End all stories, because the node crashed."""
        self.called.clear()
        stories, self._under_way = self._under_way, {}
        for story in stories:
            story.close()

    def expect(self, called: Called) -> None:
        """A handler that yields was called: some code must begin to run it by the end of the step."""
        if not self.called:
            env = self._host.env
            env.push((env._now, URGENT, env.serial(), self._at_the_latest, None))
        self.called.append(called)

    def _at_the_latest(self, _: None) -> None:
        try:
            self.refuse_unbegun()
        except TypeError as error:
            self._host.blame(error)
            raise

    def refuse_unbegun(self) -> None:
        """The step is over: TypeError if a handler that yields was called, and no code has begun to run it."""
        called, self.called = self.called, []
        for each in called:
            refuse_unbegun(each)
