"""``ase-l2h``: the command line.

Nothing heavy is imported before a verb runs: ``--help`` and ``--version`` answer at
once.
"""

from __future__ import annotations

from typing import Any

import click

from ase_l2h.cli.common import Program
from ase_l2h.cli.compare import compare
from ase_l2h.cli.hull import hull
from ase_l2h.cli.info import info
from ase_l2h.cli.reproduce import reproduce
from ase_l2h.cli.search import search
from ase_l2h.cli.train import train
from ase_l2h.cli.weights import weights

__all__ = ["cli"]


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import ase_l2h

        click.echo(f"ase-l2h {ase_l2h.__version__}")
        ctx.exit()


def _version_option(function: Any) -> Any:
    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Print the version and exit.",
    )(function)


HELP = """Search atomic structures for their lowest minima with a learned optimizer.

\b
Examples:
  ase-l2h search LJ38                          a Lennard-Jones cluster
  ase-l2h search Ag19Au19 -o best.extxyz       a nanoalloy, Gupta potential
  ase-l2h search start.xyz --potential lj      from your own structure
  ase-l2h compare LJ13 --out lj13              methods beside each other
  ase-l2h info                                 versions, devices, weights

Results go to standard output, progress and messages to standard error.

\b
Exit codes:
  0    done
  1    the run failed, or a result could not be written where it was asked for
  2    wrong usage or bad input; nothing was run or written
  130  interrupted; what was found until then is relaxed, printed and written
"""


@click.group(cls=Program, help=HELP)
@_version_option
def cli() -> None:
    """The whole program."""


for command in (search, hull, compare, info, weights, train, reproduce):
    cli.add_command(command)
