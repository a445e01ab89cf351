"""Frames on disk: always CSV, and also Parquet if pyarrow is installed. Files are written atomically.

Columns with values of any type (keys, values, results, event details) are written as text. A string is written as it
is, unless it is valid JSON. Any other value is written as JSON in the written form (`sim.written.tree`): a tuple is an
array; lists, sets and so on are marked with their type. A missing value is an empty field. A value without written
form, such as an object of a protocol, is read back as its text.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from sim.arguments import checked
from sim.values import is_message
from sim.written.tree import from_tree, to_tree

__all__ = [
    "ANY_VALUE",
    "TEXT",
    "atomic",
    "csv_of",
    "frame_of_csv",
    "has_parquet",
    "read_frame",
    "read_frames",
    "write_frame",
    "write_frames",
]

ANY_VALUE = frozenset({"process", "key", "value", "result", "detail"})
"""Columns whose cells may be of any type."""

TEXT = frozenset(
    {"run", "system", "guarantee", "checked", "kind", "status", "node", "region", "event", "gauge", "fate"}
    | {"src", "dst", "role", "src_role", "dst_role", "measure", "fault", "label", "error"}
)
"""Columns of text, which stay text even if they look like numbers."""


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A context with a temporary path beside `path`: on success the file replaces `path`, else it is deleted.

    The temporary path has the same suffix, because some writers choose the format by it. Missing folders are made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def has_parquet() -> bool:
    """Whether pyarrow is installed (it is not imported)."""
    return importlib.util.find_spec("pyarrow") is not None


def _encode(value: Any) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value or '""'
    return json.dumps(_tree(value), ensure_ascii=False)


def _tree(value: Any) -> Any:
    """The written form of a value, with null for None; an object without written form becomes its text."""
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, tuple):  # a named one, too
        return [_tree(item) for item in value]
    if type(value) is list:
        return {"class": "list", "of": [_tree(item) for item in value]}
    if isinstance(value, Mapping):
        if all(type(name) is str for name in value) and "class" not in value:
            return {name: _tree(item) for name, item in value.items()}
        return {"class": "dict", "of": [[_tree(name), _tree(item)] for name, item in value.items()]}
    if isinstance(value, set | frozenset):
        items = sorted(map(_tree, value), key=lambda item: json.dumps(item, sort_keys=True))
        return {"class": type(value).__name__, "of": items}
    if isinstance(value, str | int | float | bytes | np.generic):
        return to_tree(value)
    if is_message(value) and type(value).__module__.startswith("sim."):
        try:
            return to_tree(value)
        except ValueError:  # it holds an object
            return str(value)
    return str(value)


def _decode(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        tree = json.loads(text)
    except ValueError:
        return text
    return from_tree(tree) if isinstance(tree, dict | list) else tree


def _converted(frame: pd.DataFrame, convert: Callable[[Any], Any]) -> pd.DataFrame:
    """The frame, with every cell of the columns for values of any type converted."""
    columns = {
        name: pd.Series([convert(cell) for cell in frame[name]], index=frame.index, dtype=object)
        for name in frame.columns
        if name in ANY_VALUE
    }
    return frame.assign(**columns)


def _typed(column: pd.Series) -> pd.Series:
    """A column of texts, converted to bool, int or float if all its values can be; else unchanged."""
    missing = column.isna().to_numpy()
    if len(column) and not missing.any() and column.isin(["True", "False"]).all():
        return column == "True"
    kinds = (float,) if missing.any() or not len(column) else (int, float)
    for kind in kinds:
        try:
            values = [math.nan if gap else kind(text) for text, gap in zip(column, missing, strict=True)]
        except ValueError:
            continue
        return pd.Series(values, index=column.index, dtype=kind)
    return column


@checked
def write_frame(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write one frame, without its index, as CSV or Parquet (by the suffix of `path`); returns the path.

    Raises:
        ValueError: another suffix, or Parquet without pyarrow.
    """
    return _write(_converted(frame, _encode), Path(path))


def _write(encoded: pd.DataFrame, target: Path) -> Path:
    if target.suffix not in {".csv", ".parquet"}:
        raise ValueError(f"frames are written as .csv or .parquet, not {target.name!r}")
    if target.suffix == ".parquet" and not has_parquet():
        raise ValueError(f"{target.name!r}: Parquet needs pyarrow (pip install quorumlab[parquet])")
    with atomic(target) as temporary:
        if target.suffix == ".csv":
            temporary.write_text(_csv(encoded), encoding="utf-8")
        else:
            encoded.to_parquet(temporary, index=False)
    return target


@checked
def csv_of(frame: pd.DataFrame) -> str:
    """A frame, without its index, as CSV."""
    return _csv(_converted(frame, _encode))


def _csv(encoded: pd.DataFrame) -> str:
    return str(encoded.to_csv(index=False, lineterminator="\n"))


@checked
def write_frames(
    frames: Mapping[str, pd.DataFrame], folder: Path | str, *, parquet: bool | None = None
) -> list[Path]:
    """Write each frame as `<name>.csv` in `folder`, and also as `<name>.parquet`; returns the paths.

    Args:
        frames: name → frame.
        folder: the folder; made if missing.
        parquet: whether to write Parquet, too; None: if pyarrow is installed.
    """
    wanted = has_parquet() if parquet is None else parquet
    suffixes = (".csv", ".parquet") if wanted else (".csv",)
    paths = []
    for name, frame in frames.items():
        encoded = _converted(frame, _encode)
        paths += [_write(encoded, Path(folder) / f"{name}{suffix}") for suffix in suffixes]
    return paths


@checked
def read_frame(path: Path | str) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: neither .csv nor .parquet.
    """
    source = Path(path)
    if source.suffix == ".parquet":
        return _converted(pd.read_parquet(source), _decode)
    if source.suffix != ".csv":
        raise ValueError(f"frames are read from .csv or .parquet, not {source.name!r}")
    return frame_of_csv(source)


@checked
def frame_of_csv(source: Path | IO[str]) -> pd.DataFrame:
    """The frame that `csv_of` wrote."""
    # Only an empty field is a missing value: a region may be called "NA". Numbers are read by Python's float, which
    # restores every bit; the readers of pandas differ between versions.
    frame = pd.read_csv(source, dtype=str, keep_default_na=False, na_values=[""])
    numbers = {name: _typed(frame[name]) for name in frame.columns if name not in TEXT | ANY_VALUE}
    if {"event", "node"} <= {*frame.columns}:
        numbers["node"] = frame["node"].fillna("")  # an event of no node, such as a cut, has the empty name
    return _converted(frame.assign(**numbers), _decode)


@checked
def read_frames(folder: Path | str) -> dict[str, pd.DataFrame]:
    """All frames of a folder by name, from its CSV files.

    Raises:
        FileNotFoundError: no CSV file there.
    """
    paths = sorted(Path(folder).glob("[!.]*.csv"))
    if not paths:
        raise FileNotFoundError(f"no .csv file in {str(folder)!r}")
    return {path.stem: read_frame(path) for path in paths}
