# What the other compiled modules use of clocks.

from sim.kernel._event_list cimport EventList


cdef class NodeClocks:
    cdef object _time
    cdef EventList _environment  # the same, where it is one
    cdef object _stream
    cdef public object rate
    cdef object _ahead
    cdef object _begun

    cdef object _now(self)
