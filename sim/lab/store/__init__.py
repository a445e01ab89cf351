"""The result store: one SQLite file that sweeps, comparisons and campaigns write as they go, and go on from.

A run is known by a key (its scenario in the written form, and the code that ran it) and its seed: a changed scenario or
version is another key, so that its runs are made again, and the earlier ones stay apart.
"""

from sim.lab.store.database import FILE, ResultStore
from sim.lab.store.errors import StoreError
from sim.lab.store.keys import RunKeys, refuse_unstable
from sim.lab.store.pending import RunsLeft
from sim.lab.store.reading import GridProgress, export, progress, results
from sim.lab.store.rows import Row, failed_row, read_frames, row_of, run_of_row

__all__ = [
    "FILE",
    "GridProgress",
    "ResultStore",
    "Row",
    "RunKeys",
    "RunsLeft",
    "StoreError",
    "export",
    "failed_row",
    "progress",
    "read_frames",
    "refuse_unstable",
    "results",
    "row_of",
    "run_of_row",
]
