"""Pages in HTML: the space-time page (an ES module of its own), and what reports are made of.

`spacetime.js` draws a run on a canvas; it is the same module in a report and in a notebook. All text of a run gets into
a page as text: through the escaping of Jinja's templates, or packed.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["asset", "packed", "packed_text"]

_HERE = Path(__file__).parent


@cache
def asset(name: str) -> str:
    """The text of a file beside this module: the ES module, a style, a template."""
    return (_HERE / name).read_text(encoding="utf-8")


def packed(data: Mapping[str, Any]) -> bytes:
    """Plain data as JSON, compressed by gzip; equal data give equal bytes."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return gzip.compress(text.encode("utf-8", "surrogatepass"), 6, mtime=0)


def packed_text(data: Mapping[str, Any]) -> str:
    """`packed`, as text for a page (base64): it has no letter that means anything in HTML."""
    return base64.b64encode(packed(data)).decode("ascii")
