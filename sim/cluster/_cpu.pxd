# What the other compiled modules use of cores.

from sim.kernel._event_list cimport Callee, EventList


cdef class Job(Callee):
    cdef public object seconds
    cdef public object function
    cdef public object argument
    cdef public object priority
    cdef public bint cancelled
    cdef public bint running
    cdef public object started
    cdef object _core  # the queue that runs it, where that is compiled


cdef int submit_to(object cpu, Job job) except -1
cdef Job new_job(object seconds, object function, object argument, object priority)


cdef class QueueingCpu:
    cdef public long long cores
    cdef public long long backlog
    cdef public long long backlog_max
    cdef public long long served
    cdef public double busy
    cdef public object speed
    cdef readonly EventList _env
    cdef bint _by_priority
    cdef readonly object _waiting  # a deque
    cdef object _wait  # its append
    cdef object _next  # its popleft
    cdef readonly list _ranked
    cdef long long _serial
    cdef readonly list _running

    cdef int enter(self, Job job) except -1
    cdef int _start(self, Job job) except -1
    cdef int finish(self, Job job) except -1
    cpdef int _leave(self, Job job) except -1
