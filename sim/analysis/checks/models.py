"""Data models: the effect of an operation on an object, one function each.

A model is ``Model(initial, step)``: ``step(state, operation)`` returns the state after the operation, or `ILLEGAL`
where the operation could not have been answered as it was in that state. States are hashable values. An operation
of unknown outcome (``operation.status == "info"``) is stepped only where it may take effect; its reply says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sim.analysis.checks.columns import FAIL, OK, freeze
from sim.analysis.checks.verdict import HistoryOperation

__all__ = ["ILLEGAL", "MODELS", "Model", "choose"]


class _Illegal:
    def __repr__(self) -> str:
        return "ILLEGAL"

    def __bool__(self) -> bool:
        raise TypeError("ILLEGAL is neither true nor false: compare it with `is`")


ILLEGAL: Final = _Illegal()
"""The result of `step` for an operation whose reply is impossible in this state."""

Transition = Callable[[Any, HistoryOperation], Any]


def _never(state: Any, op: HistoryOperation) -> bool:
    return False


def _not_said(op: HistoryOperation) -> Any:
    return ILLEGAL


@dataclass(frozen=True)
class Model:
    """A sequential data type.

    Parameters
    ----------
    initial: the state before the first operation (of each key), hashable.
    step: ``(state, operation) -> state`` or `ILLEGAL`; pure, and blind to process and times.
    reads: kinds that never change a state; the search takes them as soon as they are legal.
    overwrites: kinds that set the state whatever it was, and are legal in every state.
    additions: kinds that only make a state longer. ``leads(state, read)``: whether additions alone can turn a state
        into one in which that read is legal. ``absorbs(state, addition)``: whether it is legal in this state and
        in all that additions make of it. ``leaves(operation)``: the state right after an operation that is no
        addition, if it took effect, where the operation alone says it, else `ILLEGAL`. All only speed the search up.
    by_key: whether keys are independent objects, judged one by one.
    kinds: the kinds that it knows; None: any.
    asserts: kinds of which a failure says something about the state; other failures are no evidence.
    left_out: kinds that are not judged, because they are about more than one key; they change nothing, and verdicts
        count them.
    name: for reports.
    """

    initial: Any
    step: Transition
    reads: Collection[str] = frozenset()
    overwrites: Collection[str] = frozenset()
    additions: Collection[str] = frozenset()
    leads: Callable[[Any, HistoryOperation], bool] | None = None
    absorbs: Callable[[Any, HistoryOperation], bool] = _never
    leaves: Callable[[HistoryOperation], Any] = _not_said
    by_key: bool = True
    kinds: Collection[str] | None = None
    asserts: Collection[str] = frozenset()
    left_out: Collection[str] = frozenset({"scan"})
    name: str = "user"

    def pure(self, operation: HistoryOperation) -> bool:
        """Whether the operation cannot change the state: a read, or a refused cas."""
        return operation.kind in self.reads or operation.status == "fail"

    def binds(self, kind: str, status: int, mismatch: bool) -> bool:
        """Whether an operation counts. ``mismatch``: a failed cas says that the value was not the expected one."""
        if kind in self.left_out:
            return False
        if status == FAIL:
            return kind in self.asserts or (mismatch and kind == "cas")
        return status == OK or kind not in self.reads

    def starting(self, initial: Any, key: Any) -> Any:
        """The state that ``key`` starts in: the model's own unless ``initial`` is given."""
        if initial is None:
            return self.initial
        if self.name == "key-value" and isinstance(initial, Mapping):
            return freeze(initial.get(key, initial.get(str(key))))
        if self.name in {"set", "queue"}:
            if isinstance(initial, (str, bytes)) or not isinstance(initial, Collection):
                raise ValueError(f"the initial state of a {self.name} is a list, not {initial!r}")
            items = [freeze(v) for v in initial]
            return frozenset(items) if self.name == "set" else tuple(items)
        if self.name == "counter" and not isinstance(initial, (int, float)):
            raise ValueError(f"the initial state of a counter is a number, not {initial!r}")
        return freeze(initial)


def _register(state: Any, op: HistoryOperation) -> Any:
    """Register, cas-register and key-value: the value of one key; null where there is none."""
    kind = op.kind
    if kind in {"read", "get"}:
        return state if state == op.value else ILLEGAL
    if kind in {"write", "put"}:
        return op.value
    if kind == "cas":
        expected, new = op.value
        if op.status == "fail":
            return ILLEGAL if state == expected else state
        return new if state == expected else ILLEGAL
    if kind == "delete":
        return None
    if kind == "append":
        return _appended(state, op.value)
    return _increased(state, op)


def _appended(state: Any, value: Any) -> Any:
    """Lists grow by an element, strings by a string; null is the empty one of either, 0 the empty string."""
    if isinstance(state, tuple):
        return (*state, value)
    if isinstance(value, str):
        return (state or "") + value if isinstance(state, str) or not state else ILLEGAL
    return (value,) if state is None else ILLEGAL


def _begins(state: Any, read: HistoryOperation) -> bool:
    """Whether what a read saw begins with the state (strings and lists; nothing is added to a number but 0)."""
    if not state:  # null, 0, the empty string or list
        return True
    if isinstance(state, (str, tuple)):
        return isinstance(read.value, type(state)) and bool(read.value[: len(state)] == state)
    return bool(read.value == state)


