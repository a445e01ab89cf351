# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of the queueing cores of `sim.cluster.cpu`."""

from sim.kernel._event_list cimport Callee, EventList

from collections import deque
from heapq import heappop, heappush

from sim.cluster.cpu import QueueingCpu as Plain

__all__ = ["Job", "QueueingCpu"]


cdef class Job(Callee):

    def __init__(self, seconds, function, argument, priority=0):
        self.seconds = seconds
        self.function = function
        self.argument = argument
        self.priority = priority
        self.started = 0.0

    cdef int fire(self, object _) except -1:
        return (<QueueingCpu>self._core).finish(self)


cdef Job new_job(object seconds, object function, object argument, object priority):
    cdef Job job = Job.__new__(Job)
    job.seconds, job.function, job.argument, job.priority, job.started = seconds, function, argument, priority, 0.0
    return job


cdef int submit_to(object cpu, Job job) except -1:
    """Queue a job on cores of any discipline; without a call of Python where they are compiled."""
    if type(cpu) is QueueingCpu:
        return (<QueueingCpu>cpu).enter(job)
    cpu.submit(job)
    return 0


cdef class QueueingCpu:

    def __init__(self, profile, EventList env not None):
        self.cores = profile.cores
        self.speed = 1.0
        self._env = env
        self._by_priority = profile.discipline == "priority"
        self._waiting = deque()
        self._wait = self._waiting.append
        self._next = self._waiting.popleft
        self._ranked = []
        self._running = []

    def submit(self, Job job not None):
        self.enter(job)

    cdef int enter(self, Job job) except -1:
        self.backlog += 1
        if self.backlog > self.backlog_max:
            self.backlog_max = self.backlog
        if len(self._running) < self.cores:
            self._start(job)
        elif self._by_priority:
            self._serial += 1
            heappush(self._ranked, (job.priority, self._serial, job))
        else:
            self._wait(job)
        return 0

    cdef int _start(self, Job job) except -1:
        job.running = True
        job.started = self._env.now_object()
        job._core = self
        self._running.append(job)
        return self._env.call_at_object(self._env.after(job.seconds / self.speed), job, None, True)

    cdef int finish(self, Job job) except -1:
        if not job.running:
            return 0
        self._leave(job)
        self.served += 1
        job.function(job.argument)
        return 0

    cpdef int _leave(self, Job job) except -1:
        cdef Job following
        job.running = False
        self._running.remove(job)
        self.busy += <double>self._env.now_object() - <double>job.started
        self.backlog -= 1
        if self._by_priority:
            while self._ranked and len(self._running) < self.cores:
                following = heappop(self._ranked)[2]
                if not following.cancelled:
                    self._start(following)
        else:
            while self._waiting and len(self._running) < self.cores:
                following = self._next()
                if not following.cancelled:
                    self._start(following)
        return 0

    # What runs seldom is that of the other build.
    cancel, clear, drop, set_speed = Plain.cancel, Plain.clear, Plain.drop, Plain.set_speed
    _jobs, busy_until = Plain._jobs, Plain.busy_until
