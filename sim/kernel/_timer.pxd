# What the other compiled modules use of timers.

from sim.kernel._event_list cimport Callee, EventList


cdef class Timer(Callee):
    cdef EventList _environment
    cdef public object _function
    cdef public object _argument
    cdef object _deadline
    cdef object _awaited

    cdef bint _may_be(self, object deadline) except -1
    cdef int arm(self, object deadline) except -1
