"""The space-time page of a run as a widget of a notebook, by anywidget; the ES module is that of reports."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sim.page import asset, packed

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["space_time_widget"]


def space_time_widget(run: Run) -> Any:
    """The widget. Raises ImportError, with what to install, where anywidget is missing."""
    from sim.lab.report.parts import data_of

    drawn, details = data_of(run)
    return _widget_class()(drawn=packed(drawn), details=packed(details))


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as missing:
        raise ImportError(
            "the page in a notebook needs anywidget: pip install quorumlab[notebook]; run.report(path) needs nothing"
        ) from missing

    class SpaceTimeWidget(anywidget.AnyWidget):
        """Two packed parts, and the module that shows them."""

        _esm = asset("spacetime.js")
        drawn = traitlets.Bytes().tag(sync=True)
        details = traitlets.Bytes().tag(sync=True)

    return SpaceTimeWidget
