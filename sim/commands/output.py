"""Output of commands: pipes that close early, and checks of output folders before the work begins."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

__all__ = ["chart_file", "new_file", "out_folder", "outlive_pipes", "page_option", "prepare", "writable"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _LenientFile(io.FileIO):
    """A file that discards further output when its reader has closed the pipe (``sim list | head -1``)."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def outlive_pipes() -> None:
    """If a reader closes standard output or error early, the command still does its work, with the same exit code."""
    for name in ("stdout", "stderr"):
        stream: TextIO = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # a test, or a host such as an IDE, has its own
        stream.flush()
        raw = _LenientFile(stream.fileno(), "w", closefd=False)
        lenient = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.isatty() or name == "stderr",
        )
        setattr(sys, name, lenient)


def writable(context: click.Context, option: click.Parameter, out: Path | None) -> Path | None:
    """Callback of ``--out``: refuse a folder that cannot be made, before the work whose results would be lost."""
    if out is not None:
        _refuse_closed(out)
    return out


def _refuse_closed(out: Path) -> None:
    nearest = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise click.UsageError(f"nothing can be written to {str(out)!r}: {nearest} is no folder open to you")


def prepare(out: Path) -> Path:
    """Make the folder for results, before the work. Raises `click.UsageError` when that cannot be done."""
    _refuse_closed(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"nothing can be written to {str(out)!r}: {error.strerror}") from error
    return out


def new_file(suffix: str) -> Callable[[click.Context, click.Parameter, Path], Path]:
    """A callback for a file that a command writes: it refuses one that is there, and a name with another ending."""

    def refuse(context: click.Context, option: click.Parameter, file: Path) -> Path:
        if file.suffix != suffix:
            raise click.UsageError(f"the name of {str(file)!r} must end in {suffix}")
        if file.exists() or file.is_symlink():
            raise click.UsageError(f"{str(file)!r} is there already: name a file that is not")
        _refuse_closed(file.absolute().parent)
        if not file.absolute().parent.is_dir():
            raise click.UsageError(f"there is no folder {str(file.parent)!r}")
        return file

    return refuse


def chart_file(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Callback of ``--plot``: refuse a file that cannot be written, or with an unknown ending, before the work."""
    if file is None:
        return None
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if file.suffix.lstrip(".").lower() not in known:
        raise click.UsageError(
            f"{str(file)!r} is no chart file: its name ends in none of .{', .'.join(known)}"
        )
    return _open_to_us(file)


def _open_to_us(file: Path) -> Path:
    """Refuse a file that cannot be written."""
    folder = file.absolute().parent
    if file.is_dir():
        raise click.UsageError(f"nothing can be written to {str(file)!r}: it is a folder")
    # It is replaced as a whole, by a temporary file beside it.
    if (
        not folder.is_dir()
        or not os.access(folder, os.W_OK)
        or (file.exists() and not os.access(file, os.W_OK))
    ):
        raise click.UsageError(f"nothing can be written to {str(file)!r}: {folder} is no folder open to you")
    return file


def _page_file(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Callback of ``-o`` for a page: refuse a file that cannot be written, or with another ending, before the work."""
    if file is None:
        return None
    if file.suffix not in (".html", ".htm"):
        raise click.UsageError(f"a page is an HTML file: the name of {str(file)!r} must end in .html")
    return _open_to_us(file)


def page_option(words: str, default: Path | None = None) -> Callable[[_Command], _Command]:
    """The option ``-o FILE`` of a command that writes a page."""
    return click.option(
        "-o",
        "--output",
        "file",
        type=click.Path(path_type=Path),
        callback=_page_file,
        default=default,
        show_default=default is not None,
        metavar="FILE",
        help=words,
    )


def out_folder(words: str, default: Path | None = None) -> Callable[[_Command], _Command]:
    """The option ``--out FOLDER`` of a command that writes results."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        callback=writable,
        default=default,
        show_default=default is not None,
        metavar="FOLDER",
        help=words,
    )
