# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of `sim.cluster.verbs`."""

from cpython.object cimport PyObject

from sim.cluster._clock cimport NodeClocks
from sim.cluster._cpu cimport Job, new_job, submit_to
from sim.kernel._event_list cimport EventList, is_wait
from sim.kernel._timer cimport Timer
from sim.network._plain_link cimport PlainLink

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL

from sim.hosting import callback
from sim.node import Verbs

__all__ = ["plain_steps", "quick_verbs"]


cdef class Sending:
    """`Verbs.send` for an instant disk."""

    cdef object _routes  # of a class derived from dict: looking up a route that is not there makes it

    def send(self, dst, msg, hold=True):
        cdef PyObject* known = PyDict_GetItemWithError(self._routes, dst)
        route = self._routes[dst] if known == NULL else <object>known
        if type(route) is PlainLink:
            (<PlainLink>route).send(msg)
        else:
            route(msg)


cdef class SettingTimers:
    """`Verbs.set_timer`."""

    cdef dict _known
    cdef EventList _env
    cdef NodeClocks _clocks
    cdef object _address
    cdef object _host
    cdef object _owner

    def set_timer(self, name, delay, key=None):
        timer = self._known.get((self._address, name, key))
        if timer is None or not is_wait(delay):
            self._host.set_timer(self._owner, name, delay, key)
        else:
            (<Timer>timer).arm(self._env.after(delay / self._clocks.rate))


cdef class Working:
    """`Verbs.work`."""

    cdef dict _jobs
    cdef object _cpu
    cdef object _done
    cdef object _address
    cdef object _host
    cdef object _owner
    cdef dict _handlers

    def work(self, name, seconds, key=None, priority=0):
        cdef Job job
        handler = self._handlers.get(name)
        if handler is None or not is_wait(seconds):
            self._host.work(self._owner, name, seconds, key, priority)
            self._handlers[name] = callback(self._owner, f"on_{name}_done")
            return
        job_key = (self._address, name, key)
        job = new_job(seconds, self._done, (job_key, handler, key), priority)
        self._jobs[job_key] = job
        submit_to(self._cpu, job)


def quick_verbs(host, owner):
    cdef SettingTimers timers = SettingTimers()
    cdef Working working = Working()
    cdef Sending sending
    timers._known, timers._env, timers._clocks = host.timers, host.env, host.clocks
    timers._address, timers._host, timers._owner = id(owner), host, owner  # id: a look-up, never an order
    working._jobs, working._cpu, working._done = host.jobs, host.cpu, host.work_done
    working._address, working._host, working._owner = id(owner), host, owner
    working._handlers = {}
    verbs = {"set_timer": timers.set_timer, "work": working.work}
    if host.disk.instant:
        sending = Sending()
        sending._routes = host.routes
        verbs["send"] = sending.send
    return {name: verb for name, verb in verbs.items() if getattr(type(owner), name) is getattr(Verbs, name)}


cdef class PlainSteps:
    cdef object _host

    def step(self, handler, arguments):
        try:
            result = handler(*arguments)
            if result is not None:
                self._host.follow(result)
        except Exception as error:
            self._host.blame(error)
            raise

    def run(self, function):
        self.step(function, ())


def plain_steps(host):
    cdef PlainSteps made = PlainSteps()
    made._host = host
    return made.step, made.run
