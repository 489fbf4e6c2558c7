"""``ase-l2h reproduce``: tables and figures of the papers, from records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ase_l2h.cli.common import Interrupted, Verb
from ase_l2h.errors import InputError
from ase_l2h.reproduce.registry import BUDGETS, TABLES_AND_FIGURES

__all__ = ["reproduce"]

ALL = "all"
# The paper whose tables and figures `all` makes.
PAPER = "Learn2Hop"
# Made of searches, which other backends than `scan` can run.
SEARCHES = ("table2", "table6", "fig4", "fig5", "fig8")

LIST = "\n".join(
    f"  {name:13}  {item.shows}" for name, item in TABLES_AND_FIGURES.items()
)
HELP = f"""Reproduce a table or figure of a paper, beside the paper's own numbers.

\b
{LIST}
  {ALL:13}  everything of the {PAPER} paper

The folder receives records (JSON lines), a table (Markdown and CSV) and pictures (PNG
and PDF). What is in the records already is not run again, so an interrupted run
continues, and tables and figures that share a folder share what they have in common.
The Markdown says what the budget leaves out.

\b
Examples:
  ase-l2h reproduce fig7 --budget quick --out fig7
  ase-l2h reproduce all --budget quick
"""


@click.command(cls=Verb, help=HELP)
@click.argument("name", type=click.Choice((*TABLES_AND_FIGURES, ALL)), metavar="NAME")
@click.option(
    "--budget",
    type=click.Choice(BUDGETS),
    default="quick",
    show_default=True,
    help="quick: minutes on two cores; part: the paper's starts and steps on some of "
    "its sizes, compositions and trainings, hours; paper: the full protocol, days. "
    "The results say what a budget leaves out.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=2026,
    show_default=True,
    help="Everything random follows from it.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results.  [default: NAME-BUDGET]",
)
@click.option(
    "--dimension",
    type=click.IntRange(2, 100_000),
    help="Of the functions of the action paper, instead of the budget's.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="scan, native (compiled here by a C++ compiler) or cuda, for the searches of "
    f"{', '.join(SEARCHES)} by all methods.",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def reproduce(
    name: str,
    budget: str,
    seed: int,
    out: Path | None,
    dimension: int | None,
    backend: str,
    quiet: bool,
) -> None:
    """Run what is missing and draw, see ``HELP``."""
    from ase_l2h.reproduce.learn2hop.searches import running_on

    extra = {} if dimension is None else {"dimension": dimension}
    if extra and (name == ALL or TABLES_AND_FIGURES[name].paper != "action"):
        raise InputError(
            f"{name} has no dimension to choose; leave out --dimension, which the "
            "tables and figures of the action paper take"
        )
    if backend != "auto" and name not in (ALL, *SEARCHES):
        raise InputError(
            f"{name} has no backend to choose; leave out --backend, which "
            f"{', '.join(SEARCHES)} take"
        )
    if name != ALL and budget not in TABLES_AND_FIGURES[name].budgets:
        raise InputError(
            f"{name} has no budget '{budget}'; choose one of "
            f"{', '.join(TABLES_AND_FIGURES[name].budgets)}"
        )
    folder = Path(f"{name}-{budget}") if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write in the folder {folder} ({error.strerror}); choose another"
        ) from error
    wanted = [name]
    if name == ALL:
        wanted = [n for n, item in TABLES_AND_FIGURES.items() if item.paper == PAPER]
    try:
        with running_on(backend):
            for one in wanted:
                click.echo(_make(one, folder, budget, seed, quiet, extra))
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; the same command continues in {folder}"
        ) from None
    if name == ALL:
        chosen = "" if backend == "auto" else f" --backend {backend}"
        _write_index(folder, wanted, f"--budget {budget} --seed {seed}{chosen}")
    click.echo(f"Results in {folder}.")


def _write_index(folder: Path, wanted: Sequence[str], options: str) -> None:
    """``README.md``: what is in the folder and how it was made."""
    from ase_l2h._internal.files import write_atomically

    lines = [f"# Tables and figures of the {PAPER} paper", ""]
    lines += [
        f"* [{name}]({name}.md): {TABLES_AND_FIGURES[name].shows}" for name in wanted
    ]
    lines += ["", f"`ase-l2h reproduce all {options}`", ""]
    write_atomically(folder / "README.md", "\n".join(lines).encode())


def _make(
    name: str,
    folder: Path,
    budget: str,
    seed: int,
    quiet: bool,
    extra: dict[str, int],
) -> str:
    """Make a table or figure, with a progress bar; ``extra`` is for it alone."""
    from ase_l2h.reproduce.progress import counted_progress

    with counted_progress(name, enabled=not quiet) as show:
        return TABLES_AND_FIGURES[name].load()(folder, budget, seed, show, **extra)
