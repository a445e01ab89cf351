# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of `sim.network.plain_link`."""

from cpython.array cimport array, resize_smart

from sim.kernel._event_list cimport Callee, EventList

from sim.message import check_message
from sim.network.message_rows import HEADER_BYTES, NAN
from sim.unchanged import require_unchanged

__all__ = ["Counters", "Receiving", "observed_link", "plain_link"]

cdef enum:
    DELIVERED, CRASHED, LOST  # the fates of `sim.packed_rows`
    WIDTH = 7

cdef long long EXACT = <long long>1 << 53


cdef type METHOD_OF_SLOT = type([].__iter__().__next__)


cdef object iterator_of(object draw):
    """The iterator, if ``draw`` is the ``__next__`` of one: to ask it directly costs a call less."""
    return draw.__self__ if type(draw) is METHOD_OF_SLOT and draw.__name__ == "__next__" else None


cdef class Counters:

    @property
    def bytes(self):
        return self._bytes if self._odd_bytes is None else self._odd_bytes

    @bytes.setter
    def bytes(self, total):
        if type(total) is int:
            self._bytes, self._odd_bytes = total, None
        else:
            self._odd_bytes = total

    cpdef object count(self, object message):
        self.messages += 1
        try:
            size = message.wire_bytes
            if type(size) is int and self._odd_bytes is None:
                self._bytes += <long long>size
            else:
                self.bytes += size
        except (AttributeError, TypeError):
            check_message(message)
            raise
        return size


cdef class Receiving:
    pass


cdef class PlainLink(Callee):

    def __call__(self, message):
        self.send(message)

    cdef int send(self, object message) except -1:
        cdef Counters link = self._link
        if self._hooks is not None:
            for hear in self._hooks[type(message)]:
                hear(self._src, self._dst, message)
        size = link.count(message)
        if self._rows is None or not (
            self._is_complete or (link.messages >= link.next_row and self._takes(link))
        ):
            size = None
        else:
            size += HEADER_BYTES
        if self._loss and <double>(self._draw_loss() if self._losses is None else next(self._losses)) < self._loss:
            link.lost += 1
            if size is not None:
                self._note(message, self._env.now_object(), NAN, LOST, size)
        else:
            self._launch(message, size)
        if self._duplicate and <double>self._draw_duplicate() < self._duplicate:
            link.duplicated += 1
            self._launch(message, size)
        return 0

    cdef int _launch(self, object message, object size) except -1:
        latency = self._draw_latency() if self._latencies is None else next(self._latencies)
        if self._network is not None:
            picture = self._picture_of(message) if self._is_checked else None
            message = (self._link, message, self._env.now_object(), size, self._receiver, picture)
        elif size is not None:
            message = (self._link, message, self._env.now_object(), size)
        if type(latency) is float and self._env.has_float_time():
            return self._env.call(self._env.time_now + <double>latency, self, message, True)
        return self._env.call_at_object(self._env.now_object() + latency, self, message, True)

    cdef int _note(self, object message, object sent, double delivered, int fate, object size) except -1:
        """Write a row; ``fate``: a number of `sim.packed_rows`."""
        cdef Py_ssize_t end = len(self._numbers)
        cdef double* row
        if not (type(sent) is float and type(size) is int and <long long>size < EXACT and self._env.has_float_time()):
            now = NAN if fate == LOST else self._env.now_object()
            names = type(message).__name__, self._src, self._dst
            self._rows.append((*names, sent, now, self._rows.texts[fate], size))
            return 0
        if type(message) is not self._kind:
            self._kind = type(message)
            self._kind_number = self._rows.number_of(self._kind.__name__)
        resize_smart(self._numbers, end + WIDTH)
        row = self._numbers.data.as_doubles + end
        row[0], row[1], row[2], row[3] = <double>sent, delivered, <double><long long>size, fate
        row[4], row[5], row[6] = self._kind_number, self._src_number, self._dst_number
        return 0

    cdef int fire(self, object message) except -1:
        cdef tuple flight
        if type(message) is tuple:
            flight = <tuple>message
            message, sent, size = flight[1], flight[2], flight[3]
            if self._network is not None:
                if self._network._holds and self._network.is_kept(flight):
                    return 0
                if self._is_checked and not flight[5].is_true():
                    require_unchanged(flight[5], self._src, self._dst)
            if size is not None:
                self._note(message, sent, self._env.time_now, DELIVERED if self._handlers else CRASHED, size)
        if self._is_direct:
            return self._arrive_directly(message)
        self._receive(self._src, message)
        return 0

    cdef int _arrive_directly(self, object message) except -1:
        handler = self._handlers.get(type(message))
        if handler is None:
            self._receive(self._src, message)
            return 0
        if self._counter is None:
            self._receiver.messages_in += 1
        else:
            self._counter.messages_in += 1
        try:
            result = handler(self._src, message)
            if result is not None:
                self._receiver.follow(result)
        except Exception as error:
            self._receiver.blame(error)
            raise
        return 0


def plain_link(EventList env not None, Counters link not None, receiver, rows=None):
    cdef PlainLink made = PlainLink.__new__(PlainLink)
    made._env = env
    made._link = link
    made._src, made._dst = link.src, link.dst
    made._draw_latency = link.draw_latency
    made._latencies = iterator_of(made._draw_latency)
    made._loss = link.spec.loss
    made._draw_loss = link.draw_loss if made._loss else None
    made._losses = iterator_of(made._draw_loss)
    made._receiver = receiver
    made._handlers = receiver.handlers
    made._receive = receiver.receive
    made._is_direct = receiver.direct
    made._counter = receiver if isinstance(receiver, Receiving) else None
    if rows is not None:
        made._rows, made._is_complete, made._takes = rows.rows, rows.is_complete, rows.takes
        made._numbers = rows.rows.numbers
        made._src_number, made._dst_number = rows.rows.number_of(made._src), rows.rows.number_of(made._dst)
    return made


def observed_link(network, link, receiver, hooks=None):
    cdef PlainLink made = plain_link(network.env, link, receiver, network.rows)
    made._draw_latency = link.open_latency()
    made._latencies = iterator_of(made._draw_latency)
    made._network, made._hooks, made._is_direct = network, hooks, False
    made._is_checked, made._picture_of = network.checking, network.picture_of
    made._duplicate = link.spec.duplicate
    made._draw_duplicate = link.draw_duplicate if made._duplicate else None
    return made
