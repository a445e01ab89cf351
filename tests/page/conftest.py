"""One Chromium for the tests of the pages; without it they say so and are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def chromium() -> str | None:
    """Debian's Chromium, or the one that CHROMIUM names; None: there is none."""
    named = os.environ.get("CHROMIUM", "")
    return next(
        filter(None, map(shutil.which, (named, "chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser of Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = chromium()
    if found is None:
        pytest.skip("there is no Chromium (apt-get install chromium): pages are not tried")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()
