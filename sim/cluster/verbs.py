"""The verbs that run most often, as closures: a host puts these faster forms into the node object.

They do the same as the methods of `sim.cluster.host.NodeHost`, without repeated look-ups. Rare cases (a new timer, a
value that is refused) go to those methods. A crash removes the closures from the node object. ``_verbs.pyx`` beside it
is the compiled build, with the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from simpy.events import NORMAL

from sim.cluster.cores import Job
from sim.cluster.disk import SyncedDisk
from sim.hosting import callback
from sim.kernel.timer import wake
from sim.node import Verbs

if TYPE_CHECKING:
    from sim.cluster.host import NodeHost
    from sim.node import Handlers

__all__ = ["plain_step", "quick_verbs", "send_when_synced"]

Verb = Callable[..., None]


def quick_verbs(host: NodeHost, owner: Handlers) -> dict[str, Verb]:
    """The quick verbs of a node, or of a part of one, by name, without the verbs that its class overrides."""
    verbs = {"set_timer": _set_timer(host, owner), "work": _work(host, owner)}
    verbs["send"] = _send(host) if host.disk.instant else send_when_synced(host)
    for name, verb in verbs.items():
        verb.__qualname__ = f"Verbs.{name}"  # what a user reads who calls it wrongly
    return {name: verb for name, verb in verbs.items() if getattr(type(owner), name) is getattr(Verbs, name)}


def _send(host: NodeHost) -> Verb:
    """`Verbs.send` for an instant disk: no message waits for a sync."""
    routes = host.routes
    known = routes.get

    def send(dst: str, msg: Any, hold: bool = True) -> None:  # positional: quicker to call in CPython
        route = known(dst) or routes[dst]
        route(msg)

    return send


def send_when_synced(host: NodeHost) -> Verb:
    """`Verbs.send` for a disk whose syncs take time; both builds have this one."""
    disk, routes = host.disk, host.routes
    assert isinstance(disk, SyncedDisk)
    known = routes.get

    def send(dst: str, msg: Any, hold: bool = True) -> None:
        if hold and (disk._current or disk._written > disk.synced):  # what `unsynced` asks
            host.send(dst, msg, hold)
        else:
            route = known(dst) or routes[dst]
            route(msg)

    send.__qualname__ = "Verbs.send"
    return send


def _set_timer(host: NodeHost, owner: Handlers) -> Verb:
    """`Verbs.set_timer`: an existing timer gets a new deadline, without being cancelled first."""
    known, env, clocks, address = (
        host.timers,
        host.env,
        host.clocks,
        id(owner),
    )  # id: a look-up, never an order
    push, serial = env.push, env.serial

    def set_timer(name: str, delay: float, key: Any = None) -> None:
        timer = known.get((address, name, key))
        if timer is None or not 0 <= delay < inf:
            host.set_timer(owner, name, delay, key)
            return
        deadline, awaited = env._now + delay / clocks.rate, timer._awaited
        if not deadline < inf or (awaited is not None and deadline < awaited):
            timer.arm_at(deadline)
            return
        timer._deadline = deadline  # from here on: what `Timer.arm_at` would do
        if awaited is None:
            timer._awaited = deadline
            push((deadline, NORMAL, serial(), wake, timer))

    return set_timer


def _work(host: NodeHost, owner: Handlers) -> Verb:
    """`Verbs.work`: the handler of each kind of work is looked up once."""
    jobs, submit, done, address = host.jobs, host.cpu.submit, host.work_done, id(owner)
    handlers: dict[str, Callable[..., Any]] = {}

    def work(name: str, seconds: float, key: Any = None, priority: int = 0) -> None:
        handler = handlers.get(name)
        if handler is None or not 0 <= seconds < inf:
            host.work(owner, name, seconds, key, priority)
            handlers[name] = callback(owner, f"on_{name}_done")
            return
        job_key = (address, name, key)
        job = jobs[job_key] = Job(seconds, done, (job_key, handler, key), priority)
        submit(job)

    return work


def plain_step(host: NodeHost) -> Callable[..., None]:
    """For a node whose writes are durable at once, with checking off: a function that runs one atomic step of the node.

    It takes a handler and a tuple of its arguments.
    """

    def step(handler: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> None:
        try:
            result = handler(*arguments)
            if result is not None:
                host.follow(result)
        except Exception as error:
            host.blame(error)
            raise

    return step


# The arguments of the verbs, for the compiled build: Python puts keywords into their places, and refuses wrong calls in
# the same words.


def send(dst: str, msg: Any, hold: bool = True) -> tuple[Any, ...]:
    """Those of `Verbs.send`, in order."""
    return dst, msg


def set_timer(name: str, delay: float, key: Any = None) -> tuple[Any, ...]:
    """Those of `Verbs.set_timer`, in order."""
    return name, delay, key


def work(name: str, seconds: float, key: Any = None, priority: int = 0) -> tuple[Any, ...]:
    """Those of `Verbs.work`, in order."""
    return name, seconds, key, priority


for _verb in (send, set_timer, work):
    _verb.__qualname__ = f"Verbs.{_verb.__name__}"
