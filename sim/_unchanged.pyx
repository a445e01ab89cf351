# cython: language_level=3
"""The compiled build of `sim.unchanged.Picture`."""

from sim.unchanged import MESSAGE, OTHER, TUPLE, Picture as Plain, is_fixed, look_at, looks

__all__ = ["Picture"]

cdef dict known = looks


cdef class Picture:
    cdef readonly object message
    cdef readonly list messages
    cdef readonly list others

    def __init__(self, message):
        self.message, self.messages, self.others = message, [], []
        self.add(message)

    cpdef int add(self, object value) except -1:
        kind = type(value)
        if kind is str or kind is int or value is None or kind is float or kind is bool or kind is bytes:
            return 0
        look = TUPLE if kind is tuple else known.get(kind) or look_at(kind)
        held = value
        if look is MESSAGE:
            held = value._field_values()
            self.messages.append((value, held))
        elif look is OTHER and is_fixed(value):
            return 0
        elif look is not TUPLE:
            held = look.held(value)
            self.others.append((look, value, held))
        if look is not OTHER:
            for item in held:
                self.add(item)
        return 0

    def is_true(self):
        for value, held in self.messages:
            if not value._refers_to(held):
                return self._is_equal()
        for look, value, held in self.others:
            if not look.same(value, held):
                return self._is_equal()
        return True

    _is_equal = Plain._is_equal
