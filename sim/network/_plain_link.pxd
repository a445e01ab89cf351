# What the other compiled modules use of links.

from cpython.array cimport array

from sim.kernel._event_list cimport Callee, EventList


cdef class Counters:
    cdef public long long messages
    cdef public long long lost
    cdef public long long duplicated
    cdef public long long next_row
    cdef long long _bytes
    cdef object _odd_bytes  # the sum, once a size is no int

    cpdef object count(self, object message)


cdef class Receiving:
    cdef public long long messages_in


cdef class PlainLink(Callee):
    cdef EventList _env
    cdef Counters _link
    cdef object _src
    cdef object _dst
    cdef object _draw_latency
    cdef object _draw_loss
    cdef object _latencies  # the iterators behind both, if they are iterators
    cdef object _losses
    cdef double _loss
    cdef object _receiver
    cdef dict _handlers
    cdef object _receive
    cdef bint _is_direct  # messages go directly to the handlers of the receiver
    cdef Receiving _counter  # the receiver, if it counts in C
    cdef object _takes  # of a traced run: whether a message has a row
    cdef object _rows
    cdef array _numbers  # those of the rows
    cdef double _src_number
    cdef double _dst_number
    cdef double _kind_number
    cdef object _kind  # the class of the message that had a row last
    cdef bint _is_complete  # all messages have one
    cdef object _network  # of an observed link, else None
    cdef object _hooks
    cdef bint _is_checked
    cdef object _picture_of
    cdef double _duplicate
    cdef object _draw_duplicate

    cdef int send(self, object message) except -1
    cdef int _launch(self, object message, object size) except -1
    cdef int _note(self, object message, object sent, double delivered, int fate, object size) except -1
    cdef int _arrive_directly(self, object message) except -1
