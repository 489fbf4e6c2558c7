"""``ase-l2h train``: meta-train a learned optimizer."""

from __future__ import annotations

from pathlib import Path

import click

from ase_l2h.cli.common import Interrupted, Verb
from ase_l2h.cli.distributed import distributed_options, is_first, join
from ase_l2h.errors import InputError

__all__ = ["train"]

NOTE = "stopping after this update; interrupt again to quit at once"

HELP = """Train a learned optimizer as CONFIG (a TOML file) says.

A killed run continues with --resume to the same numbers.

\b
Example of a configuration, with the most useful entries:
  tasks = ["LJ13", "LJ19"]   # targets, as in 'ase-l2h search'
  updates = 300              # outer updates
  horizon = 1000             # inner steps
  directions = 12            # perturbations per update
  starts = 32                # structures per task and update
  seed = 0
\b
Examples:
  ase-l2h train lj.toml --out runs/lj
  ase-l2h train lj.toml --out runs/lj --resume
  ase-l2h train --plot runs/lj
  srun ase-l2h train lj.toml --out runs/lj --distributed
  ase-l2h search LJ38 --weights runs/lj/weights.safetensors
"""


@click.command(cls=Verb, help=HELP)
@click.argument(
    "config",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run: progress, state, weights.",
)
@click.option("--resume", is_flag=True, help="Continue the run in that folder.")
@click.option(
    "--plot",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw the record of a run, finished or not, to DIR/record.png, and stop.",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@distributed_options
def train(
    config: Path | None,
    out: Path | None,
    resume: bool,
    plot: Path | None,
    quiet: bool,
    distributed: bool,
    coordinator: str | None,
) -> None:
    """Train, or draw a record, see ``HELP``."""
    if plot is not None:
        if config is not None or out is not None or resume:
            raise click.UsageError("--plot draws an existing run; give it alone")
        click.echo(_draw(plot))
        return
    if config is None or out is None:
        raise click.UsageError("give a configuration and --out DIR")

    from ase_l2h._internal.checkpoint import nothing_kept
    from ase_l2h._internal.stopping import stop_on_signals
    from ase_l2h.targets import named_target
    from ase_l2h.training.config import read_config
    from ase_l2h.training.train import train as run
    from ase_l2h.training.trainer import initial_rule

    if resume and nothing_kept(out):
        raise InputError(
            f"{out} holds no training run; leave out --resume to begin one"
        )
    settings = read_config(config)
    join(distributed, coordinator)
    # Before the folder is made: training finds the same mistakes, but later.
    for task in settings.tasks:
        named_target(task)
    initial_rule(settings)
    try:
        with stop_on_signals(NOTE) as stop:
            weights = run(settings, out, resume=resume, quiet=quiet, stop=stop)
    except KeyboardInterrupt:
        if nothing_kept(out):
            raise Interrupted("interrupted before anything was kept") from None
        raise Interrupted(
            f"interrupted; 'ase-l2h train {config} --out {out} --resume' continues"
        ) from None
    if is_first(distributed):
        click.echo(weights)


def _draw(folder: Path) -> Path:
    from ase_l2h._internal.checkpoint import PROGRESS
    from ase_l2h.report.figures import read_record, save_figure, training_figure

    figure = training_figure(read_record(folder / PROGRESS))
    path = folder / "record.png"
    save_figure(figure, path, "png")
    return path
