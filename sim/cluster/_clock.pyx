# cython: language_level=3
"""The compiled build of `sim.cluster.clock`."""

from sim.kernel._event_list cimport EventList

from sim.cluster.clock import NodeClocks as Plain

__all__ = ["NodeClocks"]


cdef class NodeClocks:
    def __init__(self, time, clock, stream):
        self._time = time
        self._environment = time if isinstance(time, EventList) else None
        self._stream = stream
        self.rate = 1.0 + clock.drift
        self._ahead = clock.offset
        self._begun = 0.0

    cdef object _now(self):
        return self._time._now if self._environment is None else self._environment.now_object()

    def wall(self):
        return self._ahead + self.rate * self._now()

    def monotonic(self):
        return self._begun + self.rate * self._now()

    begin, set = Plain.begin, Plain.set  # they run seldom
