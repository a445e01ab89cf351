"""A story under way: a process of a node, whose every part between two yields is one step of the node."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Protocol

from simpy.events import Event

from sim.kernel import Environment
from sim.stories import Called, name_of

__all__ = ["Story"]


class _Teller(Protocol):
    """What a story needs of the host of its node."""

    name: str

    @property
    def env(self) -> Environment: ...
    def go_on(self, story: Story, event: Event | None) -> None: ...
    def next_part(self, story: Story, event: Event) -> None: ...
    def ended(self, story: Story) -> None: ...
    def blame(self, error: Exception) -> None: ...


class Story(Event):
    """The process; an event, too, that happens when the story is over, with what it returned."""

    def __init__(self, host: _Teller, generator: Generator[Any, Any, Any]) -> None:
        super().__init__(host.env)
        self._host = host
        self._generator = generator
        self._awaited: Event | None = None
        self._runs = False
        self._closed = False

    def part(self, event: Event | None) -> None:
        """The part up to the next yield, with the value of the event it waited for; within a step of its node."""
        if self._closed:
            return
        self._runs = True
        try:
            if event is None or event._ok:
                awaited = self._generator.send(None if event is None else event._value)
            else:
                awaited = self._generator.throw(event._value)
        except StopIteration as end:
            self._over()
            self.succeed(end.value)
            return
        except Exception as error:
            self._over()
            if not self.callbacks:
                raise
            self._host.blame(error)  # and let those who wait for this story decide
            self.fail(error)
            return
        finally:
            self._runs = False
        if self._closed:  # its node crashed in this very part
            self._generator.close()
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if not isinstance(awaited, Event) or awaited.env is not self.env:
            self._over()
            error = TypeError(f"{self._host.name}: {name_of(self._generator)} yields {_what(awaited)}")
            with contextlib.suppress(StopIteration):
                self._generator.throw(error)  # the traceback then shows the line
            raise error
        if awaited.callbacks is None:  # it has happened already
            self._host.next_part(self, awaited)
        else:
            self._awaited = awaited
            awaited.callbacks.append(self._happened)

    def _happened(self, event: Event) -> None:
        self._awaited = None
        if not event._ok:
            event.defused = True
        self._host.go_on(self, event)

    def _over(self) -> None:
        self._closed = True
        self._host.ended(self)

    def close(self) -> None:
        """End it for good: nothing that it waited for resumes it."""
        self._closed = True
        awaited = self._awaited
        if awaited is not None and awaited.callbacks is not None:
            awaited.callbacks.remove(self._happened)
        if not self._runs:
            self._generator.close()


def _what(yielded: Any) -> str:
    if isinstance(yielded, Called):
        return f"what calling {yielded.handler} gave: write `yield from`"
    if isinstance(yielded, Generator):
        return f"the generator {name_of(yielded)}: write `yield from`, or `yield self.spawn(...)`"
    return (
        f"{yielded!r}, which is no event: yield what sleep, call, event, first_of or spawn return, "
        "as in `yield self.sleep(0.01)`"
    )
