"""Makes docs/gallery.md: every story in scenarios/ told in full, with its first chart and its conclusion.

    python docs/make_gallery.py               # all stories, as many at a time as there are cores
    python docs/make_gallery.py split_brain   # one of them, the others as they are

What a story said last is kept in docs/images/gallery/STORY.json beside its picture, so that one can be told again.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "images" / "gallery"
SEED = 1
WIDTH = 960  # pixels
COLOURS = 96

TOPICS = {
    "consensus": "Consensus",
    "replication": "Replication",
    "membership": "Membership and failure detection",
    "communication": "Communication",
    "balancing": "Load balancing",
}


def tell(path: Path) -> None:
    """Run one story, and keep its picture and what it said."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    script = runpy.run_path(str(path))
    scenario = script["scenario"]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        said = script["tell"](scenario, SEED, Path(folder))
        pictures = sorted(Path(folder).rglob("*.png"), key=lambda picture: picture.stat().st_mtime_ns)
        shrink(pictures[0], PICTURES / f"{path.stem}.png")
    title, _, text = (script["__doc__"] or "").strip().partition("\n")
    entry = {"title": title, "text": text.strip(), "said": said.strip(), "topic": topic_of(scenario.system)}
    (PICTURES / f"{path.stem}.json").write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    print(path.stem, flush=True)


def topic_of(system: object) -> str:
    """The family of protocols that a system belongs to, by where its class is defined."""
    parts = type(system).__module__.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in TOPICS else "replication"


def shrink(picture: Path, target: Path) -> None:
    """A picture for a page: as wide as a page, and with as few colours as a chart needs."""
    with Image.open(picture) as full:
        height = round(full.height * WIDTH / full.width)
        small = full.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def page() -> str:
    """The page, of what all stories said last."""
    entries = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(PICTURES.glob("*.json"))}
    lines = [
        "# Gallery",
        "",
        f"Each story is a script in `scenarios/`; its picture and conclusion come from seed {SEED} (`make gallery`).",
    ]
    for topic, heading in TOPICS.items():
        lines += ["", f"## {heading}"]
        for name, entry in entries.items():
            if entry["topic"] == topic:
                lines += [
                    "",
                    f"### {entry['title'].removesuffix('.')}",
                    "",
                    *([entry["text"], ""] if entry["text"] else []),
                    f"![{entry['title']}](images/gallery/{name}.png)",
                    "",
                    *(f"> {line}  " for line in entry["said"].splitlines()),
                    "",
                    f"`sim run scenarios/{name}.py`",
                ]
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Tell the stories (all of them unless some are named), and write the page."""
    stories = {path.stem: path for path in sorted((ROOT / "scenarios").glob("*.py"))}
    unknown = [name for name in names if name not in stories]
    if unknown:
        sys.exit(f"there is no story {', '.join(unknown)} in scenarios/")
    PICTURES.mkdir(parents=True, exist_ok=True)
    if not names:
        for old in PICTURES.iterdir():
            if old.stem not in stories:
                old.unlink()
    chosen = [path for name, path in stories.items() if not names or name in names]
    with ProcessPoolExecutor(mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        list(pool.map(tell, chosen))
    (ROOT / "docs" / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
