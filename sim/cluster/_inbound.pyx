# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of `sim.cluster.inbound`."""

from sim.cluster._clock cimport NodeClocks
from sim.cluster._cpu cimport new_job, submit_to
from sim.network._plain_link cimport Receiving

from sim.cluster.inbound import Inbound as Plain

__all__ = ["Inbound"]


cdef class Inbound(Receiving):
    cdef public object name
    cdef public object node
    cdef public object cluster
    cdef public object profile
    cdef public object cpu
    cdef public object nic
    cdef public object disk
    cdef public NodeClocks clocks
    cdef public object stories
    cdef public object follow
    cdef public object step
    cdef public dict handlers
    cdef public dict jobs
    cdef public object halt
    cdef public bint in_step
    cdef public long long crashes
    cdef public long long dropped
    cdef public bint messages_are_free

    def clock(self):
        return self.clocks.wall()

    def receive(self, src, message):
        if not self.handlers:
            self.lost_at_door()
        elif self.nic is not None and not self.cluster.network.is_local(src, self.name):
            self.nic.pass_on("in", message, self._off_the_card, (self.crashes, (src, message)))
        else:
            self._take_in((src, message))

    def _take_in(self, delivery):
        self.messages_in += 1
        if self.messages_are_free:
            self.handle(delivery)
            return
        profile = self.profile
        cost = profile.per_message
        if profile.per_byte:
            cost += profile.per_byte * delivery[1].wire_bytes
        submit_to(self.cpu, new_job(cost, self.handle, delivery, 0))

    _off_the_card, lost_at_door, handler_of = Plain._off_the_card, Plain.lost_at_door, Plain.handler_of

    def handle(self, delivery):
        src, message = delivery
        if self.halt is not None:
            self.halt.late.append((self.handle, (delivery,)))
            return
        handler = self.handlers.get(type(message)) or self.handler_of(src, message)
        for hear in self.cluster.on_deliver[type(message)]:
            hear(src, self.name, message)
        self.step(handler, (src, message))

    def recorded_step(self, handler, arguments=()):
        node = self.node
        cdef bint nested = self.in_step
        self.in_step = True
        try:
            result = handler(*arguments)
            if result is not None:
                self.follow(result)
            if not nested and self.stories.called:
                self.stories.refuse_unbegun()
        except Exception as error:
            self.blame(error)
            raise
        finally:
            self.in_step = nested
        if not nested and node is self.node:
            self.disk.seal()
            if node is not None and self.cluster.checking:
                self.cluster.after_step(node)

    def work_done(self, done):
        if self.halt is not None:
            self.halt.late.append((self.work_done, (done,)))
            return
        job_key, handler, key = done
        if self.jobs.pop(job_key, None) is None:
            return
        self.step(handler, () if key is None else (key,))
