"""Simulations that somebody drives by hand: steps, holds and releases, cuts, crashes, restarts; and odd times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sim import Scenario
from sim.cluster import Cluster, Disk, Machine
from sim.distributions import Constant
from sim.distributions.base import Distribution
from sim.kernel import Environment
from sim.lab import Simulation
from sim.network import lan
from sim.network.link import Disturbance
from sim.node import Node, message
from sim.protocols import MultiPaxos, Raft
from sim.system import Member, System
from sim.workload import ClosedLoop
from tests.engine.scenarios import Told

__all__ = ["tell_by_hand"]

SYSTEMS: tuple[System, ...] = (Raft(nodes=3), MultiPaxos(nodes=3))
MACHINES = (Machine(), Machine(per_message=1e-4, cores=2, disk=Disk(fsync=0.001)))


def tell_by_hand() -> Iterator[Told]:
    """Each way to drive a simulation, on each machine, bare and traced; then times of all types."""
    for way in WAYS:
        for number, machine in enumerate(MACHINES):
            for trace in (False, True):
                simulation = Scenario(
                    system=SYSTEMS[number],
                    network=lan(Constant(0.002), loss=0.02),
                    workload=ClosedLoop(clients=3, reads=0.5),
                    machines=machine,
                    duration=0.4,
                    trace=trace,
                ).start(number)
                seen = way(simulation)
                simulation.run()
                simulation.finish()
                yield {
                    "name": f"{way.__name__.strip('_')} {number} {trace}",
                    "seen": repr(seen),
                    "digest": simulation.recorder.digest(),
                    "events": simulation.env.scheduled,
                }
    for kind in KINDS:
        yield {"name": f"times: {kind.__name__}", "seen": _with_times(kind)}
    for latency in (OfNumpy(), Constant(0.25)):
        yield {"name": f"NumPy's times, latency {latency}", "seen": _with_times_of_numpy(latency)}


def _look(env: Environment) -> list[Any]:
    """What an environment shows of its list: the present, the next time, and all entries without what they do."""
    return [env.now, env.peek(), env.scheduled, sorted((*entry[:3], len(entry)) for entry in env._queue)]


def _step(simulation: Simulation) -> list[Any]:
    seen = []
    while simulation.now < 0.3:
        assert simulation.step()
        if simulation.env.scheduled % 50 == 0:
            seen.append(_look(simulation.env))
    return seen


def _step_and_run(simulation: Simulation) -> list[Any]:
    seen = []
    for until in (0.05, 0.1, 0.2):
        simulation.run(until)
        for _ in range(7):
            simulation.env.step()
            seen.append(_look(simulation.env)[:3])
    return seen


def _wrap_step(simulation: Simulation) -> list[Any]:
    seen: list[Any] = []
    env = simulation.env
    step = env.step

    def counted() -> None:
        seen.append(env.peek())
        step()

    env.step = counted  # type: ignore[method-assign]
    simulation.run(0.2)
    del env.step
    return [len(seen), seen[::20], seen == sorted(seen)]


def _hold_and_release(simulation: Simulation) -> list[Any]:
    simulation.run(0.1)
    simulation.hold(lambda src, dst, msg: dst == "n1")
    simulation.run(0.2)
    seen = [str(held) for held in simulation.held]
    released = simulation.release(lambda held: held.src == "n0", stop=False)
    simulation.run(0.25)
    return [*seen, released, simulation.release(), _look(simulation.env)]


def _rewire(simulation: Simulation) -> list[Any]:
    pairs = [("n0", "n1"), ("n1", "n0")]
    slow = Disturbance(loss=0.3, slowdown=3.0)
    simulation.run(0.05)
    simulation.cut(pairs)
    simulation.run(0.1)
    simulation.heal(pairs)
    simulation.disturb(pairs, slow)
    simulation.run(0.2)
    simulation.relieve(pairs, slow)
    simulation.cluster.network.rewire()
    return _look(simulation.env)


def _crash(simulation: Simulation) -> list[Any]:
    seen = []
    for number, until in enumerate((0.05, 0.1, 0.15, 0.2)):
        simulation.run(until)
        name = f"n{number % 3}"
        simulation.crash(name, power=number == 2)
        simulation.step()
        seen.append(_look(simulation.env))
        simulation.run(until + 0.02)
        simulation.restart(name)
    return seen


def _pause(simulation: Simulation) -> list[Any]:
    simulation.run(0.05)
    simulation.pause("n0")
    simulation.set_speed("n1", 0.5)
    simulation.run(0.15)
    simulation.resume("n0")
    simulation.set_clock("n2", offset=3.0, drift=0.1)
    simulation.run(0.2)
    simulation.set_speed("n1", 1.0)
    return _look(simulation.env)


WAYS: tuple[Callable[[Simulation], list[Any]], ...] = (
    _step, _step_and_run, _wrap_step, _hold_and_release, _rewire, _crash, _pause,
)  # fmt: skip


# --- Times of all types -----------------------------------------------------------------------------------


def whole(number: int) -> Any:
    return number


def huge(number: int) -> Any:
    return 2**53 + number


def larger_than_any_float(number: int) -> Any:
    return 10**400 + number


def fraction(number: int) -> Any:
    return Fraction(number, 3)


def of_numpy(number: int) -> Any:
    return np.float64(number) / 3


def whole_of_numpy(number: int) -> Any:
    return np.int64(number)


def mixed(number: int) -> Any:
    return (number, float(number), Fraction(number), np.float64(number), number + 0.5, bool(number))[
        number % 6
    ]


KINDS: tuple[Callable[[int], Any], ...] = (
    whole, huge, larger_than_any_float, fraction, of_numpy, whole_of_numpy, mixed,
)  # fmt: skip


def _with_times(kind: Callable[[int], Any]) -> str:
    """Types and order of times: of calls, of timeouts, of a run until a time."""
    env = Environment(kind(0))
    seen: list[Any] = [env.now, env.peek()]
    for number in (5, 3, 9, 3, 1, 7, 12, 1):
        env.call_at(kind(number), lambda n: seen.append((n, env.now)), number)
        env.call_after(number, lambda n: seen.append((n, env.now, "after")), number)
        env.timeout(number).callbacks.append(lambda _: seen.append((env.now, env.peek())))
    seen.append(env._queue and sorted(entry[:3] for entry in env._queue))
    env.run(until=int(kind(6)))
    seen.append(env.now)
    # Among integers above 2**53, NumPy's floats have no order: NumPy calls two of those equal to the same float.
    of_numpy = () if kind(0) >= 2**53 else (np.float64(0), np.float64(2), np.int64(1))
    for delay in (Fraction(0), Fraction(2, 7), 2, *of_numpy):
        env.call_after(delay, lambda delay: seen.append((delay, env.now)), delay)
    env.step()
    seen.append(env.now)
    env.run()
    return repr([*seen, env.now, env.peek(), env.scheduled])


@message
class Ping:
    left: int


@dataclass(frozen=True)
class OfNumpy(Distribution):
    """A latency of a user, whose draws are NumPy's numbers."""

    def sampler(self, generator: np.random.Generator) -> Callable[[], float]:
        return lambda: np.float64(0.25)

    def draw(self, random: Any) -> float:
        return np.float64(0.25)

    def mean(self) -> float:
        return 0.25

    def quantile(self, p: Any) -> Any:
        return p * 0 + 0.25


class Player(Node):
    """Sends a ping to and fro, and notes the types of the times."""

    seen: tuple[str, ...] = ()

    def on_start(self) -> None:
        if self.name == "n0":
            self.send("n1", Ping(3))

    def on_ping(self, src: str, msg: Ping) -> None:
        self.note()
        self.set_timer("alarm", np.float64(0.5))
        self.set_timer("alarm", 1)
        self.work("job", np.float64(0.125))
        if msg.left:
            self.send(src, Ping(msg.left - 1))

    def on_alarm_timeout(self, key: Any = None) -> None:
        self.note()
        self.send("n0", Ping(0))
        self.set_timer("alarm", np.float64(0.5), "other")

    def on_job_done(self, key: Any = None) -> None:
        self.note()

    def note(self) -> None:
        self.seen = (*self.seen, repr(self.now), repr(self.host.env.now))


def _with_times_of_numpy(latency: Distribution) -> str:
    cluster = Cluster(lan(latency), 1)
    for name in ("n0", "n1"):
        cluster.add(Member(name, Player), place=cluster.network.topology.regions[0])
    cluster.boot()
    cluster.env.run(until=4)
    return repr([[node.seen for node in cluster.nodes.values()], cluster.env.now, cluster.env.scheduled])
