"""The output of `ping`: of Linux (iputils, BusyBox), of macOS, and of Windows in English."""

from __future__ import annotations

import re
from bisect import bisect_left
from os import PathLike
from pathlib import Path

from sim.readers.figures import Latencies, PairFigures, PairSamples
from sim.readers.note import Note, counted

__all__ = ["HEADS", "read_ping"]

_NUMBER = r"(\d+(?:\.\d+)?)"
HEADS = re.compile(r"(?:PING|Pinging) (?P<host>[^\s(\[]+)[ (:].*")
"""The first line of a ping."""
_STAMP = re.compile(rf"\[{_NUMBER}\] ")
_REPLY = re.compile(
    rf"\d+ bytes from .*?(?:icmp_)?seq=(?P<seq>\d+) .*?time=(?P<ms>{_NUMBER}) ?ms(?P<dup> \(DUP!\))?"
)
_WINDOWS = re.compile(rf"Reply from \S+: bytes=\d+ time(?P<sign>[=<])(?P<ms>{_NUMBER}) ?ms TTL=\d+")
_LOST = re.compile(
    r"no answer yet for icmp_seq=\d+|Request timeout for icmp_seq \d+|Request timed out\.|"
    r"From \S+.* icmp_seq=\d+ .*|Reply from \S+: Destination .* unreachable\.|PING: transmit failed.*|General failure\."
)
_TOTALS = re.compile(r"(?P<sent>\d+) packets transmitted, (?P<got>\d+) (?:packets )?received.*")
_WINDOWS_TOTALS = re.compile(r"Packets: Sent = (?P<sent>\d+), Received = (?P<got>\d+), Lost = .*")
_FIGURES = re.compile(
    rf"(?:rtt|round-trip) min/avg/max(?:/(?:mdev|stddev))? = {_NUMBER}/{_NUMBER}/{_NUMBER}(?:/{_NUMBER})? ms.*"
)
_WINDOWS_FIGURES = re.compile(rf"Minimum = {_NUMBER}ms, Maximum = {_NUMBER}ms, Average = {_NUMBER}ms")
_WORDLESS = re.compile(r"--- .* ---|Ping statistics for .*|Approximate round trip times in milli-seconds:|")


class _Section:
    """The output of one ping."""

    def __init__(self, where: str, dst: str) -> None:
        self.where = where
        self.dst = dst
        self.replies: list[tuple[int, float | None, float]] = []  # sequence number, time, seconds
        self.losses = 0  # lines that say so
        self.doubles = 0
        self.totals: tuple[int, int] | None = None
        self.figures: tuple[float, float, float, float | None] | None = None  # min, mean, max, deviation

    def take(self, where: str, line: str) -> None:
        """Take one line. Raises ValueError for a line that no ping prints."""
        stamp = _STAMP.match(line)
        time = float(stamp[1]) if stamp else None
        line = line[stamp.end() :] if stamp else line
        reply = _REPLY.fullmatch(line) or _WINDOWS.fullmatch(line)
        totals = _TOTALS.fullmatch(line) or _WINDOWS_TOTALS.fullmatch(line)
        if reply:
            self._reply(reply, time)
        elif totals:
            self.totals = int(totals["sent"]), int(totals["got"])
        elif match := _FIGURES.fullmatch(line):
            least, mean, most = (1e-3 * float(match[i]) for i in (1, 2, 3))
            self.figures = least, mean, most, 1e-3 * float(match[4]) if match[4] else None
        elif match := _WINDOWS_FIGURES.fullmatch(line):
            least, most, mean = (1e-3 * float(match[i]) for i in (1, 2, 3))
            self.figures = least, mean, most, None
        elif _LOST.fullmatch(line):
            self.losses += 1
        elif line and not _WORDLESS.fullmatch(line):
            raise ValueError(
                f"{where}: a line of ping is needed (Linux, macOS, or Windows in English), not {line!r}"
            )

    def _reply(self, reply: re.Match[str], time: float | None) -> None:
        fields = reply.groupdict()
        number = int(fields["seq"]) if "seq" in fields else len(self.replies) + self.losses
        if fields.get("dup") or (self.replies and number == self.replies[-1][0]):
            self.doubles += 1
            return
        # Windows prints "time<1ms"; the middle of what that may mean.
        seconds = 0.5e-3 if fields.get("sign") == "<" else 1e-3 * float(fields["ms"])
        self.replies.append((number, time, seconds))

    def pair(self, src: str) -> PairFigures | PairSamples:
        sent, got = self.totals or (0, 0)
        if self.replies:
            return self._samples(src, sent)
        if self.figures is None or not got or not self.figures[1] > 0.0:
            raise ValueError(f"{self.where}: no round trip from {src!r} to {self.dst!r} was answered")
        least, mean, most, deviation = self.figures
        loss = 1.0 - got / sent
        return PairFigures(src, self.dst, self.where, {}, mean, deviation, least, most, loss)

    def _samples(self, src: str, sent: int) -> PairSamples:
        """Each sequence number is a sample; numbers without a reply were lost, at times between their neighbours."""
        replies = {
            number: (time, seconds) for number, time, seconds in sorted(self.replies, key=lambda r: r[0])
        }
        first = min(replies)
        # Linux counts from 1, macOS and Windows from 0; `sent` shows losses at the end.
        start = min(first, 1) if sent else first
        last = max(max(replies), start + sent - 1, start + len(replies) + self.losses - 1)
        numbers = range(start, last + 1)
        trips = tuple(replies[n][1] if n in replies else None for n in numbers)
        times = None
        if all(time is not None for time, _ in replies.values()):
            times = _between({n: float(time or 0.0) for n, (time, _) in replies.items()}, numbers)
        return PairSamples(src, self.dst, self.where, times, trips)


