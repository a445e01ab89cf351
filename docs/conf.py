"""The docs site: `make docs`. The source folder is the whole project, so that links work here as they do on GitHub."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sim  # noqa: E402

project = "quorumlab"
author = "the quorumlab authors"
version = release = sim.__version__
language = "en"
root_doc = "docs/index"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_external_toc",
]
include_patterns = [
    "docs/**",
    "notebooks/*.ipynb",
    "labs/*/README.md",
    "validation/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
]
exclude_patterns = ["docs/_build", ".venv*", ".git", ".*_cache", "results", "**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
external_toc_path = "docs/_toc.yml"

# Notebooks are kept with their outputs; tests compare these with a new execution, so that the site need not run them.
nb_execution_mode = "off"
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

# Docstrings have the sections of NumPy, those of sim.analysis the sections of Google. A name between single backquotes
# becomes a link where the reference has that name.
default_role = "py:obj"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True

nitpicky = True
# A backquoted name that has no page: a private helper, a parameter, a word of code.
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", ".*")]
# A name that several classes have (`kinds`) is no link, and no mistake.
suppress_warnings = ["ref.python"]

html_theme = "pydata_sphinx_theme"
html_title = "quorumlab"
html_extra_path = ["_extra"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "navigation_depth": 2,
    "collapse_navigation": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}
html_sidebars = {name: [] for name in ("docs/gallery", "docs/glossary", "docs/coming_from", "docs/lecturers")}
copyright = "the quorumlab authors, MIT licence"
linkcheck_timeout = 20
linkcheck_anchors = False


def setup(app: Sphinx) -> None:
    """Keep docstrings of attributes and properties as they are: napoleon takes what is before a colon for a type."""
    kept: dict[str, list[str]] = {}

    def keep(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
        kept[name] = list(lines)

    def give_back(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
        if what in {"attribute", "data", "property"}:
            lines[:] = kept[name]

    app.connect("autodoc-process-docstring", keep, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", give_back, priority=600)
