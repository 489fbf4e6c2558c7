"""``ase-l2h hull``: a nanoalloy's formation-energy hull in one command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli.common import Interrupted, RunFailure, Verb, split_names
from ase_l2h.cli.distributed import distributed_options, is_first, join
from ase_l2h.cli.help import Whole
from ase_l2h.cli.own import Brought, calculator_options, calling_options
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase_l2h.search.hull.system import HullSystem

__all__ = ["hull"]

# Of `ase_l2h.search.hull`, which would load JAX; a test holds them together.
POTENTIALS = ("gupta", "lj")
DEFAULT_BUDGET = 1_000_000
DEFAULT_CALLS = 2000
NOTE = "stopping: what was found is kept; interrupt again to quit"

HELP = """Search all compositions of a two-element cluster; draw the hull.

SYSTEM is a pair of elements, AgAu for example. Every composition is a search by the
method auto, whose parts 'ase-l2h search --help' lists; after every round neighbouring
compositions exchange their lowest structures. The search ends when the budget is spent,
or when no energy has fallen for 30 rounds.

The folder receives hull.csv, hull.json, hull.png, hull.pdf, report.md and
structures.extxyz. It is updated after every round: the same command continues there
after Ctrl-C or a crash, and --update continues a finished search.

\b
Examples:
  ase-l2h hull AgAu --n 38
  ase-l2h hull PdPt --n 38 --budget 1000000 --seed 3 --out PdPt38-seed3
  ase-l2h hull AgAu --n 55 --compositions 0,13,28,42,55
  ase-l2h hull CuAg --n 13 --parameters mine.toml
  ase-l2h hull CuAu --n 13 --calculator emt
  ase-l2h hull AgAu --n 38 --update
  srun ase-l2h hull AgAu --n 38 --distributed
