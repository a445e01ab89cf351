"""A workload that measures staleness: a write and, a given time after its return, a read by another client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sim.distributions import as_distribution
from sim.kernel import Streams
from sim.protocols.client import Client, Outcome
from sim.settings import Count, Seconds, Wait
from sim.workload.load import ClientPlan, Workload, check_start
from sim.workload.mix import Mix, Source

__all__ = ["ReadAfterWrite"]


@dataclass(frozen=True, kw_only=True)
class ReadAfterWrite(Workload):
    """Trials of one write and one read, each on its own key.

    Parameters
    ----------
    writer, reader:
        The places of the client that writes and of the client that reads: regions, or members beside which they are.
    waits:
        Seconds from the return of a write to the call of its read; the trials use these values in turn.
    trials:
        The number of writes.
    every:
        Seconds between the calls of two writes, whether or not the first has returned.
    start:
        Simulated seconds before the first write.
    value_bytes:
        Bytes per written value: a number, a distribution, or samples.
    """

    writer: str
    reader: str
    waits: tuple[Wait, ...] = (0.0,)
    trials: Count = 1000
    every: Seconds = 1.0
    start: Wait = 0.0
    value_bytes: Any = 0.0

    def _convert(self) -> None:
        self._keep(value_bytes=as_distribution(self.value_bytes, "ReadAfterWrite: value_bytes"))

    def __post_init__(self) -> None:
        if not self.waits:
            raise ValueError(f"ReadAfterWrite: waits must name at least one time, not {self.waits!r}")

    def check_duration(self, duration: float) -> None:
        check_start(self, self.start, duration)

    @property
    def kinds(self) -> frozenset[str]:
        """Puts and gets."""
        return frozenset({"put", "get"})

    def spots(self, regions: Sequence[str]) -> list[str]:
        """The place of the writer, then the place of the reader."""
        return [self.writer, self.reader]

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        """Two clients: c0 writes, c1 reads."""
        mix = Mix(value_bytes=self.value_bytes)
        reader = _Reader(Source(mix, streams, "c1", 1, 2))
        writer = _Writer(self, Source(mix, streams, "c0", 0, 2), reader)
        return [ClientPlan("c0", self.writer, writer), ClientPlan("c1", self.reader, reader)]


class _Reader:
    """Reads the key of a trial when the writer wakes it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.client: Client | None = None
        self.stopped = False

    def begin(self, client: Client) -> None:
        self.client = client

    def wake(self, client: Client, key: Any) -> None:
        if not self.stopped:
            client.submit(client.open_session(), self.source.make("get", key))

    def completed(self, client: Client, outcome: Outcome) -> None:
        """Nothing to do after a read."""


class _Writer:
    """Writes at regular times, and lets the reader read each key whose write succeeded."""

    def __init__(self, plan: ReadAfterWrite, source: Source, reader: _Reader) -> None:
        self._plan = plan
        self.source = source
        self._reader = reader
        self._issued = 0
        self.stopped = False

    def begin(self, client: Client) -> None:
        client.set_timer("wake", self._plan.start)

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped or self._issued == self._plan.trials:
            return
        client.submit(client.open_session(), self.source.make("put", f"k{self._issued}"))
        self._issued += 1
        client.set_timer("wake", max(0.0, self._plan.start + self._issued * self._plan.every - client.now))

    def completed(self, client: Client, outcome: Outcome) -> None:
        trial = int(outcome.operation.key.removeprefix("k"))
        if outcome.status == "ok" and self._reader.client is not None:
            waits = self._plan.waits
            self._reader.client.set_timer("wake", waits[trial % len(waits)], outcome.operation.key)