def _left(op: HistoryOperation) -> Any:
    """What a write, delete, cas or increment leaves, if it took effect."""
    if op.kind == "cas":
        return op.value[1]
    if op.kind == "increment":
        return op.result if op.known and _is_total(op.result) else ILLEGAL
    return None if op.kind == "delete" else op.value


def _is_total(result: Any) -> bool:
    """Whether the result of an increment is the new total: a bool says "done"."""
    return result is not None and not isinstance(result, bool)


def _absorbs(state: Any, op: HistoryOperation) -> bool:
    return isinstance(state, tuple) or (isinstance(op.value, str) and (not state or isinstance(state, str)))


def _increased(state: Any, op: HistoryOperation) -> Any:
    amount = 1 if op.value is None else op.value
    if (state and not isinstance(state, (int, float))) or not isinstance(amount, (int, float)):
        return ILLEGAL
    total = (state or 0) + amount
    return ILLEGAL if op.known and _is_total(op.result) and op.result != total else total


def _counter(state: Any, op: HistoryOperation) -> Any:
    """``increment`` or ``add`` an amount (1 where none is given); a result that is a number is the new total."""
    if op.kind in {"read", "get"}:
        return state if state == op.value else ILLEGAL
    return _increased(state, op)


def _set(state: Any, op: HistoryOperation) -> Any:
    """``add`` and ``remove`` an element (a boolean result says whether it made a difference); ``read`` a list."""
    if op.kind == "read":
        elements = () if op.value is None else op.value
        if not isinstance(elements, (tuple, frozenset)):
            return ILLEGAL
        return state if len(elements) == len(state) and frozenset(elements) == state else ILLEGAL
    changed = (op.value in state) == (op.kind == "remove")
    if op.known and isinstance(op.result, bool) and op.result != changed:
        return ILLEGAL
    return state if not changed else state | {op.value} if op.kind == "add" else state - {op.value}


def _queue(state: Any, op: HistoryOperation) -> Any:
    """First in, first out; a dequeue that came back with null found the queue empty."""
    if op.kind == "enqueue":
        return (*state, op.value)
    if not state:
        return ILLEGAL if op.known and op.value is not None else state
    return ILLEGAL if op.known and op.value != state[0] else state[1:]


_LOOK = frozenset({"read", "get"})
_STORE = frozenset({"read", "get", "write", "put"})
_SET = frozenset({"write", "put", "delete"})
_KEY_VALUE = _STORE | {"cas", "append", "increment", "delete"}

MODELS: Final[dict[str, Model]] = {
    "register": Model(None, _register, _LOOK, _SET, kinds=_STORE, name="register"),
    "cas-register": Model(None, _register, _LOOK, _SET, kinds=_STORE | {"cas"}, name="cas-register"),
    "key-value": Model(
        None, _register, _LOOK, _SET, {"append"}, _begins, _absorbs, _left, kinds=_KEY_VALUE, name="key-value"
    ),
    "counter": Model(0, _counter, _LOOK, kinds=_LOOK | {"increment", "add"}, name="counter"),
    "set": Model(frozenset(), _set, {"read"}, kinds=frozenset({"read", "add", "remove"}), name="set"),
    "queue": Model((), _queue, kinds=frozenset({"enqueue", "dequeue"}), name="queue"),
}
"""The data models by name."""

_PREFERENCE = ("register", "cas-register", "queue", "set", "counter", "key-value")


def choose(model: str | Model, kinds: Collection[str], seen: Collection[str] = ()) -> Model:
    """The model by name, or with ``"auto"`` the narrowest that knows all the kinds and whose reads look like these.

    ``seen``: what reads came back with: "number", "list", "null", "other". Adds and reads are a counter where reads
    are numbers, else a set; reads and increments are a counter unless a read is null. A `Model` is taken as it is.
    Raises ValueError for an unknown name, or when no model (or not the given one) knows the kinds.
    """
    if isinstance(model, Model):
        return model
    if model == "auto":
        for name in _PREFERENCE:
            known = MODELS[name].kinds
            if known is not None and set(kinds) <= set(known) and _looks_like(name, kinds, seen):
                return MODELS[name]
        told = ", ".join(sorted(kinds))
        if seen and set(kinds) <= {"read", "get", "add", "remove"} | {"increment"} and "number" in seen:
            raise ValueError(
                f"no data model fits these operations ({told}), of which reads saw {' and '.join(sorted(seen))}: a set "
                "is read as a list, a counter as a number; name the model"
            )
        raise ValueError(f"no data model knows all of these operations: {told}")
    if model not in MODELS:
        raise ValueError(
            f"{model!r} is no data model; there are {', '.join(MODELS)}, auto, or a Model of your own"
        )
    return replace(MODELS[model])


def _looks_like(name: str, kinds: Collection[str], seen: Collection[str]) -> bool:
    if name == "set":
        return not {"number", "other"} & set(seen)
    if name == "counter":
        return "get" not in kinds and set(seen) <= {"number"}
    return True
