"""What comparisons and sweeps have in common: several settings, each measured under several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from sim.arguments import checked_methods
from sim.lab.own import in_own_words

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.quantities import Quantity

__all__ = ["Better", "MeasuredSettings"]

Better = Literal["lower", "higher"]


@checked_methods
@in_own_words
class MeasuredSettings:
    """Settings that were measured under several seeds: the base of comparisons and sweeps."""

    summaries: pd.DataFrame

    @property
    def distinguished_by(self) -> tuple[str, ...]:
        """The columns of ``summaries`` that distinguish the settings."""
        raise NotImplementedError(f"{type(self).__name__} does not say what distinguishes its settings")

    def own_quantities(self) -> tuple[Quantity, ...]:
        """The names, units and directions of the measures that the scenarios add."""
        raise NotImplementedError(f"{type(self).__name__} does not say which measures it has")

    def own_names(self) -> tuple[str, ...]:
        """The names of the measures that the scenarios add to those of every run."""
        return tuple(one.name for one in self.own_quantities())

    def frontier(
        self, *measures: str, better: Mapping[str, Better] | None = None, confidence: float = 0.95
    ) -> pd.DataFrame:
        """The settings, and which of them no other one surely beats in these measures; see `sim.lab.frontier`."""
        from sim.analysis.frontier import frontier

        return frontier(
            self.summaries, list(measures), by=self.distinguished_by, better=better, confidence=confidence
        )
