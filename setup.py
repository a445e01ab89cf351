"""Builds the compiled engine (see `sim.engine`); everything else about the package is in pyproject.toml.

Each extension is optional: where there is no C compiler, the package installs without it. ``QUORUMLAB_PURE=1`` leaves
the extensions out, so that the wheel is pure Python.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "sim"))


def extensions() -> list[Extension]:
    """The compiled build of each pair of modules."""
    chosen = os.environ.get("SIM_ENGINE")
    os.environ["SIM_ENGINE"] = "python"  # the module below chooses an engine when it is imported
    from engine import PAIRS, digest_of_sources

    os.environ.pop("SIM_ENGINE") if chosen is None else os.environ.update(SIM_ENGINE=chosen)
    sources = digest_of_sources(ROOT / "sim")
    names = [str(Path("sim", pair).with_name(f"_{Path(pair).name}")) for pair in PAIRS]
    written = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "sim").rglob("_*.p[yx][xd]"))
    return [
        Extension(
            name.replace(os.sep, "."),
            [f"{name}.pyx"],
            depends=written,  # the digest is that of all
            define_macros=[("QUORUMLAB_SOURCES", f'"{sources}"')],
            optional=True,
        )
        for name in names
    ]


def packages() -> dict[str, str]:
    """Package -> its folder. Stories and examples come along: `sim run raft_failover` works after an installation."""
    here = {name: name.replace(".", "/") for name in find_packages(include=["sim", "sim.*"])}
    return {**here, "sim.scenarios": "scenarios", "sim.examples": "examples"}


setup(
    packages=list(packages()),
    package_dir=packages(),
    package_data={"": ["*"], "sim.network": ["data/*"], "sim.scenarios": ["**/*"], "sim.examples": ["**/*"]},
    ext_modules=[] if os.environ.get("QUORUMLAB_PURE") else extensions(),
)
