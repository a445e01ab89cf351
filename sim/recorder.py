"""The recorder: appends flat rows while a simulation runs, and builds the frames once, after the run."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sim.packed_rows import PackedRows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "FULL_COLUMNS", "Recorder"]

COLUMNS: dict[str, tuple[str, ...]] = {
    "operations": (
        *("process", "kind", "key", "value", "result", "called", "returned", "status"),
        *("latency", "node", "region", "attempts", "client"),
    ),
    "messages": ("kind", "src", "dst", "sent", "delivered", "fate", "bytes"),
    "events": ("time", "node", "event", "detail"),
    "links": ("src", "dst", "src_role", "dst_role", "messages", "bytes", "lost", "duplicated"),
    "nodes": (
        *("node", "role", "region", "messages_in", "messages_out", "bytes_out", "busy", "utilisation"),
        *("queue_max", "disk_syncs", "disk_bytes", "crashes"),
    ),
    "samples": ("time", "node", "gauge", "value"),
}
"""The columns of each frame (docs: Frames)."""

FULL_COLUMNS: dict[str, tuple[str, ...]] = {
    **COLUMNS,
    "operations": (*COLUMNS["operations"], "sequence", "call_step", "return_step"),
    "messages": (*(*COLUMNS["messages"], "id", "step", "content", "operations", "ready", "handed", "copy"),),
    "steps": ("id", "time", "node", "incarnation", "cause", "handler", "state"),
}
"""Those of a run with a full trace (docs/trace.md)."""


class Recorder:
    """Rows of a run, one list of tuples per frame. ``share``: of the messages that are recorded (0 to 1).

    ``packed``: the rows of messages are in `PackedRows`, for the compiled engine.
    """

    def __init__(self, *, full: bool = False, share: float = 1.0, packed: bool = False) -> None:
        self.columns = FULL_COLUMNS if full else COLUMNS
        self.share = share
        self.operations: list[tuple[Any, ...]] = []
        self.messages: Any = PackedRows() if packed else []
        self.events: list[tuple[Any, ...]] = []
        self.links: list[tuple[Any, ...]] = []
        self.nodes: list[tuple[Any, ...]] = []
        self.samples: list[tuple[Any, ...]] = []
        self.steps: list[tuple[Any, ...]] = []
        self._processes = 0

    def new_process(self) -> int:
        """The number of a new client session."""
        self._processes += 1
        return self._processes - 1

    def frame(self, name: str) -> pd.DataFrame:
        """Build one frame. Raises KeyError for a name that is not in ``columns``."""
        import pandas as pd

        columns = self.columns[name]
        rows = getattr(self, name)
        if not rows:
            frame = pd.DataFrame({column: pd.Series(dtype=_dtype(column)) for column in columns})
            return self._with_share(frame) if name == "messages" else frame
        # dtype object for what clients read and wrote: None is a value there, and an int stays an int.
        frame = pd.DataFrame(
            {
                column: pd.Series(list(values), dtype=object) if column in _ANY_VALUE else list(values)
                for column, values in zip(columns, zip(*rows, strict=True), strict=True)
            }
        )
        if name == "operations":
            frame = frame.sort_values(["called", "process"], kind="stable", ignore_index=True)
        return self._with_share(frame) if name == "messages" else frame

    def _with_share(self, messages: pd.DataFrame) -> pd.DataFrame:
        """Of a sample, the column that says so: each row stands for one message over ``share``."""
        return messages.assign(share=self.share) if 0.0 < self.share < 1.0 else messages

    def lengths(self) -> dict[str, int]:
        """How many rows each frame has so far."""
        return {name: len(getattr(self, name)) for name in self.columns}

    def cut_back(self, lengths: dict[str, int]) -> None:
        """Delete all rows that were appended after `lengths` returned ``lengths``."""
        for name, length in lengths.items():
            del getattr(self, name)[length:]

    def digest(self) -> str:
        """A digest of everything recorded: equal for equal runs, in every process."""
        digest = blake2b(digest_size=16)
        for name in self.columns:
            digest.update(name.encode())
            for row in getattr(self, name):
                digest.update(repr(row).encode())
        return digest.hexdigest()


_ANY_VALUE = frozenset({"value", "result", "detail"})


def _dtype(column: str) -> str:
    whole = {"id", "step", "incarnation", "sequence", "call_step", "return_step"}
    if column in whole:
        return "int64"
    numeric = {
        "ready",
        "handed",
        "called",
        "returned",
        "latency",
        "sent",
        "delivered",
        "time",
        "busy",
        "utilisation",
    }
    return "float64" if column in numeric else "object"