def _between(known: dict[int, float], numbers: range) -> tuple[float, ...]:
    """The times of all numbers: linear between known ones, and at the average pace outside of them.

    ``known``: number -> time, in order of the numbers.
    """
    keys = list(known)
    pace = (known[keys[-1]] - known[keys[0]]) / (keys[-1] - keys[0]) if len(keys) > 1 else 1.0
    times = []
    for n in numbers:
        if n in known:
            times.append(known[n])
        elif not keys[0] < n < keys[-1]:
            nearest = keys[0] if n < keys[0] else keys[-1]
            times.append(known[nearest] + pace * (n - nearest))
        else:
            place = bisect_left(keys, n)
            before, after = keys[place - 1], keys[place]
            part = (n - before) / (after - before)
            times.append(known[before] + part * (known[after] - known[before]))
    return tuple(times)


def read_ping(path: str | PathLike[str], text: str) -> Latencies:
    """The pings in a text, one after the other; they came from the place that the file is named after.

    Raises ValueError with file and line for a line that no ping prints, and for a ping without an answer.
    """
    src = Path(path).stem
    sections: list[_Section] = []
    for i, line in enumerate(text.splitlines(), 1):
        where = f"{path}, line {i}"
        head = HEADS.fullmatch(line.strip())
        if head:
            sections.append(_Section(where, head["host"]))
        elif sections:
            sections[-1].take(where, line.strip().removeprefix("^C").strip())
        elif line.strip():
            raise ValueError(f"{where}: a first line `PING HOST` is needed, not {line.strip()!r}")
    pairs = tuple(section.pair(src) for section in sections)
    destinations = [pair.dst for pair in pairs]
    twice = next((dst for dst in destinations if destinations.count(dst) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: two pings of {twice!r}: give each a file of its own")
    return Latencies(pairs, _note(path, src, sections, pairs))


def _note(
    path: str | PathLike[str],
    src: str,
    sections: list[_Section],
    pairs: tuple[PairFigures | PairSamples, ...],
) -> Note:
    samples = sum(len(pair.round_trips) for pair in pairs if isinstance(pair, PairSamples))
    lost = sum(pair.round_trips.count(None) for pair in pairs if isinstance(pair, PairSamples))
    took = [counted(len(pairs), "pair"), f"from {src!r}, the name of the file"]
    if samples:
        took.append(f"{counted(samples, 'sample')}, {lost:,} lost")
    if any(isinstance(pair, PairFigures) for pair in pairs):
        took.append("min/avg/max/mdev where no replies are printed")
    doubles = sum(section.doubles for section in sections)
    left = (counted(doubles, "duplicate reply").replace("replys", "replies"),) if doubles else ()
    return Note(Path(path).name, "output of ping, by its first line", tuple(took), left)
