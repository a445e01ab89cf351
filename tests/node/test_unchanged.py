"""What a message was when it was sent: a picture finds every change that a walk through the whole message finds."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import unchanged
from sim.engine import COMPILED
from sim.message import message
from sim.unchanged import digest_of

KINDS: list[type] = [unchanged.Picture]
if COMPILED:
    from sim import _unchanged

    KINDS.append(_unchanged.Picture)


class Picture:
    """A picture of each build; they say and hold the same."""

    def __init__(self, sent: Any) -> None:
        self.each = [kind(sent) for kind in KINDS]

    def is_true(self) -> bool:
        one, *others = [picture.is_true() for picture in self.each]
        assert all(one is other for other in others)
        return bool(one)

    @property
    def messages(self) -> list[Any]:
        return self._same([picture.messages for picture in self.each])

    @property
    def others(self) -> list[Any]:
        return self._same([picture.others for picture in self.each])

    def _same(self, held: list[list[Any]]) -> list[Any]:
        assert len({repr(one) for one in held}) == 1
        return held[0]


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclass(frozen=True)
class Frozen:
    item: Any


@dataclass
class Open:
    item: Any = field(default_factory=list)


@message
class One:
    only: Any


@message
class Wrong:
    """Annotations are not believed."""

    number: int
    name: str = ""


@message
class Nothing:
    pass


def fields_of(names: int) -> type:
    """A class of messages with so many fields."""
    annotations = {f"f{i}": "object" for i in range(names)}
    return message(type(f"Fields{names}", (), {"__annotations__": annotations, "__module__": __name__}))


CLASSES = [fields_of(n) for n in range(5)]
plain = st.one_of(
    st.integers(-2, 300), st.sampled_from(["", "a", "word"]), st.booleans(), st.none(), st.floats()
)
keys = st.one_of(st.integers(0, 3), st.sampled_from("ab"))


def inside(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(values, max_size=3),
        st.lists(values, max_size=3).map(tuple),
        st.dictionaries(keys, values, max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.builds(Pair, values, values),
        st.builds(Frozen, values),
        st.builds(Open, values),
        st.builds(One, values),
        st.builds(Wrong, values),
        st.sampled_from([*Colour]),
    )


anything = st.recursive(plain, inside, max_leaves=12)
messages = st.sampled_from(CLASSES).flatmap(lambda kind: st.builds(kind, *[anything for _ in kind._fields]))


def changes(value: Any) -> list[Callable[[Any], None]]:
    """The ways in which something in a value can be changed, to another value."""
    found: list[Callable[[Any], None]] = []
    if isinstance(value, list):
        found.append(value.append)
        found += [lambda new, i=i: value.__setitem__(i, new) for i in range(len(value))]
        inner = list(value)
    elif isinstance(value, dict):
        found.append(lambda new: value.__setitem__("new", new))
        found += [lambda new, k=k: value.__setitem__(k, new) for k in value]
        inner = [*value, *value.values()]
    elif isinstance(value, set):
        return [lambda new: value.add(repr(new)), lambda new: value.clear()]
    elif isinstance(value, tuple | frozenset):
        inner = list(value)
    elif isinstance(value, Frozen):
        inner = [value.item]
    else:
        names = getattr(value, "_fields", ("item",) if isinstance(value, Open) else ())
        found += [lambda new, n=n: setattr(value, n, new) for n in names]
        inner = [getattr(value, n) for n in names]
    return found + [change for item in inner for change in changes(item)]


@settings(max_examples=80)
@given(messages, st.data())
def test_a_change_after_sending_is_caught_exactly_as_by_the_full_walk(sent: Any, data: st.DataObject) -> None:
    picture, digest = Picture(sent), digest_of(sent)
    assert picture.is_true()
    ways = changes(sent)
    if ways:
        data.draw(st.sampled_from(ways))(data.draw(anything))
        assert picture.is_true() == (digest_of(sent) == digest)


@given(messages, st.data())
def test_what_is_replaced_by_an_equal_value_counts_as_unchanged(sent: Any, data: st.DataObject) -> None:
    numbers = [name for name in sent._fields if type(getattr(sent, name)) is float]
    picture, digest = Picture(sent), digest_of(sent)
    for name in numbers:
        setattr(sent, name, float(repr(getattr(sent, name))))  # another object; NaN is not equal to itself
    assert picture.is_true() == (digest_of(sent) == digest)


def test_equal_values_of_another_class_count_as_changed() -> None:
    for before, after in (((1, 2), Pair(1, 2)), ([1], (1,)), (frozenset({1}), frozenset({True}))):
        sent = One(before)
        picture, digest = Picture(sent), digest_of(sent)
        sent.only = after
        assert digest_of(sent) != digest
        assert not picture.is_true()


@pytest.mark.parametrize(
    "value", [1, "text", (1, ("a", None)), Frozen((1, Frozen(2))), Colour.RED, frozenset({1, (2,)})]
)
def test_what_cannot_change_is_not_looked_at_again(value: Any) -> None:
    assert Picture(One(value)).others == []
    assert len(Picture(One((value, One(value)))).messages) == 2


def test_a_message_without_fields_has_a_picture() -> None:
    assert Picture(Nothing()).is_true()


def test_a_message_that_holds_itself_is_an_error_and_no_endless_walk() -> None:
    inner: list[Any] = []
    inner.append(inner)
    with pytest.raises(RecursionError):
        Picture(One(inner))
