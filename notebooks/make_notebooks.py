"""Execute the notebooks, and write what they show into them: `make notebooks`, or with the names of some.

A notebook is edited in Jupyter and committed with its outputs. This script runs it from top to bottom in a new kernel,
and removes what differs from one execution to the next: times of execution, versions, addresses. Under the exercise
stands a folded solution; its code runs last, and what it prints is written below it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOLUTION = re.compile(
    r"<details>\n<summary>Solution</summary>\n\n```python\n(?P<code>.*?)\n```\n"
    r"(?P<shown>\n```text\n.*?\n```\n)?(?P<words>.*?)</details>",
    re.DOTALL,
)
"""The folded solution at the end of a notebook: its code, what it prints, and a sentence or two."""


def notebooks() -> list[Path]:
    """The numbered notebooks, in their order."""
    return sorted(HERE.glob("[0-9][0-9]_*.ipynb"))


def executed(path: Path, folder: Path = HERE) -> Any:
    """The notebook after a new execution in ``folder``. Raises CellExecutionError if a cell does."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    last = notebook.cells[-1]
    code = SOLUTION.search(last.source)
    if code is None:
        raise ValueError(f"{path.name} does not end in a folded solution")
    solution = nbformat.v4.new_code_cell(code["code"])
    notebook.cells.append(solution)
    where = {"metadata": {"path": str(folder)}}
    quiet = ["--log-level=ERROR"]
    client = NotebookClient(
        notebook, timeout=600, record_timing=False, resources=where, extra_arguments=quiet
    )
    client.execute(env=_environment())
    notebook.cells.pop()
    last.source = _with_output(last.source, "".join(texts(solution)).rstrip())
    _settle(notebook)
    return notebook


def texts(cell: Any) -> Iterator[str]:
    """What a cell shows as text, piece by piece; pictures have none."""
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            yield output.text
        elif "image/png" not in output.get("data", {}):
            yield output.data["text/plain"] + "\n"


def without_pictures(notebook: Any) -> list[Any]:
    """What must be equal in two executions: sources and outputs, but of a picture only that there is one."""
    cells = []
    for cell in notebook.cells:
        outputs = [dict(output) for output in cell.get("outputs", ())]
        for output in outputs:
            if "image/png" in output.get("data", {}):
                output["data"] = {"image/png": "..."}
        cells.append((cell.cell_type, cell.source, outputs))
    return cells


def _environment() -> dict[str, str]:
    """That of this process, with this repository's `sim` and without progress bars."""
    path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    return kept | {"PYTHONPATH": path, "TQDM_DISABLE": "1"}


def _with_output(source: str, shown: str) -> str:
    """The cell of the solution with what its code prints now."""
    fence = f"\n```text\n{shown}\n```\n" if shown else ""
    return SOLUTION.sub(
        lambda found: (
            f"<details>\n<summary>Solution</summary>\n\n```python\n{found['code']}\n```\n{fence}{found['words']}</details>"
        ),
        source,
    )


def _settle(notebook: Any) -> None:
    """Keep of the metadata what says how a notebook is read, and nothing that changes by itself."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = {name: cell.metadata[name] for name in ("tags",) if name in cell.metadata}


def main(names: list[str]) -> None:
    """Execute all notebooks, or those whose names begin so."""
    import nbformat

    chosen = [path for path in notebooks() if not names or path.name.startswith(tuple(names))]
    if not chosen:
        raise SystemExit(
            f"no notebook is called {' or '.join(names)}: {', '.join(p.stem for p in notebooks())}"
        )
    for path in chosen:
        notebook = executed(path)
        new = path.with_suffix(".new")
        nbformat.write(notebook, new)
        new.replace(path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
