"""Frames judged, measured and drawn: pure functions of pandas frames, which know columns and no live objects.

`checks` (what clients saw, judged), `measures` and `outages` and `losses` (numbers of a run), `statistics` (over
seeds), `tables`, `plots` (loads matplotlib), `store` (frames on disk). This package itself loads none of them.
"""

from __future__ import annotations

__all__: list[str] = []