"""


@click.command(cls=Verb, help=HELP)
@click.argument("system")
@click.option("--n", "n_atoms", type=int, required=True, help="Atoms per cluster.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the results.  [default: SYSTEM and the number of atoms]",
)
@click.option(
    "--compositions",
    metavar="LIST",
    help="Numbers of atoms of the first element, such as 0,5,10-20,38.  [default: all]",
)
@click.option(
    "--potential",
    type=click.Choice(POTENTIALS),
    help="Gupta for metals, or Lennard-Jones pairs (with --parameters FILE).  [gupta]",
)
@click.option(
    "--parameters",
    metavar="SET|FILE",
    help="A Gupta set ('ase-l2h info'), or a TOML file with a row per pair.",
)
@calculator_options
@calling_options(
    "Processes that share the compositions, or make calls of a calculator.  [one for "
    "each processor where a hull is large; none for calls]"
)
@click.option(
    "--without",
    metavar="PARTS",
    help="Parts of the search to leave out, joined by commas.",
)
@click.option("--weights", metavar="NAMES", help="Weights, several joined by +.")
@click.option(
    "--budget",
    type=Whole(),
    help=f"Charged evaluations per composition.  [{DEFAULT_BUDGET}, or {DEFAULT_CALLS} "
    "of a calculator]",
)
@click.option(
    "--time",
    "max_seconds",
    type=float,
    help="Stop after so many seconds; results then depend on the machine.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything.")
@click.option("--update", is_flag=True, help="Add the budget to a finished search.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="native (compiled here by a C++ compiler), scan or cuda.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@distributed_options
def hull(
    system: str,
    n_atoms: int,
    out: Path | None,
    compositions: str | None,
    as_json: bool,
    quiet: bool,
    distributed: bool,
    coordinator: str | None,
    without: str | None,
    potential: str | None,
    parameters: str | None,
    **options: Any,
) -> None:
    """Search a hull, see ``HELP``."""
    workers = options["workers"]
    if options["calculator"] is None:
        # Those of a kernel are no business of a calculator.
        options["workers"] = None
    brought = Brought.among(options)
    for name in ("calculator", "calculator_args", "cache", "workers", "call_timeout"):
        del options[name]
    chosen = None if compositions is None else read_compositions(compositions, n_atoms)
    join(distributed, coordinator)
    first = is_first(distributed)

    from ase_l2h._internal import checkpoint
    from ase_l2h._internal.processes import joint
    from ase_l2h._internal.progress import progress_bar
    from ase_l2h._internal.stopping import stop_on_signals
    from ase_l2h.cli.outputs import check_cache
    from ase_l2h.report.hull_report import FILES, table, write_hull
    from ase_l2h.search.hull.search import find_hull
    from ase_l2h.search.hull.team import usual_workers

    folder = Path(f"{system}{n_atoms}") if out is None else out
    check_cache(brought.cache, {}, ("--out", folder, checkpoint.FILES + FILES))
    calculator = brought.made()
    cache, calls = click.get_current_context().with_resource(brought.opened(calculator))
    searched, _ = joint(
        lambda: _system(
            system, n_atoms, potential, parameters, brought, calculator, cache, calls
        )
    )
    budget = options["budget"]
    if calculator is not None:
        workers = 1
    elif workers is None:
        count = n_atoms + 1 if chosen is None else len(chosen)
        workers = 1 if distributed else usual_workers(searched, count, budget)
    unit = " evaluations per composition"
    bar = progress_bar(f"{system}{n_atoms}", budget, unit, first and not quiet)
    with bar, stop_on_signals(NOTE) as stop:

        def show(search: Any, fallen: int) -> None:
            bar.total = search.settings.budget
            charged = list(search.charged().values())
            bar.update(min(sum(charged) // len(charged), bar.total) - bar.n)
            bar.set_postfix_str(f"round {search.rounds}, {fallen} fell")

        try:
            result = find_hull(
                searched,
                compositions=chosen,
                without=split_names(without),
                folder=folder,
                calls=calls,
                workers=workers,
                interrupted=lambda: stop.reason is not None,
                progress=show,
                **options,
            )
        except checkpoint.CheckpointError as error:
            raise RunFailure(str(error)) from error
    if not result.structures:
        if result.ended == "interrupted":
            raise Interrupted("interrupted before the first round ended")
        more = "allow more time" if result.ended == "time" else "raise the budget"
        raise RunFailure(f"no structure was relaxed; {more}")
    try:
        record, _ = joint(lambda: write_hull(result, folder) if first else None)
    except OSError as error:
        raise RunFailure(
            f"the results could not be written to {folder} ({error.strerror}); free "
            "some space and run the same command again; what was found is kept"
        ) from error
    if record is not None:
        click.echo(json.dumps(record, allow_nan=False) if as_json else table(record))
    if result.ended == "interrupted":
        # The folder knows the new budget by now; another --update would add it again.
        what = "the same command, without --update," if options["update"] else None
        raise Interrupted(
            f"interrupted; {what or 'the same command'} continues in {folder}"
        )


def _system(
    name: str,
    n_atoms: int,
    potential: str | None,
    parameters: str | None,
    brought: Brought,
    calculator: Any,
    cache: Any,
    calls: Any,
) -> HullSystem:
    """What is searched, and what acts in it."""
    from ase_l2h.search.hull.system import hull_system

    if brought.calculator is None:
        return hull_system(
            name, n_atoms, potential=potential or "gupta", parameters=parameters
        )
    if potential is not None or parameters is not None:
        raise InputError(
            "--calculator replaces --potential and --parameters; leave them out"
        )
    from ase_l2h.ase_adapter.hulls import calculator_hull
    from ase_l2h.ase_adapter.naming import named_calculator

    named = named_calculator(brought.calculator, brought.arguments)
    evaluate = None if calls is None else calls.evaluate
    options = {"calculator": calculator, "cache": cache, "evaluate": evaluate}
    return calculator_hull(name, n_atoms, named, **options)


def read_compositions(text: str, n_atoms: int) -> list[int]:
    """``0,5,10-20`` as numbers.

    Raises
    ------
    click.UsageError
        For anything else, and numbers above the number of atoms.
    """
    counts: set[int] = set()
    for part in text.split(","):
        # No cluster has a billion atoms, and Python reads no endless numbers.
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part)
        if match is None:
            raise click.UsageError(
                f"--compositions is '{text}'; give numbers and ranges such as 0,5,10-20"
            )
        low, high = int(match.group(1)), int(match.group(2) or match.group(1))
        if low > high:
            raise click.UsageError(
                f"--compositions: '{part}' is not a range; write the smaller number "
                "first"
            )
        if high > max(n_atoms, 0):
            raise click.UsageError(
                f"--compositions: '{part}' does not lie between 0 and {n_atoms}"
            )
        counts.update(range(low, high + 1))
    return sorted(counts)
