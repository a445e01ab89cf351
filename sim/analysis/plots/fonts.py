"""Fonts for Chinese, Japanese and Korean labels: the first that this machine has, else one clear word."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from sim.arguments import checked

__all__ = ["cjk_font", "with_fonts"]

_KNOWN = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *(
        "Microsoft YaHei",
        "PingFang SC",
        "Hiragino Sans GB",
        "Hiragino Sans",
        "Heiti SC",
        "SimHei",
        "Arial Unicode MS",
    ),
    *(
        "WenQuanYi Zen Hei",
        "WenQuanYi Micro Hei",
        "Droid Sans Fallback",
        "Malgun Gothic",
        "IPAGothic",
        "Yu Gothic",
    ),
)
_SPANS = (
    (0x1100, 0x11FF),
    (0x2E80, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),
    (0x20000, 0x3FFFF),
)


@checked
def cjk_font() -> str | None:
    """The name of a font with Chinese, Japanese or Korean letters that matplotlib finds here; None: there is none."""
    here = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in _KNOWN if name in here), None)


def _is_cjk(text: str) -> bool:
    return any(low <= ord(letter) <= high for letter in text for low, high in _SPANS)


@checked
@contextmanager
def with_fonts(figure: Figure) -> Iterator[None]:
    """A context in which a figure may be drawn: its labels have a font with their letters, or one warning says none is.

    Without such a font, matplotlib draws boxes, and warns once for each letter.
    """
    texts = [text for text in figure.findobj(Text) if _is_cjk(text.get_text())]
    if not texts:
        yield
        return
    font = cjk_font()
    if font is not None:
        for text in texts:
            text.set_fontfamily(["DejaVu Sans", font])
        yield
        return
    said = texts[0].get_text()
    warnings.warn(
        f"no font here has the letters of {said!r}: they are drawn as boxes. Install Noto Sans CJK (Debian: "
        f"fonts-noto-cjk), and remove matplotlib's cache of fonts",
        stacklevel=4,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
