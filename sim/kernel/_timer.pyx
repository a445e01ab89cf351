# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of `sim.kernel.timer`."""

from libc.math cimport INFINITY

from sim.kernel._event_list cimport Callee, EventList

__all__ = ["Timer"]


cdef inline bint is_less(object a, object b) except -1:
    if type(a) is float and type(b) is float:
        return <double>a < <double>b
    return a < b


cdef class Timer(Callee):

    def __init__(self, EventList environment not None, function, argument=None):
        self._environment = environment
        self._function = function
        self._argument = argument

    @property
    def deadline(self):
        return self._deadline

    def arm_at(self, deadline):
        self.arm(deadline)

    cdef int arm(self, object deadline) except -1:
        if not self._may_be(deadline):
            now = self._environment.now_object()
            raise ValueError(f"cannot arm a timer for {deadline!r} s: it is {now!r} s now")
        self._deadline = deadline
        if self._awaited is None or is_less(deadline, self._awaited):
            self._awaited = deadline
            self._environment.call_at_object(deadline, self, None, True)
        return 0

    cdef bint _may_be(self, object deadline) except -1:
        """Whether a deadline is not in the past, and finite."""
        if type(deadline) is float and self._environment.has_float_time():
            return self._environment.time_now <= <double>deadline < INFINITY
        return self._environment.now_object() <= deadline < INFINITY

    def cancel(self):
        self._deadline = None

    cdef int fire(self, object _) except -1:
        time = self._environment.now_object()
        if self._awaited is None or is_less(time, self._awaited) or is_less(self._awaited, time):
            return 0
        self._awaited = None
        deadline = self._deadline
        if deadline is None:
            return 0
        if is_less(time, deadline):
            self.arm(deadline)
            return 0
        self._deadline = None
        self._function(self._argument)
        return 0
