"""Makes the data of docs/howto_decide.md: pings of five sites, a trace of five minutes, and an incident.

All of it is made up, with fixed seeds; run this file to make it again. In the incident, the uplink of frankfurt is
congested from 10 to 35 s: its four links slow down together, and go silent together for moments of up to two seconds.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SITES = ("frankfurt", "dublin", "stockholm", "milan", "madrid")
ROUND_TRIPS_MS = {
    ("frankfurt", "dublin"): 25.0,
    ("frankfurt", "stockholm"): 22.0,
    ("frankfurt", "milan"): 10.0,
    ("frankfurt", "madrid"): 32.0,
    ("dublin", "stockholm"): 38.0,
    ("dublin", "milan"): 33.0,
    ("dublin", "madrid"): 37.0,
    ("stockholm", "milan"): 31.0,
    ("stockholm", "madrid"): 50.0,
    ("milan", "madrid"): 26.0,
}
PINGS = 20
REQUESTS, MINUTES = 600, 5
EVERY, LENGTH, BEGIN, END = 0.25, 45.0, 10.0, 35.0


def main() -> None:
    """Write all files beside this one."""
    pings(np.random.default_rng(1))
    trace(np.random.default_rng(2))
    incident(np.random.default_rng(3))


def pings(rng: np.random.Generator) -> None:
    """What `ping -c 20` prints on each site, for each site after it."""
    for site in SITES[:-1]:
        lines = []
        for number, other in enumerate(SITES):
            if (site, other) not in ROUND_TRIPS_MS:
                continue
            address = f"198.51.100.{number + 1}"
            trips = ROUND_TRIPS_MS[site, other] + rng.gamma(1.5, 0.6, PINGS)
            answered = rng.random(PINGS) > 0.01
            lines.append(f"PING {other} ({address}) 56(84) bytes of data.")
            lines += [
                f"64 bytes from {other} ({address}): icmp_seq={i} ttl=57 time={trip:.1f} ms"
                for i, (trip, got) in enumerate(zip(trips, answered, strict=True), 1)
                if got
            ]
            heard = trips[answered]
            lost = 100 * (PINGS - len(heard)) / PINGS
            lines += [
                "",
                f"--- {other} ping statistics ---",
                f"{PINGS} packets transmitted, {len(heard)} received, {lost:g}% packet loss, time {1001 * PINGS}ms",
                f"rtt min/avg/max/mdev = {heard.min():.3f}/{heard.mean():.3f}/{heard.max():.3f}/{heard.std():.3f} ms",
                "",
            ]
        (HERE / "ping" / f"{site}.txt").write_text("\n".join(lines))


def trace(rng: np.random.Generator) -> None:
    """Requests as a proxy might log them: milliseconds since 1970, most of them to few objects."""
    times = np.sort(rng.uniform(0.0, 60.0 * MINUTES, REQUESTS))
    lines = ["timestamp,site,user,operation,object"]
    for at in times:
        site = SITES[int(rng.choice(len(SITES), p=(0.4, 0.2, 0.15, 0.15, 0.1)))]
        user = f"{site[:3]}{int(rng.integers(6))}"
        kind = "READ" if rng.random() < 0.7 else "UPDATE"
        lines.append(
            f"{1_700_000_000_000 + round(1e3 * at)},{site},{user},{kind},item{min(int(rng.zipf(1.5)), 99)}"
        )
    (HERE / "trace.csv").write_text("\n".join(lines) + "\n")


def incident(rng: np.random.Generator) -> None:
    """Four round trips a second between all sites; the links of frankfurt share its congested uplink."""
    silent = silences(rng)
    lines = ["time,src,dst,rtt_ms"]
    for i in range(round(LENGTH / EVERY)):
        now = i * EVERY
        queue = float(rng.gamma(1.5, 40.0)) if BEGIN <= now < END else 0.0
        lost = any(a <= now < b for a, b in silent)
        for (src, dst), base in ROUND_TRIPS_MS.items():
            slow = src == "frankfurt"
            trip = base + float(rng.gamma(1.5, 0.5)) + (queue if slow else 0.0)
            lines.append(f"{now:g},{src},{dst}," + ("" if slow and lost else f"{trip:.1f}"))
    (HERE / "incident.csv").write_text("\n".join(lines) + "\n")


def silences(rng: np.random.Generator) -> list[tuple[float, float]]:
    """When the uplink is silent: short moments often, a few that last seconds."""
    found, now = [], BEGIN
    while now < END:
        now += float(rng.exponential(2.0))
        length = float(min(rng.lognormal(np.log(0.5), 0.8), 2.0))
        found.append((now, now + length))
        now += length
    return found


if __name__ == "__main__":
    main()
