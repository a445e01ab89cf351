"""A store on one server, reached by calls: what a retry does depends on the semantics of the call.

With at-most-once calls, repeated until they are answered, every command takes effect once, and the store is
linearizable through lost messages and crashes of its server. With at-least-once calls an increment counts twice.

With ``front=True`` clients call a front server, which calls the store within their call: deadlines and cancellation
pass through. At-most-once does not: it is a guarantee between two nodes, and a front that restarts may repeat calls of
its earlier incarnation (Saltzer, Reed, Clark, "End-to-End Arguments in System Design", 1984). Such a store claims
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.distributions import as_work
from sim.node import Node, durable_log, part
from sim.protocols.client import Client, Pending, Reply, Request
from sim.protocols.communication.rpc import CallId, CallOutcome, Incoming, Rpc
from sim.protocols.system import StateMachineSystem
from sim.settings import Seconds, Whole
from sim.system import Invariant, Member

__all__ = ["RpcClient", "RpcFront", "RpcInvariants", "RpcServer", "RpcStore"]


class _Configured(Node):
    """Takes the settings of its calls from the system."""

    rpc = part(Rpc)

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        system = getattr(self.settings, "system", self.settings)
        self.rpc.timeout = system.timeout_seconds
        self.rpc.semantics = system.semantics
        self.rpc.cancellation = system.cancellation


class RpcServer(_Configured):
    """Holds the data."""

    history = durable_log()  # the commands that have changed it

    def on_start(self) -> None:
        self.table = self.settings.application.fresh()
        for command in self.history:
            self.table.apply(command)
        service = self.settings.service
        self.draw = None if service is None else service.drawer(self.random)

    def on_request(self, src: Incoming, msg: Request) -> None:
        if self.draw is None:
            self.served(src, msg)
        else:
            self.rpc.work_on(src, self.draw())

    def served(self, src: Incoming, msg: Request) -> None:
        """The work is done: carry the command out, and answer."""
        command = msg.command
        result = self.table.apply(command)
        if result.status == "ok" and command.kind not in self.table.reads:
            self.history.append(command)
        reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.rpc.answer(src, reply)


class RpcFront(_Configured):
    """Passes requests on, within the calls in which they came."""

    def on_request(self, src: Incoming, msg: Request) -> None:
        def then(outcome: CallOutcome) -> None:
            if outcome.status == "ok":
                self.rpc.answer(src, outcome.reply)

        system = self.settings
        self.rpc.invoke(
            "server", msg, within=src, deadline=system.deadline, retries=system.retries, then=then
        )


class RpcClient(_Configured, Client):
    """Makes one call of each operation."""

    def attempt(self, pending: Pending) -> None:
        system, timeout = self.settings.system, self.settings.retry.deadline
        limits = [limit for limit in (system.deadline, timeout) if limit is not None]
        pending.target = self.settings.contacts[0]
        self.rpc.invoke(
            pending.target,
            Request(pending.command),
            deadline=min(limits, default=None),
            retries=system.retries,
            then=lambda outcome: self.returned(pending, outcome),
        )

    def returned(self, pending: Pending, outcome: CallOutcome) -> None:
        """Finish an operation. Without an answer it is unknown whether the command was executed."""
        session = pending.command.session
        if self.pending.get(session) is not pending:
            return  # given up
        pending.outcome.attempts = outcome.attempts
        if outcome.status == "ok":
            self.on_reply(pending.target, outcome.reply)
        else:
            self.finish(session, pending.outcome)


@dataclass(frozen=True, kw_only=True)
class RpcStore(StateMachineSystem):
    """A store on one server, reached by calls.

    Parameters
    ----------
    semantics:
        ``"at-most-once"`` or ``"at-least-once"``.
    deadline:
        Seconds that a call has; None: as long as it takes.
    retries:
        How often an attempt is repeated; None: until the deadline.
    timeout:
        Seconds until an attempt is repeated; None: detection time, ten heartbeats.
    cancellation:
        Whether the server is told of calls that are given up, and heeds their deadlines.
    service:
        Seconds of work for a request (a number, or see `sim.distributions.as_work`); None: none.
    front:
        Whether clients call a front server, which calls the store.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"cancellation": (True, False)})

    semantics: Literal["at-most-once", "at-least-once"] = "at-most-once"
    deadline: Seconds | None = None
    retries: Whole | None = None
    timeout: Seconds | None = None
    cancellation: bool = True
    service: Any = None
    front: bool = False

    label_fields: ClassVar[tuple[str, ...]] = ("semantics",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.service is not None:
            object.__setattr__(self, "service", as_work(self.service, "RpcStore: service"))

    @property
    def timeout_seconds(self) -> float:
        """Seconds until an attempt is repeated."""
        return self.detection_timeout if self.timeout is None else self.timeout

    def members(self) -> tuple[Member, ...]:
        server = Member("server", RpcServer)
        return (Member("front", RpcFront), server) if self.front else (server,)

    def contacts(self) -> tuple[str, ...]:
        return ("front",) if self.front else ("server",)

    @property
    def client_class(self) -> type[Node]:
        return RpcClient

    @property
    def consistency(self) -> str | None:
        return "linearizable" if self.semantics == "at-most-once" and not self.front else None

    @property
    def applied(self) -> Literal["tentative"]:
        """A crash undoes what is not on the server's disk yet."""
        return "tentative"

    def invariants(self) -> Iterable[Invariant]:
        return (RpcInvariants(),) if self.semantics == "at-most-once" else ()


@dataclass
class RpcInvariants(Invariant):
    """At most once: no callee answers a call with two executions, unless a crash undid the first one.

    And it does not answer a call that it has abandoned.
    """

    answers: dict[str, dict[CallId, Any]] = field(default_factory=dict)  # callee -> what it has answered
    abandoned: dict[str, dict[CallId, None]] = field(default_factory=dict)
    disks: dict[str, Any] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        self.disks[node.name] = node.host.disk

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "answered":
            call, reply = detail["call"], detail["reply"]
            if call in self.abandoned.get(node, {}):
                self.violated(
                    node,
                    f"{node} has abandoned {call}",
                    f"it answers {reply!r}",
                    invariant="abandoned is abandoned",
                )
            known = self.answers.setdefault(node, {})
            if call in known:
                self.violated(
                    node,
                    f"{node} has answered {call} by {known[call]!r}",
                    f"now {reply!r}",
                    invariant="at most once",
                )
            known[call] = reply
        elif event == "abandoned":
            self.abandoned.setdefault(node, {})[detail["call"]] = None
        elif event == "restart":
            self.forget_what_was_lost(node)

    def forget_what_was_lost(self, node: str) -> None:
        """After a crash: remove answers to open calls that are not on the callee's disk."""
        self.abandoned.pop(node, None)
        if node in self.disks:
            kept = dict(self.disks[node].read("rpc.answered", {}))
            settled = dict(self.disks[node].read("rpc.settled", {}))
            known = self.answers.get(node, {})
            for call in [c for c in known if c not in kept and c[1:] > settled.get(c[0], (-1, 0))]:
                del known[call]
