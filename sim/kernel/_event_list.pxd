# What the other compiled modules use of the event list.

from libc.math cimport INFINITY

cdef struct Entry:
    double time
    long long key  # priority and serial number: entries of one time happen in the order of their keys
    int slot  # where the objects of the entry are
    int kind


cdef class EventList:
    cdef Entry* _heap  # four children a node
    cdef Py_ssize_t _size
    cdef Py_ssize_t _room
    cdef list _objects  # of each slot: the event or the function, and the argument
    cdef list _times  # of each slot: a time that is no float, else None
    cdef int* _free
    cdef Py_ssize_t _free_count
    cdef long long _serials
    cdef bint _has_odd_times
    cdef double time_now
    cdef object _given_now  # the present time as it was given; None: a float

    cdef object now_object(self)
    cdef object after(self, object seconds)
    cdef bint has_float_time(self)
    cdef int call(self, double time, object function, object argument, bint is_callee) except -1
    cdef int call_at_object(self, object time, object function, object argument, bint is_callee) except -1
    cdef int _add(self, double time, long long key, int kind, object time_object, object first, object argument) except -1
    cdef int _add_at(self, object time, long long key, int kind, object first, object argument) except -1
    cdef int _rise(self, Entry entry, Py_ssize_t hole) except -1
    cdef int _sink(self, Entry entry, Py_ssize_t end) except -1
    cdef bint _is_before(self, Entry* a, Entry* b) except -1
    cdef object _time_of(self, Entry* entry)
    cdef int _take(self, Entry* taken) except -1
    cdef int _happen(self, Entry* taken) except -1
    cdef int _process(self, object event) except -1


cdef class Callee:
    """Something compiled that an entry calls directly."""

    cdef int fire(self, object argument) except -1


cdef inline bint is_wait(object seconds) except -1:
    """Whether a number of seconds is finite and at least 0."""
    if type(seconds) is float:
        return 0.0 <= <double>seconds < INFINITY
    return 0 <= seconds < INFINITY
