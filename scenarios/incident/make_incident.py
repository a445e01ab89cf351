"""Makes incident.csv: five round trips a second between three sites, through a brownout around one of them.

From 30 to 80 s the uplink of frankfurt is congested: its two links slow down together, and go silent together for
moments of up to some seconds. It is made up, with a fixed seed; run this file to make it again.
"""

from pathlib import Path

import numpy as np

BASE_MS = {("frankfurt", "dublin"): 25.0, ("frankfurt", "stockholm"): 22.0, ("dublin", "stockholm"): 38.0}
EVERY, LENGTH, BEGIN, END = 0.2, 120.0, 30.0, 80.0


def silences(rng: np.random.Generator) -> list[tuple[float, float]]:
    """When the uplink is silent: short moments often, a few that last seconds."""
    found, now = [], BEGIN
    while now < END:
        now += float(rng.exponential(2.5))
        length = float(min(rng.lognormal(np.log(0.35), 0.9), 3.0))
        found.append((now, now + length))
        now += length
    return found


def main() -> None:
    rng = np.random.default_rng(20)
    silent = silences(rng)
    lines = ["time,src,dst,rtt_ms"]
    for i in range(round(LENGTH / EVERY)):
        now = i * EVERY
        congested = BEGIN <= now < END
        queue = float(rng.gamma(1.5, 40.0)) if congested else 0.0  # the links of frankfurt share the uplink
        lost = any(a <= now < b for a, b in silent)
        for (src, dst), base in BASE_MS.items():
            trip = base + float(rng.gamma(1.5, 0.5))
            slow = src == "frankfurt"
            cell = "" if slow and lost else f"{trip + (queue if slow else 0.0):.2f}"
            lines.append(f"{now:.1f},{src},{dst},{cell}")
    Path(__file__).with_name("incident.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
