"""A small replicated store that has no attribute in common with the protocols of the library, and mistakes in it."""

from __future__ import annotations

from typing import Any

from sim.node import Node, durable, durable_log, message
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions


@message
class Numbered:
    """Line ``number`` of the book."""

    number: int
    client: str
    command: Command


@message
class Ask:
    """Asks for the lines from ``first`` on."""

    first: int


class Scribe(Node):
    """n0 writes each command into a book, and everybody applies the lines of the book in order."""

    book = durable_log()
    saved: Any = durable((0, None))  # how many lines it had applied, and the state after them

    def on_start(self) -> None:
        self.shop = Sessions(KeyValueStore())
        self.early: dict[int, Numbered] = {}
        self.done = 0
        if self.saved[0]:
            self.done = self.saved[0]
            self.shop.restore(self.saved[1])
        self.set_timer("ask", 0.05)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        known = self.shop.known(command)
        if self.name != "n0":
            self.send(src, Redirect(command.session, command.sequence, "n0"))
        elif known is not None:
            self.tell(src, command, known)
        else:
            self.write(src, command)

    def write(self, client: str, command: Command) -> None:
        self.book.append((client, command))
        self.broadcast(Numbered(len(self.book), client, command), to=self.members)

    def on_numbered(self, src: str, msg: Numbered) -> None:
        if msg.number > self.done:
            self.early[msg.number] = msg
        while (line := self.early.pop(self.done + 1, None)) is not None:
            self.apply(line)

    def apply(self, line: Numbered) -> None:
        self.done += 1
        result = self.shop.apply(line.command)
        if self.done % 10 == 0:
            self.save()
        if self.name == "n0" and result is not None:
            self.tell(line.client, line.command, result)

    def save(self) -> None:
        self.saved = (self.done, self.shop.snapshot())

    def tell(self, client: str, command: Command, result: Any) -> None:
        told = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, told)

    def on_ask_timeout(self) -> None:
        self.set_timer("ask", 0.05)
        self.send("n0", Ask(self.done + 1))

    def on_ask(self, src: str, msg: Ask) -> None:
        for number, (client, command) in enumerate(self.book.items[msg.first - 1 :][:50], msg.first):
            self.send(src, Numbered(number, client, command))


class Hasty(Scribe):
    """Applies a line when it arrives, without waiting for those before it."""

    def on_numbered(self, src: str, msg: Numbered) -> None:
        if msg.number > self.done:
            self.apply(msg)


class Forgetful(Scribe):
    """Its book is not on disk: after a restart it gives the same numbers to other lines."""

    book = None

    def on_start(self) -> None:
        self.book: Any = Book()
        super().on_start()


class Book(list[Any]):
    """What a book is without a disk."""

    @property
    def items(self) -> list[Any]:
        return self


class Twice(Scribe):
    """Has no sessions, so that a retried command takes effect again."""

    def on_request(self, src: str, msg: Request) -> None:
        if self.name == "n0":
            self.write(src, msg.command)
        else:
            super().on_request(src, msg)

    def apply(self, line: Numbered) -> None:
        self.done += 1
        result = self.shop.application.apply(line.command)
        if self.name == "n0":
            self.tell(line.client, line.command, result)


class Ahead(Scribe):
    """Its snapshots say that they hold one line more than they do."""

    def save(self) -> None:
        self.saved = (self.done + 1, self.shop.snapshot())


class Liar(Scribe):
    """Answers an increment with another result."""

    def tell(self, client: str, command: Command, result: Any) -> None:
        if command.kind == "increment":
            result = type(result)(result.status, result.value, 0)
        super().tell(client, command, result)


class Meddler(Scribe):
    """A replica changes the data past the book."""

    def apply(self, line: Numbered) -> None:
        super().apply(line)
        if self.name == "n1" and line.command.kind == "put":
            self.shop.application.data[line.command.key] = "mine"


class Deaf(Scribe):
    """A replica never hears of a line that was lost."""

    def on_ask_timeout(self) -> None:
        if self.name != "n2":
            super().on_ask_timeout()


class Shortcut(Scribe):
    """Answers a put before it is in the book, and forgets some of them."""

    def write(self, client: str, command: Command) -> None:
        if command.kind == "put" and command.sequence % 5 == 0:
            self.send(client, Reply(command.session, command.sequence, "ok", command.value))
        else:
            super().write(client, command)
