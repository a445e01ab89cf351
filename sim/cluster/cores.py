"""The cores of a machine, with one of three disciplines: first come first served, by priority, or shared."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from sim.cluster.cpu import Cpu
from sim.cluster.profile import Machine
from sim.engine import COMPILED
from sim.kernel import Environment

if TYPE_CHECKING or not COMPILED:
    from sim.cluster.cpu import Job, QueueingCpu
else:
    from sim.cluster._cpu import Job, QueueingCpu

__all__ = ["Cpu", "Job", "SharedCpu", "make_cpu"]


class SharedCpu(Cpu):
    """Processor sharing: n jobs on c cores each run at speed min(1, c/n).

    The implementation uses virtual time: ``_virtual`` is the service (seconds) that a job present from the beginning
    would have had. A job ends when ``_virtual`` reaches the mark of the job.
    """

    def __init__(self, profile: Machine, env: Environment) -> None:
        super().__init__(profile, env)
        self._virtual = 0.0
        self._updated = 0.0
        self._marks: list[tuple[float, int, Job]] = []
        self._serial = 0
        self._generation = 0

    def _rate(self) -> float:
        return self.speed * min(1.0, self.cores / self.backlog) if self.backlog else 0.0

    def _advance(self) -> None:
        now = self._env._now
        elapsed = now - self._updated
        self._virtual += elapsed * self._rate()
        self.busy += elapsed * min(self.backlog, self.cores)
        self._updated = now

    def _await_next(self) -> None:
        """Schedule a wake-up for the end of the job with the lowest mark, computed from the present load."""
        self._generation += 1
        marks = self._marks
        while marks and marks[0][2].cancelled:
            heappop(marks)
        if marks:
            left = max(0.0, marks[0][0] - self._virtual)
            self._env.call_after(left / self._rate(), self._wake, self._generation)

    def submit(self, job: Job) -> None:
        self._advance()
        self._enter()
        job.running = True
        self._serial += 1
        heappush(self._marks, (self._virtual + job.seconds, self._serial, job))
        self._await_next()

    def _wake(self, generation: int) -> None:
        if generation != self._generation:
            return
        self._advance()
        mark, _, job = heappop(self._marks)
        self._virtual = max(self._virtual, mark)  # against rounding errors: it has reached the mark
        job.running = False
        self.backlog -= 1
        self.served += 1
        self._await_next()
        job.function(job.argument)

    def cancel(self, job: Job) -> bool:
        if job.cancelled or not job.running:
            return False
        self._advance()
        job.cancelled = True
        job.running = False
        self.backlog -= 1
        self._await_next()
        return True

    def clear(self) -> None:
        self._advance()
        for _, _, job in self._marks:
            job.running = False
            job.cancelled = True
        self._marks.clear()
        self.backlog = 0
        self._generation += 1

    def _jobs(self) -> list[Job]:
        return [job for _, _, job in self._marks]

    def busy_until(self, now: float) -> float:
        return self.busy + (now - self._updated) * min(self.backlog, self.cores)

    def set_speed(self, speed: float) -> None:
        self._advance()
        super().set_speed(speed)
        self._await_next()


def make_cpu(profile: Machine, env: Environment) -> Cpu:
    """The cores of a machine, with its discipline."""
    return SharedCpu(profile, env) if profile.discipline == "processor-sharing" else QueueingCpu(profile, env)
