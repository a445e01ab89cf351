"""Analysis of frames: checks, measures and charts. All are pure functions of pandas frames and use no live objects.

`checks` (consistency of the clients' history), `measures`, `outages` and `losses` (numbers of a run), `statistics`
(over seeds), `tables`, `plots` (imports matplotlib), `store` (frames on disk). This package itself imports none of
them.
"""

from __future__ import annotations

__all__: list[str] = []
