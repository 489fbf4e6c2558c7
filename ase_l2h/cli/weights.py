"""``ase-l2h weights``: what weights there are, and whether a file is sound."""

from __future__ import annotations

import json
from typing import Any

import click

from ase_l2h.cli.common import Program, Verb

__all__ = ["list_weights", "weights", "weights_table"]


def list_weights() -> list[dict[str, Any]]:
    """The bundled weights, each verified by loading it."""
    from ase_l2h.weights import load_weights, manifest

    rows = []
    for name in sorted(manifest()["weights"]):
        loaded = load_weights(name)
        rows.append(
            {
                "name": name,
                "default": name == manifest()["default"],
                "architecture": loaded.metadata["architecture"],
                "horizon": loaded.horizon,
                "tasks": list(loaded.metadata["tasks"]),
                "sha256": loaded.sha256,
            }
        )
    return rows


def weights_table(rows: list[dict[str, Any]]) -> str:
    """One line per weight file, the default marked with a star."""
    width = max(len(row["name"]) for row in rows)
    return "\n".join(
        f"{'*' if row['default'] else ' '} {row['name']:{width}}  "
        f"{row['architecture']}, {row['horizon']} steps, trained on "
        f"{', '.join(row['tasks'])}"
        for row in rows
    )


@click.group(cls=Program)
def weights() -> None:
    """List and verify weights of the learned optimizer."""


@weights.command("list", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List the bundled weights (* is the default)."""
    rows = list_weights()
    click.echo(json.dumps(rows, indent=2) if as_json else weights_table(rows))


@weights.command(cls=Verb)
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
def verify(names: tuple[str, ...]) -> None:
    """Check weight files, by name or path; all bundled ones when none is given."""
    from ase_l2h.weights import load_weights, manifest

    for name in names or sorted(manifest()["weights"]):
        loaded = load_weights(name)
        click.echo(f"{name}: intact, sha256 {loaded.sha256}")
