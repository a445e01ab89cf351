"""Reports: a run, a comparison, a sweep or a fuzzed story as one HTML file, for readers without Python."""

from __future__ import annotations

from sim.lab.report.comparison import comparison_report
from sim.lab.report.run import run_report, run_sections
from sim.lab.report.story import story_report
from sim.lab.report.sweep import sweep_report

__all__ = ["comparison_report", "run_report", "run_sections", "story_report", "sweep_report"]
