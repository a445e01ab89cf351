# cython: language_level=3
"""The compiled build of `sim.values.is_immutable`."""

from sim.values import study

__all__ = ["is_immutable"]

cdef dict doubtful = {}  # class -> see `sim.values.Doubtful`


def is_immutable(value):
    return immutable(value)


cdef bint immutable(object value) except -1:
    kind = type(value)
    if kind is str or kind is int or value is None or kind is float or kind is bool or kind is bytes:
        return True
    if isinstance(value, tuple):
        for item in <tuple>value:
            if not immutable(item):
                return False
        return True
    asked = doubtful.get(kind)
    if asked is None:
        asked = doubtful[kind] = study(kind)
    if type(asked) is not tuple:
        return asked(value)
    for name in <tuple>asked:
        if not immutable(getattr(value, name, None)):
            return False
    return True
