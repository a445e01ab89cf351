"""The result store: one SQLite file. Sweeps, comparisons and storms write each run to it, and resume from it.

A run is identified by a key (its scenario in the written form, and the code that ran it) and its seed. A changed
scenario or version has another key: its runs are made again, and the earlier runs stay under their own key.
"""

from sim.lab.store.database import FILE, ResultStore
from sim.lab.store.errors import StoreError
from sim.lab.store.keys import RunKeys
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
    "results",
    "row_of",
    "run_of_row",
]
