"""``ase-l2h reproduce``: exhibits of the paper, from records."""

from __future__ import annotations

from pathlib import Path

import click

from ase_l2h.cli.common import Interrupted, Verb

__all__ = ["reproduce"]

EXHIBITS = ("fig7",)
# Of `ase_l2h.evaluation.nanoalloys`, which would load more; a test holds them together.
BUDGETS = ("quick", "paper")

HELP = """Reproduce an exhibit of the Learn2Hop paper.

fig7: excess energies of Ag-Au and Pd-Pt clusters of 38 atoms by Adam, FIRE, basin
hopping (with as many charged evaluations, and ten times as many), and an optimizer that
was trained on Ag-Au. Pd-Pt was never trained on.

The folder receives records, a table (Markdown and CSV) and pictures (PNG and PDF). What
is in the records already is not run again, so an interrupted run continues.

\b
Example:
  ase-l2h reproduce fig7 --budget quick --out fig7
"""


@click.command(cls=Verb, help=HELP)
@click.argument("exhibit", type=click.Choice(EXHIBITS))
@click.option(
    "--budget",
    type=click.Choice(BUDGETS),
    default="quick",
    show_default=True,
    help="quick: minutes on two cores, and it says what it leaves out; paper: the full "
    "protocol, days on two cores.",
)
@click.option(
    "--seed", type=int, default=2026, show_default=True, help="Of the starts."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results.  [default: EXHIBIT-BUDGET]",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def reproduce(
    exhibit: str, budget: str, seed: int, out: Path | None, quiet: bool
) -> None:
    """Run what is missing and draw, see ``HELP``."""
    from tqdm import tqdm

    from ase_l2h.cli.signals import interrupt_on_sigterm
    from ase_l2h.evaluation.nanoalloys import (
        BUDGETS as SIZES,
    )
    from ase_l2h.evaluation.nanoalloys import (
        METHODS,
        SYSTEMS,
        nanoalloy_records,
        nanoalloy_table,
        write_nanoalloys,
    )

    size = SIZES[budget]
    folder = Path(f"{exhibit}-{budget}") if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot write in the folder {folder} ({error.strerror}); choose another"
        ) from error
    bar = tqdm(
        total=len(SYSTEMS) * len(size.compositions) * len(METHODS),
        desc=exhibit,
        unit="search",
        disable=quiet or None,
    )

    def show(what: str) -> None:
        bar.set_postfix_str(what)
        bar.update(1)

    try:
        with bar, interrupt_on_sigterm():
            lines = nanoalloy_records(folder, size, seed, progress=show)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; the same command continues in {folder}"
        ) from None
    steps = "the weights' horizon" if size.steps is None else f"{size.steps} steps"
    left_out = (
        f"Budget '{budget}': {len(size.compositions)} of 39 compositions, "
        f"{size.starts} starts, {steps}, seed {seed}; the paper has 39, 150 and 50,000 "
        "steps, and a second optimizer, trained on Ag-Au, Ag-Pt and Pd-Au."
    )
    write_nanoalloys(folder, lines, left_out)
    click.echo(nanoalloy_table(lines))
    click.echo(f"{left_out} Results in {folder}.")
