"""Recorded runs: what the faults, the clients and the network of a run did, as a scenario in which nothing is drawn.

A recorded scenario has strikes instead of faults (`sim.faults.strike`), a script instead of a workload
(`sim.workload.script`), and, in its quiet form, the fates of messages instead of a random network
(`sim.network.fates`). Without the quiet form it is the same run under the same seed, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast

from simpy.events import Event

from sim.cluster.disk import SyncedDisk
from sim.faults import World
from sim.faults.checks import WORLD_EVENTS
from sim.faults.strike import VERBS
from sim.faults.when import OnEvent, OnMessage, OnWrite, Trigger, When
from sim.lab.fuzz.strikes import Deed, strikes_of
from sim.lab.fuzz.watch import WatchedCluster, WatchedNetwork
from sim.lab.simulation import Simulation
from sim.network.detention import Detention
from sim.workload.script import Script, ScriptedCall

if TYPE_CHECKING:
    from sim.cluster import NodeHost
    from sim.lab.scenario import Scenario
    from sim.protocols.client import Outcome

__all__ = ["RecordedSimulation"]

_NEAR_EVENT, _NEAR_MESSAGE = 0.5, 0.05
"""Seconds after an event, or after a message or a write, within which a fault may have to do with it."""


class _Witness:
    """The world of a recorded run: notes each deed of a fault, and stays within the fault model of the system."""

    def __init__(self, simulation: RecordedSimulation) -> None:
        self._simulation = simulation
        for verb in VERBS:
            setattr(self, verb, self._noting(verb, getattr(simulation, verb)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._simulation, name)

    def reached(self, trigger: Trigger) -> Event:
        """See `World.reached`. What a fault does at that instant is recorded as a reaction."""
        event = self._simulation.reached(trigger)
        if event.callbacks is None:  # it was reached before: the fault goes on at once
            self._simulation.note_reached(trigger)
        else:
            event.callbacks.append(lambda _: self._simulation.note_reached(trigger))
        return event

    def _noting(self, verb: str, act: Callable[..., None]) -> Callable[..., None]:
        simulation = self._simulation

        @wraps(act)
        def noted(*on: Any, **options: Any) -> None:
            crashes = verb == "crash" or (verb == "fail_disk" and on[1])
            if not crashes or simulation.may_crash(on[0]):
                simulation.note(verb, on, options)
                act(*on, **options)

        return noted


class RecordedSimulation(Simulation):
    """A simulation that keeps what is needed to repeat it without a draw of the nemesis or of clients.

    A strike never takes down more members than the system allows (`System.max_down`): so a schedule that was shrunk or
    mutated stays within the fault model. With ``messages`` it also keeps what became of each message, and the triggers
    that were reached shortly before each deed.
    """

    cluster_class = WatchedCluster

    def __init__(self, scenario: Scenario, seed: int = 0, *, messages: bool = False) -> None:
        self.deeds: list[Deed] = []
        self.issued: list[Outcome] = []
        """The operations that clients issued during the storm, in the order in which they ended."""
        self.calmed: float | None = None
        self.sent_in_storm: int | None = None
        """How many copies of messages were sent before all faults ended; None: they have not ended."""
        self._keeps = messages
        self._expected: dict[float, When] = {}  # when faults act that wait for a trigger -> the trigger
        self._counts: dict[Any, int] = {}  # of messages on a link, of writes of a node
        self._latest: dict[
            str, dict[str, tuple[float, When]]
        ] = {}  # node -> the last message, the last write
        self.syncs: list[tuple[float, str, float]] = []
        """(begin, node, seconds) of each sync of a disk in the storm, if messages are kept."""
        super().__init__(scenario, seed)

    def _boot(self) -> None:
        if self._keeps:  # all is counted from the beginning
            for name, host in self.cluster.hosts.items():
                if isinstance(host.disk, SyncedDisk):
                    host.disk.hear_sync = partial(self._on_sync, name)
                if name in self._members:
                    host.disk.tell(partial(self._on_write, name))
            if isinstance(self.cluster.network, WatchedNetwork):
                self.cluster.network.sent = []
            self.cluster.listen(on_send=self._on_send)
        super()._boot()

    def _as_world(self) -> World:
        return cast(World, _Witness(self))

    def may_crash(self, name: str) -> bool:
        """Whether a member may crash now, within the fault model of the system."""
        most = None if name not in self.replicas else self.system.max_down
        others = [other for other in self.replicas if other != name]
        return most is None or sum(not self.is_well(other) for other in others) < most

    def calm(self) -> None:
        self.calmed = self.now
        sent = getattr(self.cluster.network, "sent", None)
        self.sent_in_storm = 0 if sent is None else len(sent)
        super().calm()

    # What is kept

    def note(self, verb: str, on: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        """Keep a deed of a fault."""
        frozen = on[0].said if isinstance(on[0], Detention) else tuple(map(_frozen, on))
        deed = Deed(self.now, verb, frozen, dict(options), reaction=self._expected.get(self.now))
        if self._keeps:
            deed = replace(deed, triggers=self._triggers_near(deed.names))
        self.deeds.append(deed)
        cast(WatchedCluster, self.cluster).struck(verb, deed.names)

    def note_reached(self, trigger: Trigger) -> None:
        """Keep the trigger of a fault that is reached now: what the fault does after the delay is a reaction."""
        for fault in self.scenario.faults:
            when = getattr(fault, "at", None)
            if isinstance(when, Trigger) and when.condition == trigger:
                self._expected[self.now + when.delay] = cast(When, when)

    def _on_send(self, src: str, dst: str, message: Any) -> None:
        if src != dst:
            kind = type(message).__name__
            nth = self._counts[src, dst, kind] = self._counts.get((src, dst, kind), 0) + 1
            sent = self.now, OnMessage(kind, nth=nth, src=src, dst=dst)
            self._latest.setdefault(src, {})["message"] = self._latest.setdefault(dst, {})["message"] = sent

    def _on_write(self, node: str) -> None:
        nth = self._counts[node] = self._counts.get(node, 0) + 1
        self._latest.setdefault(node, {})["write"] = self.now, OnWrite(nth=nth, node=node)

    def _on_sync(self, node: str, seconds: float) -> None:
        if self.calmed is None:
            self.syncs.append((self.now, node, seconds))

    def _triggers_near(self, names: tuple[str, ...]) -> tuple[When, ...]:
        """What happened last before a deed on these nodes, as triggers with a delay until now; the latest first.

        The last event of a member, the last message from or to one of the nodes, the last write of one of them.
        """
        found: list[tuple[float, When]] = []
        rows = self.recorder.events
        for time, node, event, _ in reversed(rows):
            if self.now - time > _NEAR_EVENT:
                break
            if node in self._members and event not in WORLD_EVENTS:
                nth = sum(row[1] == node and row[2] == event for row in rows)
                found.append((time, OnEvent(event, nth=nth, node=node)))
                break
        latest = [last for name in names for last in self._latest.get(name, {}).values()]
        found += [(time, trigger) for time, trigger in latest if self.now - time <= _NEAR_MESSAGE]
        found.sort(key=lambda one: -one[0])
        return tuple(
            replace(trigger, delay=self.now - time) for time, trigger in found if isinstance(trigger, Trigger)
        )

    def _report_row(self, outcome: Outcome, host: NodeHost) -> None:
        super()._report_row(outcome, host)
        if self.calmed is None or outcome.called < self.calmed:
            self.issued.append(outcome)

    # What it makes

    def recorded(self) -> Scenario:
        """The scenario of this run without a draw of the nemesis or of the clients."""
        workload = self.scenario.workload
        of = workload.of if isinstance(workload, Script) else workload
        clients = workload.clients if isinstance(workload, Script) else None
        given = {(c.client, c.at): c.nth for c in getattr(workload, "calls", ())}
        calls: list[ScriptedCall] = []
        counts: dict[str, int] = {}
        for outcome in sorted(self.issued, key=lambda one: (one.called, one.session)):
            client, at, operation = outcome.client, outcome.called, outcome.operation
            counts[client] = counts.get(client, 0) + 1
            nth = given.get((client, at), counts[client])
            what = (operation.kind, operation.key, operation.value, operation.size)
            calls.append(ScriptedCall(client, at, *what, nth=nth))
        return replace(
            self.scenario,
            faults=strikes_of(self.deeds, self.scenario.duration),
            workload=Script(of=of, calls=tuple(calls), clients=clients),
        )


def _frozen(argument: Any) -> Any:
    """An argument of a verb, with tuples for lists."""
    return tuple(map(tuple, argument)) if isinstance(argument, list) else argument
