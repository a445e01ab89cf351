"""Simulated cores: messages and work queue for them. Because of them, throughput saturates.

``_cpu.pyx`` beside it is the compiled build, with the same behaviour. Cores that are shared are in `sim.cluster.cores`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from sim.cluster.profile import Machine
from sim.kernel import Environment

__all__ = ["Cpu", "Job", "QueueingCpu", "drop_jobs_of", "require_speed"]


class Job:
    """A piece of work: ``function(argument)`` runs when it is done."""

    __slots__ = ("argument", "cancelled", "function", "priority", "running", "seconds", "started")

    def __init__(
        self, seconds: float, function: Callable[[Any], object], argument: Any, priority: int = 0
    ) -> None:
        self.seconds = seconds
        self.function = function
        self.argument = argument
        self.priority = priority
        self.cancelled = False
        self.running = False
        self.started = 0.0


class Cpu:
    """Base of all disciplines: counters, and a speed that faults may change."""

    def __init__(self, profile: Machine, env: Environment) -> None:
        self.cores = profile.cores
        self.backlog = 0
        self.backlog_max = 0
        self.served = 0
        self.busy = 0.0  # core-seconds of finished, cancelled and lost work
        self.speed = 1.0  # work per second and core; below 1 while a fault slows the machine down
        self._env = env

    def submit(self, job: Job) -> None:
        """Queue a job."""
        raise NotImplementedError

    def cancel(self, job: Job) -> bool:
        """Cancel a job; False when it is already done or cancelled."""
        raise NotImplementedError

    def clear(self) -> None:
        """Remove all jobs, because the machine crashed."""
        raise NotImplementedError

    def drop(self, owner: object) -> None:
        """Cancel the jobs that call methods of ``owner``: it crashed, but the other members on the machine did not."""
        drop_jobs_of(owner, self)

    def _jobs(self) -> list[Job]:
        """All waiting jobs, then all running jobs."""
        raise NotImplementedError

    def busy_until(self, now: float) -> float:
        """Core-seconds spent up to ``now`` (simulated seconds), running jobs included."""
        raise NotImplementedError

    def set_speed(self, speed: float) -> None:
        """Change the speed of the cores: for jobs that start from now on (queueing), or for all jobs (sharing)."""
        self.speed = require_speed(speed)

    def _enter(self) -> None:
        self.backlog += 1
        if self.backlog > self.backlog_max:
            self.backlog_max = self.backlog


class QueueingCpu(Cpu):
    """Each core serves one job at a time; the other jobs wait, in order of arrival or of priority."""

    def __init__(self, profile: Machine, env: Environment) -> None:
        super().__init__(profile, env)
        self._by_priority = profile.discipline == "priority"
        self._waiting: deque[Job] = deque()
        self._ranked: list[tuple[int, int, Job]] = []
        self._serial = 0
        self._running: list[Job] = []

    def submit(self, job: Job) -> None:
        backlog = self.backlog = self.backlog + 1
        if backlog > self.backlog_max:
            self.backlog_max = backlog
        if len(self._running) < self.cores:
            self._start(job)
        elif self._by_priority:
            self._serial += 1
            heappush(self._ranked, (job.priority, self._serial, job))
        else:
            self._waiting.append(job)

    def _start(self, job: Job) -> None:
        env = self._env
        job.running = True
        job.started = env._now
        self._running.append(job)
        push, serial = env.push, env.serial  # CPython is slower to call them as attributes
        push((env._now + job.seconds / self.speed, 1, serial(), self._finish, job))

    def _finish(self, job: Job) -> None:
        if not job.running:
            return  # it was cancelled, or lost in a crash, while it ran
        self._leave(job)
        self.served += 1
        job.function(job.argument)

    def _leave(self, job: Job) -> None:
        """Free the core of a running job and give it to the next one."""
        job.running = False
        self._running.remove(job)
        self.busy += self._env._now - job.started
        self.backlog -= 1
        waiting = self._ranked if self._by_priority else self._waiting
        while waiting:
            following = heappop(self._ranked)[2] if self._by_priority else self._waiting.popleft()
            if not following.cancelled:
                self._start(following)
                return

    def cancel(self, job: Job) -> bool:
        if job.cancelled:
            return False
        if job.running:
            job.cancelled = True
            self._leave(job)
            return True
        if job in self._waiting or any(ranked[2] is job for ranked in self._ranked):
            job.cancelled = True  # skipped when its turn comes
            self.backlog -= 1
            return True
        return False

    def clear(self) -> None:
        now = self._env._now
        for job in self._running:
            job.running = False
            self.busy += now - job.started
        self._running.clear()
        self._waiting.clear()
        self._ranked.clear()
        self.backlog = 0

    def _jobs(self) -> list[Job]:
        return [*self._waiting, *(ranked[2] for ranked in self._ranked), *self._running]

    def busy_until(self, now: float) -> float:
        return self.busy + sum(now - job.started for job in self._running)


def drop_jobs_of(owner: object, cpu: Cpu) -> None:
    """Cancel the jobs that call methods of ``owner``."""
    for job in cpu._jobs():
        if getattr(job.function, "__self__", None) is owner:
            cpu.cancel(job)


def require_speed(speed: float) -> float:
    """The speed (work per second and core). Raises ValueError unless it is positive."""
    if not speed > 0:
        raise ValueError(f"a core's speed must be positive, not {speed!r}")
    return speed
