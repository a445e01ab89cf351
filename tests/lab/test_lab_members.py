"""A scenario whose members cannot play together is refused when it is built; what is no message, when it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sim import Machine, Member, Node, Scenario, System, protocols
from sim.cluster import Cluster
from sim.network import constant
from sim.node import message
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command, Result
from sim.testing import Bench


@message
class Ask:
    command: Command


class Server(Node):
    def on_request(self, src: str, msg: Request) -> None:
        pass


class Deaf(Node):
    pass


class Asker(Client):
    def request(self, command: Command) -> Ask:
        return Ask(command)


@dataclass(frozen=True, kw_only=True)
class Small(System):
    names: tuple[str, ...] = ("a", "b")
    node: type[Node] = Server
    client: type[Node] = Client

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, self.node) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return self.client


def test_two_members_of_one_name_are_refused() -> None:
    assert Scenario(system=Small())
    with pytest.raises(ValueError, match="2 members are named 'a'; each needs a name of its own"):
        Scenario(system=Small(names=("a", "b", "a")))


def test_a_request_without_a_handler_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"send Request, for which Deaf has no handler: write on_request\(self, src"
    ):
        Scenario(system=Small(node=Deaf))
    with pytest.raises(ValueError, match=r"send Ask, for which Server has no handler: write on_ask"):
        Scenario(system=Small(client=Asker))


@pytest.mark.parametrize("name", [n for n in protocols.__all__ if issubclass(getattr(protocols, n), System)])
def test_no_system_of_the_library_is_refused(name: str) -> None:
    system = getattr(protocols, name)()
    from sim.lab.membership import check_members

    check_members(system)


@pytest.mark.parametrize("status", ["good", "OK", "", None, 1])
def test_a_status_that_no_client_knows_is_refused(status: Any) -> None:
    for make in (lambda: Reply(1, 1, status), lambda: Reply(1, 1, status=status), lambda: Result(status)):
        with pytest.raises(ValueError, match=r"the status must be 'ok' \(it happened\), 'fail' .* or 'info'"):
            make()


@dataclass
class Plain:
    n: int = 1


FREE = Machine()
EVERY_PATH = [
    (host, checking)
    for host in (FREE, Machine(per_message=0.001), Machine(per_send=0.001))
    for checking in (False, True)
]


@pytest.mark.parametrize(
    ("thing", "host", "checking"),
    [
        *((thing, FREE, False) for thing in ({"a": 1}, Plain(), 5, None, (1, 2), object())),
        *((thing, *path) for thing in ("text", Ask) for path in EVERY_PATH),
    ],
)
def test_what_is_no_message_is_refused_when_it_is_sent(thing: Any, host: Machine, checking: bool) -> None:
    made = Cluster(constant(0.010), checking=checking)
    for name in ("a", "b"):
        made.add(Member(name, Server), place="lan", profile=host)
    made.boot()
    node = made.nodes["a"]

    def to_itself() -> None:
        node.send("a", thing)
        made.env.run()

    sends: list[Callable[[], Any]] = [
        lambda: node.send("b", thing),
        lambda: node.send("b", thing, hold=False),
        lambda: node.broadcast(thing),
        lambda: node.reply("b", thing),
        lambda: node.call("b", thing),
        lambda: Bench(Server).node.send("n1", thing),
        to_itself,
    ]
    for send in sends:
        with pytest.raises(TypeError, match=r"decorate it with @message|is a class: send an instance"):
            send()
