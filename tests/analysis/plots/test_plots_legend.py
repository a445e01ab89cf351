"""A legend has as many columns as fit beside each other, as matplotlib fills them."""

from __future__ import annotations

import pytest
from matplotlib import pyplot

from sim.analysis.plots.style import legend, one_axes


@pytest.mark.parametrize(
    "letters",
    [
        [
            22,
            29,
            22,
            44,
            44,
            29,
            44,
            29,
            22,
            45,
            30,
            23,
        ],  # ten entries before two would fit; six and six do not
        [5] * 12,
        [20, 30],
        [90, 5],
        [8, 8, 8, 8, 8],
    ],
)
def test_no_legend_is_wider_than_its_figure(letters: list[int]) -> None:
    ax = one_axes(None)
    figure = ax.get_figure(root=True)
    assert figure is not None
    for number, length in enumerate(letters):
        ax.plot([0, 1], [number, number], label=("setting detection " * 9)[:length])
    figure.draw_without_rendering()
    legend(ax)
    figure.draw_without_rendering()
    made = ax.get_legend()
    assert made is not None
    if max(letters) < 60:
        assert made.get_window_extent().x1 <= figure.bbox.x1
    assert (made._ncols > 1) is (letters in ([5] * 12, [20, 30], [8] * 5))  # type: ignore[attr-defined]
    pyplot.close(figure)
