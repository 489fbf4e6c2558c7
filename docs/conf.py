from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import Any

project = "ase_l2h"
author = "The ase_l2h developers"
copyright = "2026, The ase_l2h developers"
version = release = installed_version("ase_l2h")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "ase_l2h"
templates_path = ["_templates"]
exclude_patterns = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Generated pages are build products: kept out of the checkout's history.
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
# Types stand in the signatures; repeated here, "n *batch" would read as emphasis.
napoleon_attr_annotations = False


def _skip_tuple_fields(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out "Alias for field number 3": the class docstring tells the fields."""
    doc = getattr(obj, "__doc__", None) or ""
    return True if doc.startswith("Alias for field number") else None


def _set_formulas_verbatim(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Make the indented formulas of a docstring's prose literal blocks.

    Only up to the first section: further down, indentation belongs to numpydoc.
    """
    rules = (i - 1 for i, line in enumerate(lines) if re.fullmatch("-{3,}", line))
    prose = lines[: next(rules, len(lines))]
    plain, shown = False, []
    for line in prose:
        if plain and line.startswith("    ") and shown[-1] == "":
            shown += ["::", ""]
        if line:
            plain = (
                not line.startswith((" ", ":", "-", "*", "..")) and line[-2:] != "::"
            )
        shown.append(line)
    lines[: len(prose)] = shown


def setup(app: Any) -> None:
    """Register the hooks above with Sphinx; formulas come before numpydoc sections."""
    app.connect("autodoc-skip-member", _skip_tuple_fields)
    app.connect("autodoc-process-docstring", _set_formulas_verbatim, priority=100)
