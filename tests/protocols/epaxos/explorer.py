"""A random explorer of schedules: replicas on benches, every message and timer in the hands of chance.

A few conflicting commands; leaders that crash half-way, with what they have sent; recoveries by several replicas at
once, of commands that conflict; any order of deliveries, losses, duplicates, timeouts, restarts. This reaches schedules
that a simulation with latencies hardly does. The invariants of `EPaxosSafety` are asked after each handler; in the end
all is calm, and what is pending must be committed and executed.
"""

from __future__ import annotations

import random
from typing import Any

from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.epaxos.messages import COMMITTED
from sim.system import LivenessViolation, Violation
from sim.testing import Bench

__all__ = ["Explorer", "explore"]


class Explorer:
    """One schedule, drawn from a seed. ``node_class`` may replace that of the system, for mutants."""

    def __init__(self, system: Any, seed: int, node_class: Any = None, keys: int = 1) -> None:
        self.random = random.Random(seed)
        self.system = system
        members = system.members()
        names = tuple(member.name for member in members)
        kind = node_class or members[0].node_class
        self.names = names
        self.benches = {
            name: Bench(kind, name, members=names, settings=system, seed=seed, start=False) for name in names
        }
        self.f = (len(names) - 1) // 2
        self.down: list[str] = []
        self.pool: list[tuple[str, str, Any]] = []
        self.invariants, *_ = system.invariants()  # its disks never wait: what is promised of disks holds
        self.weights: dict[str, float] = {}
        self.commands = [
            Command(
                session, 1, self.random.choice(("put", "put", "put", "get")), f"k{session % keys}", session
            )
            for session in range(1, 2 + self.random.choice((2, 3, 4)))
        ]
        for name in names:
            self.benches[name].boot()
            self.invariants.on_step(self.benches[name].node)

    def collect(self, name: str) -> None:
        """A handler of a replica has run: ask the invariants, and put what it has sent into the pool."""
        bench = self.benches[name]
        self.invariants.on_step(bench.node)
        for dst, message in bench.sent:
            self.invariants.on_send(name, dst, message)
            if dst in self.benches:
                self.pool.append((name, dst, message))
        bench.sent.clear()

    def submit(self, name: str, command: Command) -> None:
        """A client asks a replica."""
        self.invariants.on_send("client", name, Request(command))
        self.benches[name].deliver("client", Request(command))
        self.collect(name)

    def deliver(self, index: int, *, keep: bool = False) -> None:
        src, dst, message = self.pool[index]
        if not keep:
            self.pool[index] = self.pool[-1]
            self.pool.pop()
        if dst not in self.down:
            self.benches[dst].deliver(src, message)
            self.collect(dst)

    def step(self) -> None:
        pick = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        up = [name for name in self.names if name not in self.down]
        if pick in {"deliver", "lose", "repeat"} and self.pool:
            index = self.random.randrange(len(self.pool))
            if pick == "lose":
                self.pool[index] = self.pool[-1]
                self.pool.pop()
            else:
                self.deliver(index, keep=pick == "repeat")
        elif pick in {"recover", "fire"}:
            name = self.random.choice(up)
            timers = [t for t in self.benches[name].timers if pick == "fire" or t[0] == "recover"]
            if timers:
                self.benches[name].fire(*self.random.choice(timers))
                self.collect(name)
        elif pick == "crash" and len(self.down) < self.f:
            self.down.append(self.random.choice(up))
        elif pick == "restart" and self.down:
            self.restart(self.random.choice(self.down))
        elif pick == "submit" and self.commands:
            self.submit(self.random.choice(up), self.commands.pop())

    def strike(self) -> None:
        """Some crash at once, leaders first; most of what they have sent or should get is lost."""
        leaders = [name for name in self.names if self.benches[name].node.next_number > 1]
        others = [name for name in self.names if name not in leaders]
        self.random.shuffle(leaders)
        self.random.shuffle(others)
        for name in [*leaders, *others][: self.random.randint(0, self.f - len(self.down))]:
            if name not in self.down:
                self.down.append(name)
        kept = self.random.choice((0.0, 0.0, 0.2))
        self.pool = [
            message
            for message in self.pool
            if (message[0] not in self.down and message[1] not in self.down) or self.random.random() < kept
        ]

    def restart(self, name: str) -> None:
        self.down.remove(name)
        self.benches[name].restart()
        self.collect(name)

    def calm(self) -> None:
        """Some stay down for ever; nothing is lost any more, and timers fire in their order."""
        while self.down and self.random.random() < 0.5:
            self.restart(self.down[0])
        up = [self.benches[name] for name in self.names if name not in self.down]
        for _ in range(400):
            while self.pool:
                self.deliver(0)
            if self.is_done(up):
                return
            due = [(deadline, bench.name, timer) for bench in up for timer, deadline in bench.timers.items()]
            if not due:
                break
            deadline, name, timer = min(due, key=lambda d: (d[0], d[1], str(d[2])))
            for bench in up:
                bench.time = max(bench.time, deadline)
            self.benches[name].fire(*timer)
            self.collect(name)
        what = "what is pending is not committed and executed"
        raise LivenessViolation("progress after healing", 0.0, tuple(b.name for b in up), (what,))

    def is_done(self, up: list[Any]) -> bool:
        """Each has executed what it knows of. (Of what only others know, it hears with the next command there.)"""
        for bench in up:
            node = bench.node
            known = [i for i, r in node.instances.items() if r.command is not None or r.status == COMMITTED]
            if node.waiting or not all(i in node.executed for i in known):
                return False
        return True

    def run(self) -> None:
        """Commands come, their leaders crash, others recover: once or twice, in any proportion; then all is calm."""
        draw = self.random.choice
        for _ in range(draw((1, 1, 2))):
            noise = {"lose": draw((0.0, 0.5)), "repeat": draw((0.0, 0.3)), "crash": draw((0.0, 0.0, 0.2))}
            self.weights = {"submit": draw((0.5, 2.0)), "deliver": 8.0, "fire": draw((0.0, 0.3)), **noise}
            for _ in range(draw((10, 20, 40, 80))):
                self.step()
            self.strike()
            self.weights = {"recover": draw((0.3, 1.0)), "deliver": 8.0, "fire": draw((0.0, 0.3)), **noise}
            self.weights |= {"submit": draw((0.0, 0.2)), "restart": draw((0.0, 0.1))}
            for _ in range(draw((20, 60, 150))):
                self.step()
        self.calm()


def explore(system: Any, seeds: range, node_class: Any = None, keys: int = 1) -> dict[str, int]:
    """Run one schedule a seed; a violation carries its seed. Returns how much was met, to see that it is worth it."""
    met = {"no-ops": 0, "commits": 0, "recoveries": 0, "waits": 0}
    for seed in seeds:
        explorer = Explorer(system, seed, node_class, keys)
        try:
            explorer.run()
        except Violation as violation:
            violation.seed = seed
            raise
        met["commits"] += len(explorer.invariants.chosen)
        met["no-ops"] += sum(outcome[0] == NOOP for outcome, _ in explorer.invariants.chosen.values())
        for bench in explorer.benches.values():
            met["recoveries"] += sum(record.promised.round > 0 for record in bench.node.instances.values())
            met["waits"] += len(getattr(bench.node, "supports", ()))
    return met
