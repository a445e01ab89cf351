"""Checks the members of a system: different names, and at least one contact that serves the clients' requests."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sim.message import is_message, snake
from sim.protocols.client import Client, Request
from sim.system import System

__all__ = ["check_members"]


def check_members(system: System) -> None:
    """Raise ValueError for no members, for two members with one name, and for requests that no contact handles."""
    members = system.members()
    if not members:
        raise ValueError(f"Scenario: {system.label} has no members")
    for name, count in Counter(member.name for member in members).items():
        if count > 1:
            raise ValueError(f"Scenario: {count} members are named {name!r}; each needs a name of its own")
    request = _sent_by(system.client_class)
    asked = set(system.contacts())
    contacts = [member for member in members if member.name in asked]
    if request is not None and contacts and not any(request in _taken_by(m.node_class) for m in contacts):
        classes = " and ".join(dict.fromkeys(member.node_class.__name__ for member in contacts))
        raise ValueError(
            f"Scenario: clients of {system.label} ({system.client_class.__name__}) send {request.__name__}, for which "
            f"{classes} has no handler: write {_handler(request)}, or let the client's request() make what is handled"
        )


def _handler(request: type) -> str:
    return f"on_{snake(request.__name__)}(self, src, msg: {request.__name__})"


def _sent_by(client: type[Any]) -> type | None:
    """The class of the message in which clients of a class send their commands; None if it is not known."""
    if not issubclass(client, Client) or client.attempt is not Client.attempt:
        return None
    if client.request is Client.request:
        return Request
    said = client.request.__annotations__.get("return")
    kind = client.request.__globals__.get(said) if isinstance(said, str) else said
    return kind if isinstance(kind, type) and is_message(kind) else None


def _taken_by(node: type[Any]) -> dict[type, str]:
    taken = dict(node.takers())
    for declared in node._parts.values():
        taken.update(getattr(declared.cls, "_handlers", {}))
    return taken
