"""Reproduce: run again what a figure, a saved folder or a paper states, and compare the results.

`record_of` says what a figure shows (`sim.analysis.plots.save` writes it into the picture), `reproduce` reads that,
runs it again, and compares.
"""

from __future__ import annotations

from sim.lab.reproduce.again import reproduce
from sim.lab.reproduce.answers import Reproduced, judged
from sim.lab.reproduce.record import FigureRecord, GroupRecord, record_of

__all__ = ["FigureRecord", "GroupRecord", "Reproduced", "judged", "record_of", "reproduce"]
