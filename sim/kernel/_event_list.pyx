# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled build of `sim.kernel.event_list`: the same behaviour, from a heap of C structs.

Times are compared as C doubles. A time that is given as something else than a float (SimPy allows it) is kept beside
its entry, so that it comes back as it was given; one that no double holds exactly (an integer above 2**53, a Fraction)
is compared as the object that it is. The objects of entries are in a list, so that Python's garbage collector sees
them: an entry of the heap has the number of its slot there.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport Py_EQ, Py_LT, PyObject_RichCompareBool
from libc.math cimport INFINITY, NAN
from libc.stdlib cimport free, malloc, realloc

from simpy.core import EmptySchedule, Infinity, StopSimulation

from sim.kernel.endings import PRIORITIES, copy_of, priority_in_range

__all__ = ["Callee", "EventList"]

cdef enum:
    EVENT = 1  # an event of SimPy; otherwise a plain call
    CALLEE = 2  # the function is a `Callee`
    KEPT = 4  # the time is kept as an object, too
    ODD = 8  # no double holds the time exactly

cdef int SERIAL_BITS = 48
cdef long long SERIALS = (<long long>1 << 48) - 1
cdef long long NORMAL = <long long>1 << 48
cdef long long EXACT = <long long>1 << 53


cdef int value_of(object time, double* value) except -1:
    """The kind of a time, and its value as a double."""
    cdef long long whole
    if type(time) is float:
        value[0] = <double>time
        return 0
    if isinstance(time, float):
        value[0] = float(time)
        return KEPT
    if isinstance(time, int):
        if -EXACT <= time <= EXACT:
            whole = time
            value[0] = <double>whole
            return KEPT
    try:
        value[0] = float(time)
    except (OverflowError, TypeError, ValueError):
        value[0] = NAN
    return KEPT | ODD


cdef inline bint is_before(EventList entries, Entry* a, Entry* b) except -1:
    if entries._has_odd_times:
        return entries._is_before(a, b)
    return a.time < b.time or (a.time == b.time and a.key < b.key)


cdef class Callee:

    cdef int fire(self, object argument) except -1:
        raise NotImplementedError


