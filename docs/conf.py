from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))
from tutorial_pages import write_tutorials

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

html_static_path = ["_static"]
html_css_files = ["front.css"]

# Every reference of our own has to lead somewhere; those into other packages are named
# and not linked, so that a build needs no network.
nitpicky = True
OTHERS = (
    "ase|click|collections|concurrent|enum|flax|jax|jaxlib|jaxtyping|matplotlib|np|"
    "numpy|optax|pathlib|tqdm|types"
)
# As annotations that are never evaluated spell them.
NAMES = (
    "Array|Atoms|Axes|Bool|Context|Figure|Float|Int|Line2D|Number|Path|UInt32|ndarray"
)
nitpick_ignore_regex = [
    ("py:.*", rf"({OTHERS})\..*"),
    ("py:class", NAMES),
    # Of modules that begin with an underscore, which have no page.
    ("py:.*", r"ase_l2h\._internal\..*|CheckpointError|Progress|Lines|.*\._\w+"),
    ("py:class", r"list\[tuple\[int"),
]

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


def _link_to_module(
    app: Any, env: Any, node: Any, contnode: nodes.TextElement
) -> nodes.reference | None:
    """Link constants and type aliases, which have no entry, to their module's page."""
    if node.get("refdomain") != "py":
        return None
    home, _, name = str(node["reftarget"]).rpartition(".")
    home = home or str(node.get("py:module") or "")
    page = f"generated/{home}"
    if page not in env.found_docs or not hasattr(import_module(home), name):
        return None
    uri = app.builder.get_relative_uri(node["refdoc"], page)
    return nodes.reference("", "", contnode, internal=True, refuri=uri)


def _write_tutorials(app: Any) -> None:
    """Pages and notebooks of the tutorials, build products like the reference."""
    root = Path(app.srcdir).parent
    write_tutorials(root / "tutorials", Path(app.srcdir) / "tutorials")


def setup(app: Any) -> None:
    """Register the hooks above with Sphinx; formulas come before numpydoc sections."""
    app.connect("builder-inited", _write_tutorials)
    app.connect("missing-reference", _link_to_module)
    app.connect("autodoc-skip-member", _skip_tuple_fields)
    app.connect("autodoc-process-docstring", _set_formulas_verbatim, priority=100)
