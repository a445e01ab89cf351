"""Readers of files that other programs write: each returns plain data and a `Note`, or refuses with file and line."""

from sim.readers.figures import Latencies, PairFigures, PairSamples
from sim.readers.latencies import read_latencies
from sim.readers.note import Note

__all__ = ["Latencies", "Note", "PairFigures", "PairSamples", "read_latencies"]
