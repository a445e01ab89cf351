"""Prose is plain modern English, for readers whose first language is another: no turn that a dictionary calls dated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("sim", "scenarios", "tests", "validation", "benchmarks", "examples", "docs", "notebooks")
PAGES = [
    path
    for pattern in (
        "*.md",
        *(f"{part}/**/*{suffix}" for part in PARTS for suffix in (".py", ".md", ".ipynb")),
    )
    for path in sorted(ROOT.glob(pattern))
    if path.name not in {"CHANGELOG.md", "development.md"} and path != Path(__file__).resolve()
]

# A turn -> what to write instead.
TURNS = {
    "whom": "name the node, the client, the reader",
    "whoever": "the node that, a client that",
    "anew": "again",
    "lest": "otherwise",
    "nobody but": "only",
    "of no account": "does not matter",
    "by and by": "after some time",
    "is not to be": "must not be, cannot be",
    "so many times": "how many times, of what",
    "in vain": "without an answer, without effect, unnecessary",
    "ere": "before",
    "thus": "so",
    "hence": "so, therefore",
    "henceforth": "from now on",
    "hitherto": "until now",
    "thereof": "of it",
    "whilst": "while",
    "without further ado": "at once",
    "who answers, leads": "the replica that answers is the leader",
    "former life": "earlier incarnation",
    "another life": "another incarnation, a later incarnation",
    "new life": "new incarnation",
    "present life": "current incarnation",
    "stood still": "was paused",
    "see to it": "ensure",
    "sees to it": "ensures",
    "in its own words": "rephrased",
    "must always hold in": "the invariants of",
    "must always hold of": "the invariants of",
    "not to be seen": "invisible, cannot be read",
    "to be had": "available, reachable",
    "is no use": "does not help",
    "whatever came of": "also if it failed",
    "how-manieth": "the number of",
}
_TURN = re.compile(r"\b(" + "|".join(turn.replace(" ", r"\s+") for turn in TURNS) + r")\b", re.IGNORECASE)


def turns(text: str) -> list[str]:
    """The lines of a text with a dated turn, and what to write instead."""
    return [
        f"line {text.count(chr(10), 0, found.start()) + 1}: {found[0]!r}; "
        f"write: {TURNS[' '.join(found[0].lower().split())]}"
        for found in _TURN.finditer(text)
    ]


@pytest.mark.parametrize("turn", TURNS)
def test_a_dated_turn_is_found_also_over_two_lines(turn: str) -> None:
    assert turns("It is so.\n" + turn.replace(" ", "\n").capitalize() + " it.")
    assert not turns("Where there is a threshold, the latest wins.")


def test_no_page_or_docstring_has_a_dated_turn() -> None:
    found = [f"{path.relative_to(ROOT)}, {line}" for path in PAGES for line in turns(path.read_text("utf-8"))]
    assert not found, "\n".join(found)


# A storm is drawn from a seed, many storms are storms, and a search among them is fuzzing. A candidate campaigns.
OTHER_WORDS = re.compile(r"chaos|\bcampaign of (storms|\d)|(fuzz\w*|storm|nightly) campaign", re.IGNORECASE)


def test_a_storm_and_fuzzing_have_no_other_names() -> None:
    hits = [(path, OTHER_WORDS.search(path.read_text("utf-8"))) for path in PAGES]
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]!r}; write: storm, storms, fuzzing" for path, hit in hits if hit
    ]
    assert not found, "\n".join(found)


def test_the_other_names_of_a_storm_are_seen() -> None:
    for name in ("chaos_scenario", "a campaign of 500 runs", "the nightly campaign", "a fuzzing campaign"):
        assert OTHER_WORDS.search(name), name
    assert not OTHER_WORDS.search("a server campaigns for its term")
