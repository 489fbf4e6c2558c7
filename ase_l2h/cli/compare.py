"""``ase-l2h compare``: any methods on any targets, in charged evaluations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli.common import Interrupted, Verb
from ase_l2h.cli.help import Whole
from ase_l2h.cli.own import Brought, calculator_options, resolve_with
from ase_l2h.errors import InputError
from ase_l2h.search.names import METHODS

if TYPE_CHECKING:
    from ase_l2h.cli.target import SearchTarget
    from ase_l2h.comparison.outcome import Comparison
    from ase_l2h.search.problem import Problem

__all__ = ["compare"]

NOTE = "stopping: finished runs are kept; interrupt again to quit at once"
HELP = f"""Compare methods by the cost of a first encounter with the lowest minimum.

Every TARGET is a formula as for 'ase-l2h search' (LJ38, Au55, Si64), or a structure
file with atoms, cell and constraints. METHODS are
{", ".join(METHODS)}; learned:NAME takes other weights, and @STEPS another number of
steps per start, as in learned:lj-fcc@3000; auto~fragments~symmetric leaves out parts of
auto.

A run is charged for every energy and gradient. It ends when a charged relaxation ends
within 1e-4 energy scales of the target's lowest known energy, or before it exceeds its
budget. Methods that do not hop are restarted from new random starts until then.

DIR receives records.jsonl, results.csv, results.md and curves.png/.pdf. Runs that are
in the records are not repeated: an interrupted comparison continues, and more runs,
methods or targets can be added.

\b
Examples:
  ase-l2h compare LJ13 LJ38 --out lj
  ase-l2h compare LJ38 --methods learned:lj-fcc,bh --runs 100 --budget 1e6 --out lj38
  ase-l2h compare Ag19Au19 --energy Ag19Au19=-117.313 --methods learned,bh --out agau
  ase-l2h compare Cu13 --calculator emt --energy Cu13=9.361358 --budget 5000 --out cu
"""


@click.command(cls=Verb, help=HELP)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--methods",
    default="auto,learned,bh,adam",
    show_default=True,
    help="METHOD[:WEIGHTS][@STEPS], separated by commas.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|FILE",
    help="Adds learned:NAME to the methods; for another one write METHOD:NAME there.",
)
@click.option(
    "--energy",
    "energies",
    multiple=True,
    metavar="TARGET=ENERGY",
    help="Energy that counts as found: needed where no minimum is published.",
)
@click.option(
    "--potential",
    metavar="NAME[:SET]",
    help=(
        "Of the targets: lj, gupta[:SET], sw[:SET] or ka[:SET].  [default: by the "
        "elements]"
    ),
)
@calculator_options
@click.option(
    "--runs",
    "--seeds",
    "runs",
    type=int,
    default=20,
    show_default=True,
    help="Runs per method and target, each with its own seed.",
)
@click.option(
    "--budget",
    type=Whole(),
    default=100_000,
    show_default=True,
    help="Most charged evaluations of a run.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="The seeds of all runs follow from it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder of the results.",
)
@click.option("--device", metavar="NAME", help="cpu or gpu.  [default: JAX's]")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="native (compiled by your C++ compiler), scan (JAX) or cuda.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def compare(targets: Sequence[str], as_json: bool, **options: Any) -> None:
    """Run what is missing and draw, see ``HELP``."""
    names = [name for name in options["methods"].split(",") if name]
    names += [f"learned:{name}" for name in options["weights"]]
    given = [_energy(text, targets) for text in options["energies"]]
    brought = Brought.among(options)
    resolved = [_resolved(name, options["potential"], brought) for name in targets]
    problems = [one.problem for one in resolved]
    energies = {
        problem.name: energy
        for target, energy in given
        for name, problem in zip(targets, problems, strict=True)
        if name == target
    }
    found = _run(problems, names, energies, options)
    if not options["quiet"]:
        for note in dict.fromkeys(note for one in resolved for note in one.notes):
            click.echo(f"Note: {note}", err=True)
    if as_json:
        click.echo(json.dumps(found.rows(), allow_nan=False))
        return
    click.echo(str(found))
    click.echo(f"Results in {options['out']}.")


def _energy(text: str, targets: Sequence[str]) -> tuple[str, float]:
    """``LJ38=-173.9`` as name and number; names of files may hold the sign, too."""
    name, _, number = text.rpartition("=")
    if name not in targets:
        raise InputError(
            f"--energy {text}: '{name or number}' is not one of the targets; write "
            "TARGET=ENERGY"
        )
    try:
        return name, float(number)
    except ValueError:
        raise InputError(
            f"--energy {text}: '{number}' is not a number; write TARGET=ENERGY"
        ) from None


def _resolved(name: str, potential: str | None, brought: Brought) -> SearchTarget:
    """What a TARGET stands for; without the structure that a file holds."""
    from ase_l2h.cli.target import Reading

    return resolve_with(name, potential, Reading(), brought)


def _run(
    problems: list[Problem],
    methods: list[str],
    energies: dict[str, float],
    options: dict[str, Any],
) -> Comparison:
    """The comparison with its progress bar and signals."""
    from ase_l2h._internal.progress import progress_bar
    from ase_l2h._internal.stopping import stop_on_signals
    from ase_l2h.comparison import running

    with (
        progress_bar("compare", unit=" runs", enabled=not options["quiet"]) as bar,
        stop_on_signals(NOTE) as stop,
    ):

        def show(done: int, of: int, what: str) -> None:
            bar.total = of
            bar.set_postfix_str(what, refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        try:
            return running.compare(
                problems,
                methods,
                runs=options["runs"],
                budget=options["budget"],
                seed=options["seed"],
                energies=energies,
                folder=options["out"],
                backend=options["backend"],
                device=options["device"],
                interrupted=lambda: stop.requested,
                on_progress=show,
            )
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted; the same command continues in {options['out']}"
            ) from None
