"""A live simulation: a scenario under a seed, to run, stop, inspect and disturb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from simpy.core import EmptySchedule
from simpy.events import Event

from sim.arguments import checked_but, checked_methods
from sim.cluster import Cluster, NodeHost
from sim.faults import Trigger, World, unleash
from sim.faults.checks import WORDS
from sim.invariants import Agreement
from sim.lab.acknowledged import Acknowledged
from sim.lab.application_model import LOOKS, application_of
from sim.lab.bars import TimeBar
from sim.lab.live import Journal, Session, keeps_journal
from sim.lab.triggers import Triggers
from sim.network.link import Held
from sim.node import Node
from sim.protocols.admin import Admin, AdminSettings
from sim.protocols.client import Client, ClientSettings, Outcome
from sim.protocols.kv import READS
from sim.protocols.watching import watching
from sim.recorder import Recorder
from sim.system import Member, System, Violation, check_administration

if TYPE_CHECKING:
    from sim.analysis.checks import Verdict
    from sim.lab.scenario import Scenario

__all__ = ["Simulation"]

_ADMIN = "admin"


def _check_function(owner: str, arguments: str, given: Any) -> None:
    if not callable(given):
        raise ValueError(f"{owner}: a function of {arguments} is needed that says yes or no, not {given!r}")


@keeps_journal
@checked_methods
class Simulation(Session):
    """A scenario under a seed. `Scenario.start` makes one; `Scenario.run` runs one to its end.

    State is an attribute (``leader``, ``members``, ``held``); everything that acts, or takes an argument, is a method.

    Attributes
    ----------
    cluster: hosts and network. resolved: the scenario's derived values; system: the system with its times filled in.
    nodes: the live nodes by name. now: simulated seconds. recorder: the rows so far.
    """

    cluster_class: type[Cluster] = Cluster

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed
        self._build()

    def _build(self) -> None:
        """Make cluster, clients and faults, from scenario and seed; nothing that happened since is left."""
        scenario, seed = self.scenario, self.seed
        self._journal = Journal()
        self._by_hand = []
        self.resolved = scenario.resolved
        self.system: System = self.resolved.system
        self.cluster = self.cluster_class(
            scenario.network, seed, tracing=scenario.trace, checking=bool(scenario.check)
        )
        self.env = self.cluster.env
        self.streams = self.cluster.streams
        self.acknowledged = Acknowledged()
        """Writes that a client saw succeed, by (session, sequence)."""
        application = application_of(scenario.system)
        self.reads = READS if application is None else application.reads
        """The kinds of operation that change nothing."""
        self.looks = self.reads | LOOKS
        """The kinds of which ``value`` in a frame is what came back."""
        self._members = {member.name: member for member in self.resolved.members}
        self.ended: float | None = None
        """Simulated seconds at which `finish` was called; None before."""
        self._calm = False
        self.in_force: dict[tuple[str, str], list[Any]] = {}
        """What faults do to nodes now, by state and node: see `sim.faults.lasting`."""
        self._gone: list[str] = []  # members that are down for good
        self._broken_at_boot: Violation | None = None
        self.agreement: Agreement | None = None
        """With checking on: what the replicas have applied."""
        self._add_members()
        self._add_clients()
        self._watch()
        if self.cluster.tracer is not None:
            self.cluster.tracer.listeners.append(self._note_calls)
        self._triggers = Triggers(self.cluster, (t for fault in scenario.faults for t in fault.triggers()))
        with self._journal.quiet("start"):
            self._boot()
            unleash(self._as_world(), scenario.faults, self.streams)
        if scenario.sample_every is not None:
            self.env.process(self._sampling(scenario.sample_every))

    # Construction

    def _as_world(self) -> World:
        """The world on which the faults act."""
        return self

    def _add_members(self) -> None:
        for name, member in self._members.items():
            settings = self.system if member.settings is None else member.settings
            place, machine = self.resolved.places[name], self.resolved.machines[name]
            self.cluster.add(member, place=place, profile=machine, settings=settings)

    def _add_clients(self) -> None:
        network = self.scenario.network
        at_place: dict[str, int] = {}  # clients made so far
        for plan in self.scenario.load.plan(network.regions, self.streams):
            beside = plan.where if plan.where in self._members else None
            place = self.cluster.hosts[plan.where].place if beside else network.resolve(plan.where)
            member = Member(plan.name, self.system.client_class, group=plan.name, role="client")
            if hasattr(plan.driver, "source"):  # a user's driver may draw its operations in another way
                plan.driver.source.application = application_of(self.system)
            turn = at_place[plan.where] = at_place.get(plan.where, -1) + 1
            settings = ClientSettings(
                system=self.system,
                contacts=self._nearest(place, beside, turn),
                retry=self.resolved.retry,
                driver=plan.driver,
                report=self._report,
                new_session=self.recorder.new_process,
            )
            self.cluster.add(member, place=place, settings=settings, beside=beside)

    def _nearest(self, place: str, beside: str | None, turn: int) -> tuple[str, ...]:
        """The members that a client at a place may contact, nearest first.

        Members at the same distance are rotated by ``turn``, the number of the client among those at the place.
        """

        def distance(name: str) -> float:
            if name == beside:
                return -1.0
            return self.scenario.network.median_rtt(place, self.cluster.hosts[name].place)

        distances = {name: distance(name) for name in self.resolved.contacts}
        ordered = sorted(distances, key=lambda name: distances[name])
        nearest = [name for name in ordered if distances[name] == distances[ordered[0]]]
        first = turn % len(nearest) if nearest else 0
        return (*nearest[first:], *nearest[:first], *ordered[len(nearest) :])

    def _watch(self) -> None:
        if not self.scenario.check:
            return
        groups = {name: member.group for name, member in self._members.items()}
        self.agreement = Agreement(groups=groups, applied_is=self.system.applied)
        asked = list(self.system.invariants())
        if self.scenario.check == "free":
            asked = [free for invariant in asked if (free := invariant.only_free()) is not None]
        self.cluster.watch([*asked, self.agreement])

    def _boot(self) -> None:
        try:
            with watching(self.agreement):
                self.cluster.boot()
        except Violation as broken:  # a result, like one of a later step: the first step to be made raises it
            self._broken_at_boot = broken
        except Exception as error:
            raise self._explain(error) from None

    def _sampling(self, period: float) -> Any:
        while True:
            for name, host in self.cluster.hosts.items():
                gauges = getattr(host.node, "gauges", None)
                if gauges is not None:
                    for gauge, value in gauges().items():
                        self.cluster.sample(name, gauge, value)
                if host.member.role != "client":
                    self.cluster.sample(name, "backlog", host.backlog)
            yield self.env.timeout(period)

    # Running

    @property
    def now(self) -> float:
        """The simulated time in seconds."""
        return self.env._now

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The live members and clients, by name."""
        return self.cluster.nodes

    @property
    def members(self) -> Mapping[str, Node]:
        """The live members of the system, by name."""
        hosts = self.cluster.hosts
        return {name: node for name in self._members if (node := hosts[name].node) is not None}

    @property
    def recorder(self) -> Recorder:
        """The rows recorded so far."""
        return self.cluster.recorder

    def run(self, until: float | None = None) -> None:
        """Run until a simulated time (seconds); default: the scenario's duration.

        Raises `SafetyViolation` when an invariant breaks (with ``check=True``). An exception in a handler gets a note
        with seed, time and node.
        """
        end = self.scenario.duration if until is None else until
        if end <= self.now:
            return
        self._journal.move("run", end, lambda: self._run(end), lambda: self.now)

    def _run(self, end: float) -> None:
        try:
            self._raise_from_boot()
            with TimeBar(lambda: self.now, end), watching(self.agreement):
                self.env.run(until=end)
        except Exception as error:
            raise self._explain(error) from error.__cause__

    def step(self) -> bool:
        """Process one event; False when no event is left."""
        return self._journal.move("step", 1, self._step, lambda: self.now)

    def _step(self) -> bool:
        try:
            self._raise_from_boot()
            with watching(self.agreement):
                self.env.step()
        except EmptySchedule:
            return False
        except Exception as error:
            raise self._explain(error) from error.__cause__
        return True

    def _raise_from_boot(self) -> None:
        broken, self._broken_at_boot = self._broken_at_boot, None
        if broken is not None:
            raise broken

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, Violation):
            error.seed, error.scenario = self.seed, self.scenario
        else:
            error.add_note(f"in a run with seed {self.seed} at {self.now:.6f} s of {self.system.label}")
        return error

    def finish(self) -> None:
        """End recording: unanswered operations, counters of links and nodes, and invariants of the whole state."""
        if self.ended is not None:
            return
        self.ended = self.now
        for host in self.cluster.hosts.values():
            if isinstance(host.node, Client):
                for pending in host.node.pending.values():
                    self._report_row(pending.outcome, host)
            elif isinstance(host.node, Admin):
                host.node.close()
        self.cluster.finish()
        for invariant in self.cluster.invariants:
            try:
                invariant.at_end(self.members)
            except Violation as error:
                raise self._explain(error) from None

    # After the run: convergence

    def calm(self) -> None:
        """End all faults: the network is whole and loses nothing, all members are up, clients issue nothing new."""
        self._calm = True
        self.cluster.network.calm()
        for name in self.replicas:
            self.set_speed(name, 1.0)
            self.cluster.hosts[name].disk.calm()
            # Setting a wall clock right is a jump. If it must not jump, only its rate is set right.
            self.set_clock(name, 0.0 if self.system.wall_clock_may_jump else None, 0.0)
        for name in [
            *self.replicas,
            *(name for name, host in self.cluster.hosts.items() if host.member.role == "client"),
        ]:
            self.restart(name)
            self.resume(name)
        self.stop_clients()

    def await_rest(self, limit: float) -> None:
        """Run until no client waits and all members have settled, for at most ``limit`` seconds."""
        from sim.lab.progress import run_until, waiting

        run_until(self, limit, lambda: not waiting(self))

    def demand_survival(self) -> None:
        """Raise SafetyViolation if a write that a client saw succeed is applied by no live replica.

        Asked after all faults have ended; `System.keeps` says which writes survive.
        """
        if self.agreement is not None:
            try:
                self.agreement.demand_survival(self.members, self.system.keeps)
            except Violation as error:
                raise self._explain(error) from None

    @property
    def settling_time(self) -> float:
        """Seconds without writes and faults after which all replicas must agree: see `System.converges_within`.

        Four detection times are added for messages in flight.
        """
        detection = self.system.detection_timeout
        return (self.system.converges_within or 0.0) + 4 * detection

    def settle(self) -> Verdict | None:
        """The verdict whether all replicas agree without writes and faults; None if the system does not promise it.

        Ends all faults, lets clients finish their open operations, waits for `settling_time`, and compares the
        replicas. If `finish` was called before, the rows of this time are not kept.
        """
        if self.system.converges_within is None:
            return None
        from sim.analysis.checks import converged
        from sim.lab.progress import progress_bound

        rows, acknowledged = self.recorder.lengths(), self.acknowledged.copy()
        try:
            self.calm()
            self.await_rest(progress_bound(self.resolved))
            self.run(until=self.now + self.settling_time)
        finally:
            if self.ended is not None:
                self.recorder.cut_back(rows)
                self.acknowledged = acknowledged
        values = self.system.replica_values(self.members)
        return None if values is None else converged(values)

    # Outcomes of operations

    def _report(self, outcome: Outcome) -> None:
        self._report_row(outcome, self.cluster.hosts[outcome.client])
        if outcome.status == "ok":
            if outcome.operation.kind not in self.reads:
                written = outcome.operation.kind not in self.looks  # else the row has what came back
                self.acknowledged.add(outcome, self.recorder.operations[-1] if written else None)
            for hear in self.cluster.on_acknowledged:
                hear(outcome.client, outcome)

    def _report_row(self, outcome: Outcome, host: NodeHost) -> None:
        operation = outcome.operation
        answered = outcome.returned is not None and outcome.status != "info"
        is_read = operation.kind in self.looks
        value = outcome.value if is_read and outcome.status == "ok" else operation.value
        if is_read and outcome.status != "ok":
            value = None
        # An unanswered operation took at least as long as its client has waited; the measures use this time.
        until = outcome.returned if answered and outcome.returned is not None else self.env.now
        self.recorder.operations.append(
            (
                *(outcome.session, operation.kind, operation.key, value, outcome.result, outcome.called),
                outcome.returned if answered else float("nan"),
                outcome.status,
                until - outcome.called,
                *(outcome.node, host.place, outcome.attempts, outcome.client),
                *self._steps_of(outcome, answered),
            )
        )

    def _steps_of(self, outcome: Outcome, answered: bool) -> tuple[int, ...]:
        """With a full trace: its number in the session, and the steps in which it was issued and answered."""
        tracer = self.cluster.tracer
        if tracer is None:
            return ()
        call = tracer.calls.get((outcome.session, outcome.sequence), tracer.step)
        return outcome.sequence, call, tracer.step if answered else -1

    def _note_calls(self, node: Node, step: int) -> None:
        """With a full trace: a client may have issued operations in this step."""
        if isinstance(node, Client) and self.cluster.tracer is not None:
            for session, pending in getattr(node, "pending", {}).items():  # not yet, while its parts boot
                self.cluster.tracer.calls.setdefault((session, pending.command.sequence), step)

    @property
    def acknowledged_lost(self) -> int | None:
        """The number of acknowledged writes that are no longer in the state; None if the system does not count them."""
        return self.system.acknowledged_lost(self.acknowledged, self.members)

    # Faults: the interface for the nemesis and for users of a live session

    @property
    def gone(self) -> tuple[str, ...]:
        """The members that crashed for good (`sim.faults.Crash`): nothing restarts them."""
        return tuple(self._gone)

    @property
    def replicas(self) -> tuple[str, ...]:
        """The members that have been started, clients excluded."""
        return tuple(name for name in self._members if self.cluster.hosts[name].incarnation >= 0)

    def is_up(self, name: str) -> bool:
        """Whether a member is alive."""
        return self.cluster.hosts[name].is_up

    def is_well(self, name: str) -> bool:
        """Whether a member is alive and, if it has to recover from a restart, has done so."""
        node = self.cluster.hosts[name].node
        return node is not None and (name not in self._members or self.system.has_recovered(node))

    @property
    def leader(self) -> str | None:
        """The name of the member that leads now; None while there is none."""
        found = self.find(self.system.leader_roles[0])
        return found[0] if found else None

    def find(self, target: str) -> tuple[str, ...]:
        """The members that a name, a machine, a region or a role means at this moment."""
        if target in self.cluster.hosts:
            return (target,)
        if target in self.resolved.residents:
            return self.resolved.residents[target]
        if target in self.system.leader_roles:
            return self._holder(target)
        place = self.scenario.network.resolve(target)
        return tuple(name for name in self._members if self.cluster.hosts[name].place == place)

    @property
    def next_leader(self) -> str | None:
        """The member that leads next, where the system fixes that."""
        return self.system.next_leader(self.members)

    def crash(self, name: str, *, power: bool = False, for_good: bool = False) -> None:
        """Crash a member or a client. ``power``: its machine loses power, so that only synced writes survive.

        ``for_good``: see `Disturbable.crash`.
        """
        node = self.cluster.hosts[name].node
        if isinstance(node, Client) and not self._calm:
            node.abandon()
        super().crash(name, power=power, for_good=for_good)

    def reached(self, trigger: Trigger) -> Event:
        """The event of a trigger of one of the scenario's faults; its value is the name of a node."""
        return self._triggers.event(trigger)

    @property
    def unreached(self) -> tuple[Trigger, ...]:
        """The triggers of faults (without their delays) that were not reached so far."""
        return self._triggers.unreached

    def _holder(self, role: str) -> tuple[str, ...]:
        try:
            holder = self.system.holder(role, self.members)
        except LookupError:
            return self._most_central()
        return (holder,) if holder is not None else ()

    def _most_central(self) -> tuple[str, ...]:
        """In a leaderless system: the live replica that is nearest to most clients."""
        hosts = self.cluster.hosts
        votes: dict[str, int] = {}
        for host in hosts.values():
            if isinstance(host.node, Client):
                nearest = next((name for name in host.settings.contacts if hosts[name].is_up), None)
                if nearest is not None:
                    votes[nearest] = votes.get(nearest, 0) + 1
        return (max(votes, key=lambda name: votes[name]),) if votes else ()

    def everyone(self, region: str | None = None) -> tuple[str, ...]:
        """All nodes, clients included; of one region if given, and none if the name is not a region but a target."""
        if region is None:
            return tuple(self.cluster.hosts)
        if (
            region in self.cluster.hosts
            or region in self.resolved.residents
            or region in self.system.leader_roles
            or region in WORDS
        ):
            return ()
        place = self.scenario.network.resolve(region)
        return tuple(name for name, host in self.cluster.hosts.items() if host.place == place)

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Restart a crashed node; ``wiped``: with an empty disk."""
        with watching(self.agreement):
            super().restart(name, wiped=wiped)

    def administer(self, request: Any) -> None:
        """Let the admin client, which is in the first region, send a request to the system.

        Raises ValueError for a request that the system does not serve.
        """
        check_administration(self.system, request)
        if _ADMIN not in self.cluster.hosts:
            member = Member(_ADMIN, Admin, group=_ADMIN, role="client")
            settings = AdminSettings(cache(self.system.administered_by), self.resolved.client_timeout)
            place = self.scenario.network.regions[0]
            self.cluster.add(member, place=place, settings=settings).boot()
        host = self.cluster.hosts[_ADMIN]
        assert isinstance(host.node, Admin)
        host.step(host.node.ask, (request,))  # a step of its own, so that a full trace has what it changes

    def stop_clients(self) -> None:
        """Clients issue no new operations from now on; open operations continue."""
        for host in self.cluster.hosts.values():
            if isinstance(host.node, Client):
                host.settings.driver.stopped = True

    # Holding messages back, for notebooks

    @checked_but("matches")
    def hold(self, matches: Callable[[str, str, Any], bool]) -> None:
        """Hold each message that is sent from now on, when it arrives, if ``matches(src, dst, message)`` is true.

        Variables that the function reads from outside keep the values that they have now.
        """
        _check_function("hold", "(src, dst, message)", matches)
        self.cluster.network.hold(matches)

    @property
    def held(self) -> tuple[Held, ...]:
        """The held messages, in order of arrival."""
        return self.cluster.network.held

    @checked_but("chosen")
    def release(self, chosen: Callable[[Held], bool] | None = None, *, stop: bool = True) -> int:
        """Deliver held messages (all, or the chosen ones), and stop holding if ``stop``; returns how many."""
        if chosen is not None:
            _check_function("release", "(held message)", chosen)
        return self.cluster.network.release(chosen, stop=stop)
