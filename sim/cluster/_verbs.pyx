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

from sim.cluster import verbs as arguments
from sim.hosting import callback
from sim.node import Verbs

__all__ = ["plain_step", "quick_verbs"]


cdef extern from "Python.h":
    struct PyMethodDef:
        const char* ml_name
        void* ml_meth
        int ml_flags
        const char* ml_doc
    int METH_FASTCALL
    int METH_KEYWORDS
    object PyCFunction_New(PyMethodDef* definition, object owner)
    object PyObject_Vectorcall(object function, PyObject** given, size_t count, PyObject* names)


# Calls with what is needed, by position, are quick. For others Python orders, or refuses, what is given.

cdef class Sending:
    """`Verbs.send` for an instant disk."""

    cdef object _routes  # of a class derived from dict: looking up a route that is not there makes it

    cdef int send(self, object dst, object msg) except -1:
        cdef PyObject* known = PyDict_GetItemWithError(self._routes, dst)
        route = self._routes[dst] if known == NULL else <object>known
        if type(route) is PlainLink:
            return (<PlainLink>route).send(msg)
        route(msg)
        return 0


cdef object call_send(Sending self, PyObject** given, Py_ssize_t count, PyObject* names):
    if names == NULL and 2 <= count <= 3:
        self.send(<object>given[0], <object>given[1])
    else:
        dst, msg = PyObject_Vectorcall(arguments.send, given, count, names)
        self.send(dst, msg)


cdef class SettingTimers:
    """`Verbs.set_timer`."""

    cdef dict _known
    cdef EventList _env
    cdef NodeClocks _clocks
    cdef object _address
    cdef object _host
    cdef object _owner

    cdef int set_timer(self, object name, object delay, object key) except -1:
        timer = self._known.get((self._address, name, key))
        if timer is None or not is_wait(delay):
            self._host.set_timer(self._owner, name, delay, key)
        else:
            (<Timer>timer).arm(self._env.after(delay / self._clocks.rate))
        return 0


cdef object call_set_timer(SettingTimers self, PyObject** given, Py_ssize_t count, PyObject* names):
    if names == NULL and 2 <= count <= 3:
        self.set_timer(<object>given[0], <object>given[1], <object>given[2] if count == 3 else None)
    else:
        name, delay, key = PyObject_Vectorcall(arguments.set_timer, given, count, names)
        self.set_timer(name, delay, key)


cdef class Working:
    """`Verbs.work`."""

    cdef dict _jobs
    cdef object _cpu
    cdef object _done
    cdef object _address
    cdef object _host
    cdef object _owner
    cdef dict _handlers

    cdef int work(self, object name, object seconds, object key, object priority) except -1:
        cdef Job job
        handler = self._handlers.get(name)
        if handler is None or not is_wait(seconds):
            self._host.work(self._owner, name, seconds, key, priority)
            self._handlers[name] = callback(self._owner, f"on_{name}_done")
            return 0
        job_key = (self._address, name, key)
        job = new_job(seconds, self._done, (job_key, handler, key), priority)
        self._jobs[job_key] = job
        return submit_to(self._cpu, job)


cdef object call_work(Working self, PyObject** given, Py_ssize_t count, PyObject* names):
    if names == NULL and 2 <= count <= 3:
        self.work(<object>given[0], <object>given[1], <object>given[2] if count == 3 else None, 0)
    else:
        name, seconds, key, priority = PyObject_Vectorcall(arguments.work, given, count, names)
        self.work(name, seconds, key, priority)


cdef int FLAGS = METH_FASTCALL | METH_KEYWORDS
cdef PyMethodDef[3] VERBS = [
    [b"send", <void*>call_send, FLAGS, NULL],
    [b"set_timer", <void*>call_set_timer, FLAGS, NULL],
    [b"work", <void*>call_work, FLAGS, NULL],
]


def quick_verbs(host, owner):
    cdef SettingTimers timers = SettingTimers()
    cdef Working working = Working()
    cdef Sending sending
    timers._known, timers._env, timers._clocks = host.timers, host.env, host.clocks
    timers._address, timers._host, timers._owner = id(owner), host, owner  # id: a look-up, never an order
    working._jobs, working._cpu, working._done = host.jobs, host.cpu, host.work_done
    working._address, working._host, working._owner = id(owner), host, owner
    working._handlers = {}
    verbs = {"set_timer": PyCFunction_New(&VERBS[1], timers), "work": PyCFunction_New(&VERBS[2], working)}
    if host.disk.instant:
        sending = Sending()
        sending._routes = host.routes
        verbs["send"] = PyCFunction_New(&VERBS[0], sending)
    else:
        verbs["send"] = arguments.send_when_synced(host)
    return {name: verb for name, verb in verbs.items() if getattr(type(owner), name) is getattr(Verbs, name)}


cdef class PlainStep:
    cdef object _host

    def step(self, handler, arguments=()):
        try:
            result = handler(*arguments)
            if result is not None:
                self._host.follow(result)
        except Exception as error:
            self._host.blame(error)
            raise


def plain_step(host):
    cdef PlainStep made = PlainStep.__new__(PlainStep)
    made._host = host
    return made.step
