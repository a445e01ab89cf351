# What the other compiled modules use of clocks.

from sim.kernel._event_list cimport EventList


cdef class NodeClocks:
    cdef readonly object _time
    cdef EventList _environment  # the same, where it is one
    cdef readonly object _stream
    cdef public object rate
    cdef public object _ahead
    cdef public object _begun

    cdef object _now(self)
