"""The outcome of a task: its result, or a failure in words. Both are sent between processes as bytes."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle

__all__ = [
    "ExecutorLost",
    "Failure",
    "OtherVersion",
    "WorkerTraceback",
    "attempt",
    "attempt_sent",
    "failed",
    "packed",
    "unpacked",
]


class ExecutorLost(ConnectionError):
    """The executor is lost, or accepts no more tasks. The outcomes of finished tasks have been returned before."""


class OtherVersion(ValueError):
    """A worker has other sources of sim than this process."""


class WorkerTraceback(Exception):
    """The traceback of an exception in a worker, as text: the cause of the exception that is raised here."""


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result.

    Attributes: ``reason`` (in words, one line), ``error`` (the exception of the task; None if it raised none, or
    one that cannot be sent), ``trace`` (its traceback as text), ``exhausted`` (whether memory ran out).
    """

    reason: str
    error: BaseException | None = None
    trace: str = ""
    exhausted: bool = False


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The result of a task, or a `Failure` if it raises (an interrupt by the user is raised again)."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        return failed(error)


def attempt_sent(function: Callable[..., Any], sent: bytes) -> Any:
    """Like `attempt`, for arguments as bytes (of cloudpickle)."""
    return attempt(lambda: function(*cloudpickle.loads(sent)), ())


def failed(error: BaseException) -> Failure:
    """The failure of a task that raised an error."""
    exhausted = isinstance(error, MemoryError)
    text = "no memory was left" if exhausted and not str(error) else _in_words(error)
    return Failure(text, error, "".join(traceback.format_exception(error)), exhausted)


def _in_words(error: BaseException) -> str:
    notes = "; ".join(getattr(error, "__notes__", ()))
    sentence = f"{type(error).__name__}: {error}".rstrip(": ")
    return " ".join(f"{sentence}{f' ({notes})' if notes else ''}".split())


def packed(outcome: Any) -> bytes:
    """An outcome as bytes; an outcome that cannot be sent becomes a failure that says so."""
    try:
        if isinstance(outcome, Failure):
            return bytes(
                cloudpickle.dumps((outcome.reason, _bytes(outcome.error), outcome.trace, outcome.exhausted))
            )
        return bytes(cloudpickle.dumps((outcome,)))
    except Exception as error:
        why = Failure(f"its result cannot be sent to another process: {_in_words(error)}")
        return bytes(cloudpickle.dumps((why.reason, None, "", isinstance(error, MemoryError))))


def _bytes(error: BaseException | None) -> bytes | None:
    try:
        return None if error is None else bytes(cloudpickle.dumps(error))
    except Exception:
        return None  # its words are sent without it


def unpacked(sent: bytes) -> Any:
    """The outcome in the bytes of `packed`; one that cannot be read becomes a failure that says so."""
    try:
        parts = cloudpickle.loads(sent)
    except Exception as error:
        return Failure(f"its result cannot be read back: {_in_words(error)}")
    if len(parts) == 1:
        return parts[0]
    reason, raised, trace, exhausted = parts
    return Failure(reason, _error(raised), trace, exhausted)


def _error(sent: bytes | None) -> BaseException | None:
    try:
        found = None if sent is None else cloudpickle.loads(sent)
    except Exception:
        return None
    return found if isinstance(found, BaseException) else None
