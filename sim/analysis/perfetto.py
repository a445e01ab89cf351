"""A run as a trace for Perfetto (ui.perfetto.dev): TrackEvents, written by the package ``perfetto``.

Nodes are tracks; a step is an instant or, where a core served it, a slice; a message is a flow from the step that sent
it to the step that handled it; an operation is a slice on a track of its client; a gauge is a counter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim.analysis.samples import require_all_messages
from sim.analysis.store import atomic
from sim.arguments import checked

__all__ = ["write_perfetto"]

_NANOSECONDS = 1e9
_SEQUENCE = 1  # all events are written by one writer


@checked
def write_perfetto(frames: Mapping[str, pd.DataFrame], path: Path | str, *, ended: float) -> Path:
    """Write the frames of one run as a trace.

    Args:
        frames: nodes, operations, messages, events, samples and, of a full trace, steps.
        path: the file, ``.pftrace``.
        ended: when the run ended (seconds): operations without an answer end there.

    Returns:
        The path.

    Raises:
        ValueError: the package perfetto is not installed, or the trace holds a share of the messages only.
    """
    require_all_messages(frames["messages"], "a trace for Perfetto")
    try:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent
        from perfetto.trace_builder.proto_builder import TraceProtoBuilder
    except ImportError:
        raise ValueError(
            "a trace for Perfetto needs the package perfetto (pip install quorumlab[perfetto])"
        ) from None
    made = _Trace(TraceProtoBuilder(), TrackEvent)
    tracks = {str(node): made.track(str(node)) for node in frames["nodes"]["node"]}
    if "steps" in frames and "step" in frames["messages"].columns:
        _steps(made, frames, tracks)
    _events(made, frames["events"], tracks)
    _operations(made, frames["operations"], tracks, ended)
    _samples(made, frames["samples"], tracks)
    with atomic(path) as temporary:
        temporary.write_bytes(made.builder.serialize())
    return Path(path)


class _Trace:
    """Writes packets; times in seconds."""

    def __init__(self, builder: Any, event: Any) -> None:
        self.builder = builder
        self.kinds = event
        self._uuid = 0

    def track(self, name: str, parent: int = 0, *, counter: bool = False) -> int:
        """A new track; its uuid."""
        self._uuid += 1
        packet = self.builder.add_packet()
        descriptor = packet.track_descriptor
        descriptor.uuid, descriptor.name = self._uuid, name
        if parent:
            descriptor.parent_uuid = parent
        if counter:
            descriptor.counter.SetInParent()
        packet.trusted_packet_sequence_id = _SEQUENCE
        return self._uuid

    def event(self, kind: Any, track: int, nanoseconds: int, name: str = "", **notes: str) -> Any:
        """A new event on a track."""
        packet = self.builder.add_packet()
        packet.timestamp = nanoseconds
        packet.trusted_packet_sequence_id = _SEQUENCE
        found = packet.track_event
        found.type, found.track_uuid = kind, track
        if name:
            found.name = name
        for key, text in notes.items():
            note = found.debug_annotations.add()
            note.name, note.string_value = key, text
        return found

    def span(self, track: int, start: int, end: int, name: str, **notes: str) -> Any:
        """A slice; its beginning, which may get flows."""
        begun = self.event(self.kinds.TYPE_SLICE_BEGIN, track, start, name, **notes)
        self.event(self.kinds.TYPE_SLICE_END, track, end)
        return begun


def _at(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)


def _steps(made: _Trace, frames: Mapping[str, pd.DataFrame], tracks: Mapping[str, int]) -> None:
    """Steps, with the flows of the messages that they sent and handled. A flow has the number of its message + 1."""
    messages, steps = frames["messages"], frames["steps"]
    sent: dict[int, list[int]] = {}
    for number, step in zip(messages["id"].tolist(), messages["step"].tolist(), strict=True):
        sent.setdefault(int(step), []).append(int(number) + 1)
    content = messages["content"].tolist()
    causes = [json.loads(text) for text in steps["cause"]]
    cores = _cores(made, causes, steps["node"].tolist(), tracks)
    columns = ("id", "time", "node", "handler", "state")
    for cause, (number, time, node, handler, state) in zip(
        causes, zip(*(steps[name] for name in columns), strict=True), strict=True
    ):
        notes = {"state": state} if state != "{}" else {}
        if cause["kind"] == "message":
            notes["message"] = content[cause["id"]]
        if number in cores:
            begun = made.span(cores[number], _at(cause["began"]), _at(cause["done"]), handler, **notes)
        else:
            begun = made.event(made.kinds.TYPE_INSTANT, tracks[node], _at(time), handler, **notes)
        begun.flow_ids.extend(sent.get(int(number), []))
        if cause["kind"] == "message":
            begun.terminating_flow_ids.append(int(cause["id"]) + 1)


def _cores(
    made: _Trace, causes: Sequence[Mapping[str, Any]], nodes: Sequence[str], tracks: Mapping[str, int]
) -> dict[int, int]:
    """The track of each step that a core served: slices of one track must not overlap, so each core has its own."""
    served = [
        (_at(cause["began"]), _at(cause["done"]), step)
        for step, cause in enumerate(causes)
        if "began" in cause and _at(cause["began"]) < _at(cause["done"])
    ]
    busy: dict[str, list[tuple[int, int]]] = {}  # node -> for each core: until when it is busy, and its track
    found = {}
    for began, done, step in sorted(served):
        mine = busy.setdefault(nodes[step], [])
        core = next((place for place, (until, _) in enumerate(mine) if until <= began), len(mine))
        if core == len(mine):
            mine.append((0, made.track(f"core {core + 1} of {nodes[step]}", tracks[nodes[step]])))
        mine[core] = (done, mine[core][1])
        found[step] = mine[core][1]
    return found


def _events(made: _Trace, events: pd.DataFrame, tracks: Mapping[str, int]) -> None:
    world = 0
    for time, node, event, detail in zip(
        *(events[n] for n in ("time", "node", "event", "detail")), strict=True
    ):
        if node not in tracks and not world:
            world = made.track("faults")
        track = tracks.get(node, world)
        made.event(made.kinds.TYPE_INSTANT, track, _at(time), str(event), detail=str(detail))


def _operations(made: _Trace, operations: pd.DataFrame, tracks: Mapping[str, int], ended: float) -> None:
    """A slice for each operation, on a track of its session below its client: sessions have one at a time."""
    sessions: dict[Any, int] = {}
    columns = ("process", "client", "kind", "key", "called", "returned", "status")
    for process, client, kind, key, called, returned, status in zip(
        *(operations[name] for name in columns), strict=True
    ):
        if process not in sessions:
            sessions[process] = made.track(f"{client} session {process}", tracks.get(client, 0))
        end = ended if math.isnan(returned) else returned
        made.span(sessions[process], _at(called), _at(end), f"{kind} {key}", status=str(status))


def _samples(made: _Trace, samples: pd.DataFrame, tracks: Mapping[str, int]) -> None:
    counters: dict[tuple[str, str], int] = {}
    for time, node, gauge, value in _numbers(samples):
        if (node, gauge) not in counters:
            counters[node, gauge] = made.track(f"{gauge} {node}", tracks.get(node, 0), counter=True)
        event = made.event(made.kinds.TYPE_COUNTER, counters[node, gauge], _at(time))
        event.double_counter_value = value


def _numbers(samples: pd.DataFrame) -> Iterator[tuple[float, str, str, float]]:
    for time, node, gauge, value in zip(
        *(samples[n] for n in ("time", "node", "gauge", "value")), strict=True
    ):
        if isinstance(value, int | float) and math.isfinite(value):
            yield float(time), str(node), str(gauge), float(value)
