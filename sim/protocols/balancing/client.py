"""Clients of balanced systems: one sends its requests to a balancer, the other balances by itself."""

from __future__ import annotations

from typing import Any

from sim.node import part
from sim.protocols.balancing.dispatcher import Dispatcher
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.news import HealthWatch, LoadNews
from sim.protocols.balancing.pool import Backend
from sim.protocols.balancing.resilient import ResilientDispatcher
from sim.protocols.client import Client, Reply
from sim.protocols.command import Command

__all__ = ["BalancedClient", "BalancingClient", "ResilientBalancingClient", "reply_to"]

_VERDICTS = {"rejected": "fail", "error": "fail", "expired": "info"}


def reply_to(session: int, sequence: int, answer: Answer) -> Reply:
    """The reply for an answer: rejected requests and errors certainly had no effect, expired requests may have had."""
    status = _VERDICTS.get(answer.status)
    if status is None:
        return Reply(session, sequence, answer.status, answer.value, answer.result)
    return Reply(session, sequence, status, None, answer.status)


class BalancedClient(Client):
    """Sends each request to a random balancer, but not to one that has just not answered."""

    def on_start(self) -> None:
        self._balancers: tuple[str, ...] = self.settings.system.balancer_names
        self._silent: str | None = None
        super().on_start()

    def target(self, command: Command, attempt: int) -> str:
        balancers = self._balancers
        if len(balancers) == 1:
            return balancers[0]
        return self.random.choice([name for name in balancers if name != self._silent])

    def request(self, command: Command) -> Ask:
        """The ticket is the identity of the command, so that a late answer does not match a newer command."""
        return Ask((command.session, command.sequence), command, self.timeout)

    def on_answer(self, src: str, msg: Answer) -> None:
        session, sequence = msg.ticket
        pending = self.pending.get(session)
        if pending is not None and msg.status == "rejected" and pending.outcome.attempts > 1:
            msg = Answer(msg.ticket, "expired", msg.load)  # an earlier attempt may have been executed
        self.on_reply(src, reply_to(session, sequence, msg))

    def learn(self, src: str, msg: Reply) -> None:
        """A balancer has answered; there is no leader to learn."""
        self._silent = None

    def suspect(self, target: str) -> None:
        self._silent = target


class BalancingClient(Client):
    """Balances by itself: picks a server for each request, with the same part as a balancer."""

    dispatcher = part(Dispatcher)

    @property
    def balanced(self) -> Any:
        """The system."""
        return self.settings.system

    def attempt(self, pending: Any) -> None:
        command = pending.command
        pending.outcome.attempts += 1
        self.set_timer("attempt", self.timeout, command.session)
        ticket = (command.session, command.sequence)
        self.dispatcher.on_ask(self.name, Ask(ticket, command, self.timeout))

    def concluded(self, client: str, ticket: Any, answer: Answer, backend: Backend | None) -> None:
        """A request of this client is over."""
        session, sequence = ticket
        if backend is not None:
            self.on_reply(backend.name, reply_to(session, sequence, answer))
        elif answer.status == "rejected":
            # Refused at once: pause, because a closed-loop client without a pause would loop at the same instant.
            self.set_timer("refused", max(self.settings.retry.backoff, 0.001), ticket)
        else:
            self.on_reply(self.name, reply_to(session, sequence, answer))

    def on_refused_timeout(self, ticket: tuple[int, int]) -> None:
        """The pause after a request without available server is over: report the rejection."""
        self.on_reply(self.name, reply_to(*ticket, Answer(ticket, "rejected")))

    def learn(self, src: str, msg: Reply) -> None:
        """There is no leader to learn."""

    def suspect(self, target: str) -> None:
        """No effect: the dispatcher decides which servers to avoid."""

    def gauges(self) -> dict[str, float]:
        """The gauges of its balancing part."""
        return self.dispatcher.gauges()


class ResilientBalancingClient(BalancingClient):
    """Balances by itself, with all features of a `ResilientBalancerNode`."""

    dispatcher = part(ResilientDispatcher)
    news = part(LoadNews)
    health = part(HealthWatch)
