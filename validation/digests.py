"""Digests of many runs: equal before and after a move, a rename or an optimisation.

    python validation/digests.py --write before.json                 # at the old commit
    python validation/digests.py --compare before.json               # at the new one: exit 1 where a run differs
    python validation/digests.py --write before.json --words map.json    # a rename: old word -> new word, in rows

Three kinds of runs, over all systems of the library and their options: storms, checked and traced; the same scenarios
unchecked and untraced, because checking switches the quick path through links and hosts off; and the golden traces
(their files, as they are). Each run is told by the digest of its rows, frame by frame, and by its number of events.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

from sim import protocols
from sim.lab import Scenario, draw_storm
from sim.protocols import Dynamo, MultiPaxos, PrimaryBackup, Raft
from sim.recorder import COLUMNS
from sim.system import System

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
STORMS, BARE = 200, 100
STORM = 2.0  # simulated seconds each
OPTIONS: dict[str, System] = {
    "Raft, all": Raft(
        pre_vote=True, check_quorum=True, fast_backtracking=True, snapshot_every=20, batch=4, batch_wait=0.001,
        pipeline=4, reads="index", membership="joint", transfer=True,
    ),
    "Raft, lease": Raft(nodes=3, reads="lease"),
    "MultiPaxos, lease": MultiPaxos(nodes=3, lease=0.4, drift=0.01),
    "PrimaryBackup, semi-sync": PrimaryBackup(nodes=3, mode="semi-sync"),
    "PrimaryBackup, async": PrimaryBackup(nodes=3, mode="async"),
    "Dynamo, sloppy": Dynamo(sloppy=True),
}  # fmt: skip


def systems() -> dict[str, System]:
    """All systems that can be made without arguments, and some with options."""
    made = dict(OPTIONS)
    for name in protocols.__all__:
        kind = getattr(protocols, name)
        if isinstance(kind, type) and issubclass(kind, System):
            try:
                made[name] = kind()
            except (TypeError, ValueError):
                continue
    return made


def runs() -> Iterator[tuple[str, Scenario, int]]:
    """Name, scenario and seed of each run."""
    named = list(systems().items())
    for number in range(STORMS):
        name, system = named[number % len(named)]
        scenario = dataclasses.replace(draw_storm(system, number, length=STORM), trace=True)
        yield f"storm {number} of {name}", scenario, number
        if number < BARE:
            yield f"bare {number} of {name}", dataclasses.replace(scenario, trace=False, check=False), number


def digest(task: tuple[str, Scenario, int, dict[str, str]]) -> tuple[str, dict[str, object]]:
    """Run a scenario, and tell its rows by a digest for each frame."""
    name, scenario, seed, words = task
    run = scenario.run(seed)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b") if words else None
    told: dict[str, object] = {"events processed": run.events_processed}
    for frame in COLUMNS:
        made = blake2b(digest_size=8)
        for row in run._recorder.__dict__[frame]:
            text = repr(row)
            made.update((pattern.sub(lambda m: words[m.group(1)], text) if pattern else text).encode())
        told[frame] = made.hexdigest()
    told["violation"] = str(run.violation and run.violation.time)
    return name, told


def collect(words: dict[str, str], workers: int) -> dict[str, dict[str, object]]:
    """All runs and all golden traces."""
    tasks = [(name, scenario, seed, words) for name, scenario, seed in runs()]
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        found = dict(pool.map(digest, tasks, chunksize=4))
    for path in sorted(GOLDEN.glob("*.txt")):
        found[f"golden {path.stem}"] = {"text": blake2b(path.read_bytes(), digest_size=8).hexdigest()}
    return found


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--words", type=Path, help="JSON: recorded word -> what it is called now")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if (options.write is None) == (options.compare is None):
        parser.error("give one of --write FILE and --compare FILE")
    words = json.loads(options.words.read_text()) if options.words else {}
    found = collect(words, options.workers)
    if options.write is not None:
        options.write.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{len(found)} digests: {options.write}")
        return 0
    before = json.loads(options.compare.read_text(encoding="utf-8"))
    differing = [name for name in {**before, **found} if before.get(name) != found.get(name)]
    for name in differing[:20]:
        ours, theirs = found.get(name, {}), before.get(name, {})
        print(f"differs: {name}: {', '.join(k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k))}")
    print(f"{len(found) - len(differing)} of {len(found)} equal")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