cdef class EventList:

    def __cinit__(self, *_, **__):
        self._room = 64
        self._heap = <Entry*>malloc(self._room * sizeof(Entry))
        self._free = <int*>malloc(self._room * sizeof(int))
        if self._heap == NULL or self._free == NULL:
            raise MemoryError
        self._objects = []
        self._times = []

    def __dealloc__(self):
        free(self._heap)
        free(self._free)

    def _open(self, initial_time):
        self._now = initial_time

    # Time

    cdef object now_object(self):
        if self._given_now is None:
            self._given_now = self.time_now
        return self._given_now

    cdef object after(self, object seconds):
        """The time that is ``seconds`` after now."""
        if type(seconds) is float and self.has_float_time():
            return self.time_now + <double>seconds
        return self.now_object() + seconds

    cdef bint has_float_time(self):
        """Whether the present time is a float."""
        return self._given_now is None or type(self._given_now) is float

    @property
    def _now(self):
        return self.now_object()

    @_now.setter
    def _now(self, time):
        value_of(time, &self.time_now)
        self._given_now = time

    # Scheduling

    def serial(self):
        self._serials += 1
        return self._serials - 1

    @property
    def scheduled(self):
        return self._serials

    def push(self, tuple entry):
        cdef bint is_event = len(entry) == 4
        cdef long long key = key_of(entry[1]) + <long long>entry[2]
        if is_event:
            self._add_at(entry[0], key, EVENT, entry[3], None)
        else:
            self._add_at(entry[0], key, CALLEE if isinstance(entry[3], Callee) else 0, entry[3], entry[4])

    def call_at(self, time, function, argument=None):
        if not self.now_object() <= time < INFINITY:
            raise ValueError(f"cannot call at {time!r} s: it is {self._now!r} s now")
        self.call_at_object(time, function, argument, isinstance(function, Callee))

    def call_after(self, delay, function, argument=None):
        if not is_wait(delay):
            raise ValueError(f"cannot call after {delay!r} s: a delay is finite and at least 0")
        self.call_at_object(self.after(delay), function, argument, isinstance(function, Callee))

    def schedule(self, event, priority=1, delay=0):
        cdef long long key = key_of(priority) + self._serials
        time = self.after(delay)
        self._serials += 1
        self._add_at(time, key, EVENT, event, None)

    cdef int call(self, double time, object function, object argument, bint is_callee) except -1:
        """Schedule a plain call at a time that is known to be a float."""
        self._serials += 1
        return self._add(time, NORMAL + self._serials - 1, CALLEE if is_callee else 0, None, function, argument)

    cdef int call_at_object(self, object time, object function, object argument, bint is_callee) except -1:
        """Schedule a plain call at a time of any type."""
        self._serials += 1
        return self._add_at(time, NORMAL + self._serials - 1, CALLEE if is_callee else 0, function, argument)

    cdef int _add_at(self, object time, long long key, int kind, object first, object argument) except -1:
        cdef double value
        cdef int of_time = value_of(time, &value)
        return self._add(value, key, kind | of_time, time if of_time else None, first, argument)

    cdef int _add(
        self, double time, long long key, int kind, object time_object, object first, object argument
    ) except -1:
        cdef Entry entry
        if self._free_count:
            self._free_count -= 1
            entry.slot = self._free[self._free_count]
            self._objects[2 * entry.slot] = first
            self._objects[2 * entry.slot + 1] = argument
        else:
            entry.slot = <int>self._size
            self._objects.append(first)
            self._objects.append(argument)
            self._times.append(None)
            if self._size == self._room:
                self._grow()
        entry.time, entry.key, entry.kind = time, key, kind
        if kind & KEPT:
            self._times[entry.slot] = time_object
            self._has_odd_times = self._has_odd_times or kind & ODD != 0
        self._size += 1
        self._rise(entry, self._size - 1)
        return 0

    def _grow(self):
        cdef Entry* heap
        cdef int* spare
        heap = <Entry*>realloc(self._heap, 2 * self._room * sizeof(Entry))
        if heap == NULL:
            raise MemoryError
        self._heap = heap
        spare = <int*>realloc(self._free, 2 * self._room * sizeof(int))
        if spare == NULL:
            raise MemoryError
        self._free = spare
        self._room *= 2

    # Order

    # Times that cannot be compared are an error, but no entry gets lost (`finally`).

    cdef int _rise(self, Entry entry, Py_ssize_t hole) except -1:
        """Put an entry where it belongs, from an empty place at the bottom of the heap upwards."""
        cdef Entry* heap = self._heap
        cdef Py_ssize_t parent
        try:
            while hole > 0:
                parent = (hole - 1) >> 2
                if not is_before(self, &entry, &heap[parent]):
                    break
                heap[hole] = heap[parent]
                hole = parent
        finally:
            heap[hole] = entry
        return 0

    cdef int _sink(self, Entry entry, Py_ssize_t end) except -1:
        """Put an entry where it belongs, from the empty top of a heap of ``end`` entries downwards."""
        cdef Entry* heap = self._heap
        cdef Py_ssize_t hole = 0, child = 1, best, last
        try:
            while child < end:
                best = child
                last = min(child + 4, end)
                child += 1
                while child < last:
                    if is_before(self, &heap[child], &heap[best]):
                        best = child
                    child += 1
                if not is_before(self, &heap[best], &entry):
                    break
                heap[hole] = heap[best]
                hole = best
                child = 4 * hole + 1
        finally:
            heap[hole] = entry
        return 0

    cdef bint _is_before(self, Entry* a, Entry* b) except -1:
        """Whether one entry comes before another, where a time may have to be compared as an object."""
        if not (a.kind | b.kind) & ODD:
            return a.time < b.time or (a.time == b.time and a.key < b.key)
        first, second = self._time_of(a), self._time_of(b)
        if PyObject_RichCompareBool(first, second, Py_EQ):
            return a.key < b.key
        return PyObject_RichCompareBool(first, second, Py_LT)

    cdef object _time_of(self, Entry* entry):
        return self._times[entry.slot] if entry.kind & KEPT else entry.time

    # What happens

    cdef int _take(self, Entry* taken) except -1:
        """Take the first entry from the heap, which must not be empty, and set the time to its time."""
        taken[0] = self._heap[0]
        self._size -= 1
        self._sink(self._heap[self._size], self._size)
        self.time_now = taken.time
        if taken.kind & KEPT:
            self._given_now = self._times[taken.slot]
            self._times[taken.slot] = None
        else:
            self._given_now = None
        return 0

    cdef int _happen(self, Entry* taken) except -1:
        """Do what a taken entry says."""
        cdef object first = self._objects[2 * taken.slot]
        cdef object argument = self._objects[2 * taken.slot + 1]
        self._objects[2 * taken.slot] = None
        self._objects[2 * taken.slot + 1] = None
        self._free[self._free_count] = taken.slot
        self._free_count += 1
        if taken.kind & CALLEE:
            (<Callee>first).fire(argument)
        elif taken.kind & EVENT:
            self._process(first)
        else:
            first(argument)
        return 0

    cdef int _process(self, object event) except -1:
        callbacks = event.callbacks
        event.callbacks = None
        try:
            for callback in callbacks:
                callback(event)
        except StopSimulation:
            self._put_back(event, callbacks, callback)
            raise
        if not event._ok and not hasattr(event, "_defused"):
            raise copy_of(event._value)
        return 0

    def peek(self):
        return self._time_of(&self._heap[0]) if self._size else Infinity

    def step(self):
        cdef Entry entry
        if not self._size:
            raise EmptySchedule
        self._take(&entry)
        self._happen(&entry)

    def _run(self, crowds):
        cdef Entry entry
        cdef long left
        while True:
            for left in range(<long>crowds.size):
                if not self._size:
                    return
                self._take(&entry)
                self._happen(&entry)
            PyErr_CheckSignals()
            crowds.refuse_standstill(self._now, entry.key & SERIALS, self._serials)

    # For those who look

    @property
    def _queue(self):
        """The entries in their order, as the other build keeps them; a list of its own."""
        return sorted([self._shown(i) for i in range(self._size)], key=lambda entry: entry[:3])

    def _shown(self, Py_ssize_t i):
        cdef Entry* entry = &self._heap[i]
        cdef int slot = entry.slot
        head = (self._time_of(entry), entry.key >> SERIAL_BITS, entry.key & SERIALS, self._objects[2 * slot])
        return head if entry.kind & EVENT else (*head, self._objects[2 * slot + 1])


cdef long long key_of(object priority) except? -1:
    """The part of a key that is the priority's."""
    cdef long long value
    if type(priority) is int and -PRIORITIES <= priority < PRIORITIES:
        value = priority
        return value << SERIAL_BITS
    return <long long>priority_in_range(priority) << SERIAL_BITS
