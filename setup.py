"""Builds the compiled engine (see `sim.engine`); what else is to say about the package is in pyproject.toml.

Each extension is optional: where there is no C compiler, the package installs without them. ``QUORUMLAB_PURE=1`` leaves
them out, so that the wheel is pure Python.
"""

import os
import sys
from pathlib import Path
from runpy import run_path
from unittest.mock import patch

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class BuildOrLeaveOut(build_ext):
    """What cannot be built is left out; an older build of it does not stay behind."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension. Raises what setuptools passes over, as each is optional."""
        try:
            super().build_extension(ext)
        except Exception:
            for old in (Path(self.get_ext_fullpath(ext.name)), ROOT / self.get_ext_filename(ext.name)):
                old.unlink(missing_ok=True)
            raise


def extensions() -> list[Extension]:
    """The compiled build of each pair of modules, with a digest of the sources of all."""
    with patch.dict(os.environ, SIM_ENGINE="python"):  # the module chooses an engine when it is run
        engine = run_path(str(ROOT / "sim" / "engine.py"))
    sources = engine["digest_of_sources"](ROOT / "sim")
    written = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "sim").rglob("_*.p[yx][xd]"))
    names = [str(Path("sim", pair).with_name(f"_{Path(pair).name}")) for pair in engine["PAIRS"]]
    return [
        Extension(
            name.replace(os.sep, "."),
            [f"{name}.pyx"],
            depends=written,
            define_macros=[("QUORUMLAB_SOURCES", f'"{sources}"')],
            optional=True,
        )
        for name in names
    ]


# Stories and examples come along in a wheel: `sim run raft_failover` works after an installation. An editable
# installation has them in the clone; without them it is one line in a .pth file, which type checkers follow, too.
STORIES = {} if "editable_wheel" in sys.argv else {"sim.scenarios": "scenarios", "sim.examples": "examples"}
LEFT_OUT = ["*.py[co]", ".*", "*/.*", "results/*", "*/results/*"]  # a star stands for slashes, too

setup(
    packages=[*find_packages(include=["sim", "sim.*"]), *STORIES],
    package_dir={"": ".", **STORIES},
    include_package_data=False,
    package_data={
        "sim": ["py.typed"],
        "sim.network": ["data/*"],
        "sim.page": ["*.js", "*.css", "*.html"],
        **{package: ["**/*"] for package in STORIES},
    },
    exclude_package_data=dict.fromkeys(STORIES, LEFT_OUT),
    ext_modules=[] if os.environ.get("QUORUMLAB_PURE") else extensions(),
    cmdclass={"build_ext": BuildOrLeaveOut},
)
