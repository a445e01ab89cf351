"""A solution of the Raft lab, written from the paper only: it has no attribute in common with `sim.protocols`.

Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm", USENIX ATC 2014, figure 2 and section 8.
"""

from __future__ import annotations

from typing import Any

from sim.node import Node, durable, durable_log, message
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions

AT_ONCE = 100
"""Pages in one message."""


@message
class Page:
    """An entry of the book."""

    era: int
    command: Command


@message
class Canvass:
    """A candidate asks for a vote: the era of its last page, and how many pages it has."""

    era: int
    last_era: int
    pages: int


@message
class Vote:
    """An answer to a candidate."""

    term: int
    granted: bool


@message
class Copy:
    """The boss sends the pages after the first ``after`` ones, the last of which has the era ``after_era``."""

    era: int
    after: int
    after_era: int
    pages: tuple[Page, ...]
    sure: int


@message
class Copied:
    """Whether the sender had the page before; if so, its book agrees with that of the boss up to ``upto``."""

    era: int
    ok: bool
    upto: int


class Server(Node):
    """A server of the group. A term is an *era*, a log a *book*, a leader the *boss*."""

    era = durable(0)
    choice = durable("")
    book = durable_log()

    def on_start(self) -> None:
        self.state = "idle"
        self.boss: str | None = None
        self.sure = 0  # pages known to be committed
        self.done = 0  # pages applied
        self.shop = Sessions(KeyValueStore())
        self.clients: dict[int, str] = {}  # page -> the client that waits for it
        self.yes: dict[str, None] = {}
        self.has: dict[str, int] = {}  # other -> up to where its book agrees with this one
        self.try_at: dict[str, int] = {}  # other -> the pages to send begin after this one
        self.be_patient()

    def be_patient(self) -> None:
        """Wait for a boss."""
        self.set_timer("patience", self.patience())

    def patience(self) -> float:
        shortest = self.settings.detection_timeout
        return self.random.uniform(shortest, 2 * shortest)

    def last_era(self, pages: int | None = None) -> int:
        """The era of the last of the first ``pages`` pages, 0 before the first."""
        pages = len(self.book) if pages is None else pages
        return self.book[pages - 1].era if pages else 0

    def is_most(self, count: int) -> bool:
        return 2 * count > len(self.members)

    def heed(self, era: int) -> None:
        """Another server is in this era: a later one is this server's, too."""
        if era > self.era:
            self.era, self.choice = era, ""
            self.step_down()

    def step_down(self) -> None:
        if self.state == "boss":
            self.be_patient()
        self.state, self.boss = "idle", None
        for page, client in self.clients.items():
            command = self.book[page - 1].command
            self.send(client, Redirect(command.session, command.sequence))
        self.clients.clear()

    # Elections

    def on_patience_timeout(self) -> None:
        self.be_patient()
        self.state, self.boss = "candidate", None
        self.era += 1
        self.choice = self.name
        self.yes = {}
        self.broadcast(Canvass(self.era, self.last_era(), len(self.book)))
        self.send(self.name, Vote(self.era, True))  # its own vote counts when it is on disk

    def on_canvass(self, src: str, msg: Canvass) -> None:
        self.heed(msg.era)
        yes = self.may_vote(src, msg)
        if yes:
            self.choice = src
            self.voted()
        self.send(src, Vote(self.era, yes))

    def may_vote(self, src: str, msg: Canvass) -> bool:
        """Whether this server gives its vote: one in an era, and to nobody whose book is older."""
        free = msg.era == self.era and self.choice in ("", src)
        return free and (msg.last_era, msg.pages) >= (self.last_era(), len(self.book))

    def voted(self) -> None:
        self.be_patient()

    def on_vote(self, src: str, msg: Vote) -> None:
        self.heed(msg.term)
        if self.state == "candidate" and msg.granted and self.is_present(msg.term):
            self.yes[src] = None
            if self.is_most(len(self.yes)):
                self.lead()

    def is_present(self, era: int) -> bool:
        """Whether a message is of this era, and not of an earlier one."""
        return era == self.era

    def lead(self) -> None:
        self.state, self.boss = "boss", self.name
        self.record("elected", term=self.era)
        self.cancel_timer("patience")
        self.has = dict.fromkeys(self.members, 0)
        self.try_at = dict.fromkeys(self.peers, len(self.book))
        self.open_era()
        self.on_beat_timeout()

    def open_era(self) -> None:
        """A page of its own era, so that the pages before it are committed with it (section 8)."""
        self.write(NOOP)

    # Copies of the book

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        known = self.shop.known(command)
        if self.state != "boss":
            self.send(src, Redirect(command.session, command.sequence, self.boss))
        elif known is not None:
            self.tell(src, command, known)
        else:
            self.clients[len(self.book) + 1] = src
            self.write(command)
            for other in self.peers:
                self.copy_to(other)

    def write(self, command: Command) -> None:
        self.book.append(Page(self.era, command))
        self.send(self.name, Copied(self.era, True, len(self.book)))

    def on_beat_timeout(self) -> None:
        if self.state == "boss":
            self.set_timer("beat", self.settings.heartbeat_interval)
            for other in self.peers:
                self.copy_to(other)

    def copy_to(self, other: str) -> None:
        after = self.try_at[other]
        pages = tuple(self.book.items[after : after + AT_ONCE])
        self.send(other, Copy(self.era, after, self.last_era(after), pages, self.sure))

    def on_copy(self, src: str, msg: Copy) -> None:
        self.heed(msg.era)
        if msg.era < self.era:
            self.send(src, Copied(self.era, False, 0))
            return
        self.state, self.boss = "idle", src
        self.be_patient()
        if msg.after > len(self.book) or self.last_era(msg.after) != msg.after_era:
            self.send(src, Copied(self.era, False, min(msg.after, len(self.book) + 1)))
            return
        self.take_over(msg)
        upto = msg.after + len(msg.pages)
        self.sure = max(self.sure, min(msg.sure, upto))
        self.apply()
        self.send(src, Copied(self.era, True, upto))

    def take_over(self, msg: Copy) -> None:
        """Make the book agree with these pages: the first that differs goes, with all that follow."""
        for number, page in enumerate(msg.pages, msg.after):
            if number < len(self.book) and self.book[number].era != page.era:
                self.book.truncate(number)
            if number >= len(self.book):
                self.book.append(page)

    def on_copied(self, src: str, msg: Copied) -> None:
        self.heed(msg.era)
        if self.state != "boss" or not self.is_present(msg.era):
            return
        if not msg.ok:
            self.try_at[src] = max(self.has[src], min(self.try_at[src], msg.upto) - 1)
            self.copy_to(src)
            return
        self.has[src] = max(self.has[src], msg.upto)
        if src != self.name:
            self.try_at[src] = max(self.try_at[src], self.has[src])
        self.commit()

    def commit(self) -> None:
        """What most have is committed, if it is of this era (5.4.2)."""
        for pages in range(len(self.book), self.sure, -1):
            most = self.is_most(sum(upto >= pages for upto in self.has.values()))
            if most and self.may_commit(pages):
                self.sure = pages
                self.apply()
                return

    def may_commit(self, pages: int) -> bool:
        return self.last_era(pages) == self.era

    def apply(self) -> None:
        while self.done < self.sure:
            command = self.book[self.done].command
            self.done += 1
            result = self.shop.apply(command)
            client = self.clients.pop(self.done, None)
            if client is not None and result is not None:
                self.tell(client, command, result)

    def tell(self, client: str, command: Command, result: Any) -> None:
        told = Reply(command.session, command.sequence, result.status, result.value, result.result)
        self.send(client, told)
