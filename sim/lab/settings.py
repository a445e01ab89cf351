"""What comparisons and sweeps have in common: several settings, each measured under several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from sim.arguments import checked_methods

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Better", "MeasuredSettings"]

Better = Literal["lower", "higher"]


@checked_methods
class MeasuredSettings:
    """Settings that were measured under several seeds: the base of comparisons and sweeps."""

    summaries: pd.DataFrame

    @property
    def distinguished_by(self) -> tuple[str, ...]:
        """The columns of ``summaries`` that distinguish the settings."""
        raise NotImplementedError(f"{type(self).__name__} does not say what distinguishes its settings")

    def frontier(
        self, *measures: str, better: Mapping[str, Better] | None = None, confidence: float = 0.95
    ) -> pd.DataFrame:
        """The settings, and which of them no other one surely beats in these measures; see `sim.lab.frontier`."""
        from sim.analysis.frontier import frontier

        return frontier(
            self.summaries, list(measures), by=self.distinguished_by, better=better, confidence=confidence
        )
