"""Handlers that yield: stories.

A handler that waits for something is a generator: ``answer = yield self.call("n1", Ask())``. The host of the node
runs it. Its first part, up to the first yield, belongs to the step of the message (or timer, or work) that it handles;
each later part is a step of its own. If code calls such a handler like a plain method, nothing of it runs, as with any
generator. This module makes that an error.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from types import FunctionType
from typing import Any

__all__ = ["Called", "generator_of", "mark_stories", "name_of", "refuse_unbegun"]


class Called:
    """The result of calling a handler that yields: use it in ``yield from`` or `spawn`, or let the host run it."""

    __slots__ = ("_generator", "begun", "handler")

    def __init__(self, generator: Generator[Any, Any, Any]) -> None:
        self._generator = generator
        self.begun = False
        self.handler = name_of(generator)

    def __iter__(self) -> Iterator[Any]:
        return self.take()

    def take(self) -> Generator[Any, Any, Any]:
        """The generator, for the host that runs it."""
        self.begun = True
        return self._generator


def generator_of(story: Any) -> Generator[Any, Any, Any] | None:
    """The generator of a story: of a handler's return value, or of the argument of `spawn`. None: it is no story."""
    if isinstance(story, Called):
        return story.take()
    return story if isinstance(story, Generator) else None


def name_of(generator: Generator[Any, Any, Any]) -> str:
    """The qualified name of the function that made a generator, such as ``RaftNode.on_request``."""
    return str(getattr(generator, "__qualname__", type(generator).__name__))


def refuse_unbegun(called: Called) -> None:
    """Raise TypeError if a handler that yields was called and no code has begun to run it by the end of the step."""
    if not called.begun:
        raise TypeError(
            f"{called.handler} yields, and was called like a plain method, so that nothing of it ran: write "
            "`yield from` before the call (in a handler that yields, too), `self.spawn(...)` around it, or "
            "`self.dispatch(src, msg)`"
        )


def mark_stories(cls: type, root: type) -> None:
    """Wrap the handlers of ``cls`` that yield, so that a call of them returns a `Called`.

    ``root``: the common base; bases of ``cls`` that derive from it are wrapped already. Raises TypeError for a handler
    that is a coroutine.
    """
    for base in cls.__mro__:
        if base is not cls and issubclass(base, root):
            continue
        for name, method in list(base.__dict__.items()):
            if not name.startswith("on_") or not isinstance(method, FunctionType):
                continue
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                raise TypeError(
                    f"{cls.__name__}.{name}: a handler is no coroutine: write `def {name}` instead of `async def`, and "
                    "`yield` instead of `await`, as in `yield self.sleep(0.01)`"
                )
            if inspect.isgeneratorfunction(method) and getattr(cls, name) is method:
                setattr(cls, name, _story(method))


def _story(handler: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Called]:
    @functools.wraps(handler)
    def call(self: Any, *arguments: Any, **named: Any) -> Called:
        called = Called(handler(self, *arguments, **named))
        self.host.expect(called)
        return called

    return call
