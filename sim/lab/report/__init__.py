"""Reports: a run, a comparison, a sweep or a fuzzed story as one HTML file, for readers without Python."""

from __future__ import annotations

__all__: list[str] = []
