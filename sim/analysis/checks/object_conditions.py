"""Necessary conditions of counters, lists, sets and queues (see `conditions`)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from sim.analysis.checks.verdict import HistoryOperation, show
from sim.analysis.checks.witnesses import Broken

__all__ = ["counter", "lists", "queue", "sets"]

Item = TypeVar("Item")

_PAIRS = 2_000_000  # (read of a set, element) that are looked at: a bound on the work, not on the answer
_REPLIES = 100  # changes of one element of which the replies are looked at


def _greatest(items: Sequence[Item], great: Callable[[Item], float]) -> list[Item]:
    """Of the first one, two, three … items the greatest (the first of equal ones)."""
    best: list[Item] = []
    for item in items:
        best.append(item if not best or great(item) > great(best[-1]) else best[-1])
    return best


class _Latest:
    """The greatest of some times (and its operation) among the operations whose other time is early enough."""

    def __init__(
        self,
        operations: Iterable[HistoryOperation],
        early: Callable[[HistoryOperation], float],
        great: Callable[[HistoryOperation], float],
    ) -> None:
        ordered = sorted(operations, key=early)
        self._early = [early(op) for op in ordered]
        self._best = _greatest(ordered, great)

    def before(self, time: float) -> HistoryOperation | None:
        """Among those that were certainly over (or begun) before this time."""
        at = bisect_left(self._early, time)
        return self._best[at - 1] if at else None

    def by(self, time: float) -> HistoryOperation | None:
        """The same, including operations at exactly this time."""
        at = bisect_right(self._early, time)
        return self._best[at - 1] if at else None


def _called(op: HistoryOperation) -> float:
    return op.called


def _returned(op: HistoryOperation) -> float:
    return op.returned


# Counters


def counter(operations: Sequence[HistoryOperation], initial: Any) -> Broken | None:
    """A total that was read lies between the least and the greatest possible total, and it never decreases."""
    start = 0 if initial is None else initial
    additions = [op for op in operations if op.kind in {"increment", "add"}]
    if not all(_whole(_amount(op)) for op in additions) or not _whole(start):
        return None  # sums of floating point numbers depend on their order
    bounds = _Bounds(additions, start)
    seen: list[tuple[HistoryOperation, float]] = []
    for op in operations:
        total = op.value if op.kind in {"read", "get"} else op.result
        if not op.known or isinstance(total, bool) or not isinstance(total, (int, float)):
            continue
        low, high = bounds.of(op)
        if total > high:
            told = f"all that was added before it returned makes at most {high}"
            return Broken((*bounds.enough(op, total, -1), op), f"{_saw(op, total)}, but {told}.")
        if total < low:
            told = f"what had been added before it was called makes at least {low}"
            return Broken((*bounds.enough(op, total, 1), op), f"{_saw(op, total)}, but {told}.")
        seen.append((op, total))
    return _never_back(seen) if all(_amount(op) >= 0 for op in additions) else None


def _amount(op: HistoryOperation) -> Any:
    return 1 if op.value is None else op.value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _saw(op: HistoryOperation, total: object) -> str:
    return f"{op} saw {show(total)}" if op.kind in {"read", "get"} else f"{op} made {show(total)}"


class _Bounds:
    """The least and the greatest total that an operation can have seen."""

    def __init__(self, additions: list[HistoryOperation], start: int) -> None:
        self.additions, self.start = additions, start
        self._called, self._grow = _sums(additions, _called, lambda n: max(n, 0))
        _, self._shrink = _sums(additions, _called, lambda n: min(n, 0))
        done = [op for op in additions if op.known]
        self._over, self._gained = _sums(done, _returned, lambda n: max(n, 0))
        _, self._lost = _sums(done, _returned, lambda n: min(n, 0))

    def of(self, op: HistoryOperation) -> tuple[int, int]:
        over, called = bisect_left(self._over, op.called), bisect_right(self._called, op.returned)
        low = self.start + self._gained[over] + self._shrink[called]
        high = self.start + self._grow[called] + self._lost[over]
        if op.kind in {"increment", "add"}:  # its own amount is in what it made
            low, high = low + max(_amount(op), 0), high + min(_amount(op), 0)
        return low, high

    def enough(self, op: HistoryOperation, total: float, sign: int) -> list[HistoryOperation]:
        """So many of the additions that were over before the operation that they alone are more (``sign`` 1) than it
        saw, or (-1) less, whatever others made of it."""
        over = [other for other in self.additions if other.known and other.returned < op.called]
        over.sort(key=lambda other: (-sign * _amount(other), other.row))
        others = [
            _amount(other) for other in self.additions if other.called <= op.returned and other is not op
        ]
        own = _amount(op) if op.kind in {"increment", "add"} else 0
        reached = sign * (self.start + own) + sum(min(sign * amount, 0) for amount in others)
        chosen: list[HistoryOperation] = []
        while over and reached <= sign * total:
            chosen.append(over.pop(0))
            reached += max(sign * _amount(chosen[-1]), 0)
        return chosen


def _sums(
    additions: list[HistoryOperation], time: Callable[[HistoryOperation], float], part: Callable[[int], int]
) -> tuple[list[float], list[int]]:
    """The times in order, and before each of them (and at the end) the sum of the parts so far."""
    ordered = sorted(additions, key=time)
    return [time(op) for op in ordered], [0, *accumulate(part(_amount(op)) for op in ordered)]


def _never_back(seen: list[tuple[HistoryOperation, float]]) -> Broken | None:
    """A violation in a counter that only grows: an operation called after another returned saw a smaller total."""
    totals = {id(op): total for op, total in seen}
    by_return = sorted((op for op, _ in seen), key=_returned)
    greatest = _greatest(by_return, lambda op: totals[id(op)])
    returns = [op.returned for op in by_return]
    for op, total in seen:
        at = bisect_left(returns, op.called)
        if not at:
            continue
        older = greatest[at - 1]
        own = _amount(op) if op.kind in {"increment", "add"} else 0
        if totals[id(older)] > total - own:
            return Broken(
                (older, op),
                f"{_saw(op, total)}, after {_saw(older, totals[id(older)])}: a counter that only grows.",
            )
    return None


# Lists and strings that are only appended to


def lists(operations: Sequence[HistoryOperation], initial: Any) -> Broken | None:
    """A read begins with the value of each shorter read; each element occurs at most as often as it was appended."""
    reads = [op for op in operations if op.known and op.kind in {"read", "get"}]
    if not all(op.value is None or isinstance(op.value, (str, tuple)) for op in reads):
        return None
    found = _prefixes(reads)
    appends = [op for op in operations if op.kind == "append"]
    listed = isinstance(initial, tuple) or (initial is None and not any(_text(op) for op in appends))
    return found or (_elements(reads, appends, initial) if listed else None)


def _text(op: HistoryOperation) -> bool:
    return isinstance(op.value, str)


def _prefixes(reads: list[HistoryOperation]) -> Broken | None:
    by_length = sorted((op for op in reads if op.value), key=lambda op: len(op.value))
    for shorter, longer in pairwise(by_length):
        if (
            type(shorter.value) is not type(longer.value)
            or longer.value[: len(shorter.value)] != shorter.value
        ):
            return Broken((shorter, longer), f"neither of {shorter} and {longer} begins with the other.")
    longest = _Latest(reads, _returned, lambda op: len(op.value or ()))
    for op in reads:
        older = longest.before(op.called)
        if older is not None and len(older.value or ()) > len(op.value or ()):
            return Broken((older, op), f"{op} saw less than {older}, although nothing is ever taken away.")
    return None


def _elements(reads: list[HistoryOperation], appends: list[HistoryOperation], initial: Any) -> Broken | None:
    """Of the longest read all elements were appended, as often; of each read, enough of them by then."""
    called = sorted(op.called for op in appends)
    over = sorted(op.returned for op in appends if op.known)
    begin = len(initial or ())
    for op in reads:
        size = len(op.value or ())
        if size > begin + bisect_right(called, op.returned):
            return Broken((op,), f"{op} holds more elements than had been appended when it returned.")
        if size < begin + bisect_left(over, op.called):
            done = sorted((a for a in appends if a.known and a.returned < op.called), key=_returned)
            return Broken(
                (*done[: size - begin + 1], op),
                f"{op} holds fewer elements than had been appended before it.",
            )
    if not reads:
        return None
    longest = max(reads, key=lambda op: len(op.value or ()))
    left: dict[Any, int] = {}
    for value in (*(initial or ()), *(op.value for op in appends)):
        left[value] = left.get(value, 0) + 1
    for value in longest.value or ():
        left[value] = left.get(value, 0) - 1
        if left[value] < 0:
            return Broken((longest,), f"{longest} holds {show(value)} more often than it was appended.")
    return None


# Sets


def sets(operations: Sequence[HistoryOperation], initial: Any) -> Broken | None:
    """An element seen in a set was added and not certainly removed since; for a missing one, the converse."""
    reads = [op for op in operations if op.known and op.kind == "read"]
    for op in reads:
        if op.value is not None and not isinstance(op.value, (tuple, frozenset)):
            return Broken((op,), f"a set is read as a list of its elements, but {op} saw {show(op.value)}.")
        if len(op.value or ()) != len(frozenset(op.value or ())):
            return Broken((op,), f"{op} saw an element twice.")
    start = frozenset() if initial is None else initial
    words: dict[Any, list[HistoryOperation]] = {word: [] for word in sorted(start, key=show)}
    for op in operations:
        if op.kind in {"add", "remove"}:
            words.setdefault(op.value, []).append(op)
    for op in reads:
        stray = sorted((word for word in op.value or () if word not in words), key=show)
        if stray:
            return Broken((op,), f"nobody added {show(stray[0])}, which {op} saw.")
    held = [(op, frozenset(op.value or ())) for op in reads]
    looked = 0
    for word, changes in words.items():
        looked += len(reads) + len(changes)
        if looked > _PAIRS:
            break
        found = _one_element(word, changes, held, word in start)
        if found is not None:
            return found
    return None


def _one_element(
    word: Any,
    changes: list[HistoryOperation],
    reads: list[tuple[HistoryOperation, frozenset[Any]]],
    start: bool,
) -> Broken | None:
    adds = [op for op in changes if op.kind == "add"]
    removes = [op for op in changes if op.kind == "remove"]
    last_add = _Latest([op for op in adds if op.known], _returned, _called)
    last_remove = _Latest([op for op in removes if op.known], _returned, _called)
    any_add, any_remove = _Latest(adds, _called, _returned), _Latest(removes, _called, _returned)
    seen = [(op, word in elements) for op, elements in reads]
    if len(changes) <= _REPLIES:  # what their replies say of the moment before
        seen += [
            (op, (op.kind == "remove") == op.result)
            for op in changes
            if op.known and isinstance(op.result, bool)
        ]
    for op, present in seen:
        certain, other = (last_remove, any_add) if present else (last_add, any_remove)
        against = certain.before(op.called)
        if against is None and start == present:
            continue
        if op.kind != "read":
            others = [o for o in (adds if present else removes) if o is not op]
            other = _Latest(others, _called, _returned)
        helper = other.by(op.returned)
        if helper is not None and (against is None or helper.returned >= against.called):
            continue
        shown = tuple(o for o in (helper, against, op) if o is not None)
        what = "is there" if present else "is not there"
        if against is None:
            why = (
                "nobody had added it" if present else "it was there from the start, and nobody had removed it"
            )
        else:
            why = f"{against} came before, and nobody had {'added' if present else 'removed'} it since"
        return Broken(shown, f"for {op}, {show(word)} {what}, but {why}.")
    return None


# Queues


def queue(operations: Sequence[HistoryOperation], initial: Any) -> Broken | None:
    """A dequeued element was enqueued, in time and as often; order is kept; a queue with an element is not empty."""
    start = tuple(initial or ())
    enqueues = [op for op in operations if op.kind == "enqueue"]
    dequeues = [op for op in operations if op.kind == "dequeue"]
    if any(op.value is None for op in enqueues) or None in start:
        return None  # then a dequeue of null does not say that the queue was empty
    taken = [op for op in dequeues if op.known and op.value is not None]
    found = _counts(enqueues, taken, start)
    if found is not None:
        return found
    unique = _once(enqueues, taken, start)
    lost = any(not op.known for op in dequeues)
    empty = [op for op in dequeues if op.known and op.value is None]
    return _order(unique, lost) or _not_empty(unique, empty, lost)


def _counts(
    enqueues: list[HistoryOperation], taken: list[HistoryOperation], start: tuple[Any, ...]
) -> Broken | None:
    put: dict[Any, list[float]] = {}
    for value in start:
        put.setdefault(value, []).append(-math.inf)
    for op in sorted(enqueues, key=_called):
        put.setdefault(op.value, []).append(op.called)
    got: dict[Any, int] = {}
    for op in sorted(taken, key=_returned):
        calls = put.get(op.value)
        if calls is None:
            return Broken((op,), f"nobody enqueued {show(op.value)}, which {op} took.")
        got[op.value] = count = got.get(op.value, 0) + 1
        if count > len(calls):
            same = tuple(o for o in taken if o.value == op.value)
            return Broken(
                same, f"{show(op.value)} was dequeued {count} times, but enqueued {len(calls)} times."
            )
        if calls[count - 1] > op.returned:
            late = next(o for o in enqueues if o.value == op.value and o.called == calls[count - 1])
            same = tuple(o for o in taken if o.value == op.value and o.returned <= op.returned)
            return Broken((*same, late), f"{op} returned before its value was enqueued: {late}.")
    return None


def _once(
    enqueues: list[HistoryOperation], taken: list[HistoryOperation], start: tuple[Any, ...]
) -> list[tuple[HistoryOperation, HistoryOperation | None]]:
    """Values that were enqueued once: their enqueue, and their dequeue if there was one."""
    count: dict[Any, int] = {}
    for value in (*start, *(op.value for op in enqueues)):
        count[value] = count.get(value, 0) + 1
    out = {op.value: op for op in taken}
    return [(op, out.get(op.value)) for op in enqueues if count[op.value] == 1]


def _leaves(pair: tuple[HistoryOperation, HistoryOperation | None]) -> float:
    """The time until which an element is certainly in the queue."""
    return math.inf if pair[1] is None else pair[1].called


def _order(unique: list[tuple[HistoryOperation, HistoryOperation | None]], lost: bool) -> Broken | None:
    """A violation: an element that was enqueued later left before one that was enqueued earlier."""
    certain = [pair for pair in unique if pair[0].known and (pair[1] is not None or not lost)]
    certain.sort(key=lambda pair: pair[0].returned)
    longest = _greatest(certain, _leaves)
    returns = [pair[0].returned for pair in certain]
    for put, got in unique:
        at = bisect_left(returns, put.called)
        if got is None or not at:
            continue
        first = longest[at - 1]
        if _leaves(first) > got.returned:
            shown = tuple(op for op in (*first, put, got) if op is not None)
            then = "was never dequeued" if first[1] is None else f"left only later: {first[1]}"
            return Broken(
                shown, f"{got} overtook {show(first[0].value)}, which was enqueued before it and {then}."
            )
    return None


def _not_empty(
    unique: list[tuple[HistoryOperation, HistoryOperation | None]], empty: list[HistoryOperation], lost: bool
) -> Broken | None:
    certain = [pair for pair in unique if pair[0].known and (pair[1] is not None or not lost)]
    certain.sort(key=lambda pair: pair[0].returned)
    longest = _greatest(certain, _leaves)
    returns = [pair[0].returned for pair in certain]
    for op in empty:
        at = bisect_left(returns, op.called)
        if at and _leaves(longest[at - 1]) > op.returned:
            put, got = longest[at - 1]
            shown = tuple(o for o in (put, op, got) if o is not None)
            return Broken(
                shown, f"{op} found the queue empty, although {show(put.value)} was in it all the time."
            )
    return None
