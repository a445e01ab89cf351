"""Units of time, as factors: ``5 * ms`` is 0.005. Simulated time is in seconds everywhere."""

from __future__ import annotations

__all__ = ["minutes", "ms", "seconds", "us"]

us: float = 1e-6
ms: float = 1e-3
seconds: float = 1.0
minutes: float = 60.0
