"""Charts of epidemics and detectors draw what the frames say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from sim.analysis.plots.membership import detection_tradeoff, residue_by_traffic, share_informed


def test_shares_and_their_recurrence_are_drawn_in_percent() -> None:
    spreads = pd.DataFrame({"run": ["push"] * 3, "cycle": [0, 1, 2], "share": [0.01, 0.5, 1.0]})
    ax = share_informed(spreads, {"push": pd.Series([0.01, 0.4, 0.9])})
    drawn, theory = ax.get_lines()[0], ax.get_lines()[1]
    assert list(drawn.get_ydata()) == pytest.approx([1.0, 50.0, 100.0])
    assert list(theory.get_ydata()) == pytest.approx([1.0, 40.0, 90.0])
    assert theory.get_color() == drawn.get_color()
    pyplot.close("all")


def test_a_residue_of_zero_is_hollow_at_the_foot() -> None:
    points = pd.DataFrame(
        {"run": ["pull"] * 3, "k": [1, 2, 3], "traffic": [1.0, 2.0, 3.0], "residue": [0.1, 0.01, 0.0]}
    )
    ax = residue_by_traffic(points)
    law = ax.get_lines()[0]
    assert np.asarray(law.get_ydata()) == pytest.approx(np.exp(-np.asarray(law.get_xdata())))
    hollow = next(line for line in ax.get_lines() if line.get_markerfacecolor() == "white")
    assert list(hollow.get_xdata()) == [3.0]
    assert 0.0 < float(np.asarray(hollow.get_ydata())[0]) < 0.01
    pyplot.close("all")


def test_detectors_are_drawn_by_family_with_the_names_of_their_settings() -> None:
    points = pd.DataFrame(
        {
            "run": ["phi", "phi", "SWIM"],
            "setting": ["1", "8", "4 periods"],
            "detection": [0.1, 0.2, 2.0],
            "false_per_hour": [100.0, 10.0, 0.0],
        }
    )
    ax = detection_tradeoff(points)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines["phi"].get_xdata()) == [100.0, 10.0]
    assert list(lines["phi"].get_ydata()) == [0.1, 0.2]
    assert 0.0 < float(np.asarray(lines["SWIM"].get_xdata())[0]) < 10.0
    assert {"1", "8", "4 periods", "none"} <= {text.get_text() for text in ax.texts}
    pyplot.close("all")
