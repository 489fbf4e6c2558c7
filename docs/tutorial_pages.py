"""Tutorials, which are scripts in cells, as pages and as notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext

__all__ = ["write_tutorials"]


def write_tutorials(source: Path, target: Path) -> None:
    """Write a page and a notebook for every script of a folder.

    Parameters
    ----------
    source
        Scripts in the percent format of jupytext. The pictures that they save lie in
        ``images/tutorials`` beside the ``target``.
    target
        Where the pages go.
    """
    target.mkdir(exist_ok=True)
    for script in sorted(source.glob("*.py")):
        notebook = jupytext.read(script)
        jupytext.write(notebook, target / f"{script.stem}.ipynb")
        page = "\n\n".join(map(_cell, notebook.cells))
        page += (
            f"\n\nThis page as a notebook: {{download}}`{script.stem}.ipynb`. As a "
            f"script it is `tutorials/{script.name}`; the tests run it.\n"
        )
        (target / f"{script.stem}.md").write_text(page, encoding="utf-8")


def _cell(cell: dict[str, str]) -> str:
    """A cell in Markdown, with the picture that it saves."""
    if cell["cell_type"] == "markdown":
        return cell["source"]
    text = f"```python\n{cell['source']}\n```"
    for name in re.findall(r'savefig\("([^"]+)"', cell["source"]):
        text += f"\n\n![What the script draws](../images/tutorials/{name})"
    return text
