"""What comparisons and sweeps have in common: several settings, each measured under several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from sim.arguments import checked_methods
from sim.lab.own import in_own_words

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.advice import Advice
    from sim.analysis.quantities import Quantity
    from sim.lab.run import Run

__all__ = ["Better", "MeasuredSettings"]

Better = Literal["lower", "higher"]


@checked_methods
@in_own_words
class MeasuredSettings:
    """Settings that were measured under several seeds: the base of comparisons and sweeps."""

    summaries: pd.DataFrame
    runs: list[Run]

    @property
    def distinguished_by(self) -> tuple[str, ...]:
        """The columns of ``summaries`` that distinguish the settings."""
        raise NotImplementedError(f"{type(self).__name__} does not say what distinguishes its settings")

    def own_quantities(self) -> tuple[Quantity, ...]:
        """The names, units and directions of the measures that the scenarios add."""
        raise NotImplementedError(f"{type(self).__name__} does not say which measures it has")

    def _own_quantities(self) -> tuple[Quantity, ...]:
        return self.own_quantities()

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

    def failovers(self) -> pd.DataFrame:
        """Each crash of a leader in each run, with its setting and ``seed``; see `Run.failovers`."""
        import pandas as pd

        kept = list(dict.fromkeys([*self.distinguished_by, "seed"]))
        summaries = self.summaries
        frames = []
        for at, run in enumerate(self.runs):
            found = run.failovers()
            for place, name in enumerate(kept):
                found.insert(place, name, [summaries[name].iloc[at]] * len(found))
            frames.append(found)
        whole = [found for found in frames if len(found)]
        return pd.concat(whole, ignore_index=True) if whole else frames[0]

    def failover_times(
        self, quantiles: Sequence[float] = (0.5, 0.9), *, confidence: float = 0.95
    ) -> pd.DataFrame:
        """For each setting: quantiles and the worst of the times of failover, all seeds together, with intervals.

        See `sim.analysis.failovers.failover_times`.
        """
        from sim.analysis.failovers import failover_times

        by = self.distinguished_by
        return failover_times(self.failovers(), by=by, quantiles=quantiles, confidence=confidence)

    def advice(self, *measures: str) -> list[Advice]:
        """What rules say of the settings, in sentences; nothing where intervals overlap or seeds are too few.

        ``measures``: those by which settings are compared, two or more; none: those of `sim.analysis.advice.DECIDING`
        and the added ones of known direction.
        """
        from sim.analysis.advice import advice

        return advice(
            self.summaries, by=self.distinguished_by, measures=list(measures) or None, own=self.own_names()
        )
