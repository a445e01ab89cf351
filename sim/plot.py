"""How charts look, for all charts alike: ``sim.plot.style("slide")``, a finding as a title, and saving.

>>> import sim
>>> with sim.plot.style("paper", venue="usenix", columns=2):
...     pass  # charts that are drawn here are as wide as the text of a USENIX paper
"""

from __future__ import annotations

from sim.analysis.plots.looks import style
from sim.analysis.plots.style import finding, save

__all__ = ["finding", "save", "style"]
