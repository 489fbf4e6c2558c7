"""``ase-l2h search``: the lowest minimum of one target, written where asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli import own
from ase_l2h.cli.common import BadInput, Interrupted, RunFailure, elapsed, split_names
from ase_l2h.cli.help import Count, GroupedVerb, Real
from ase_l2h.search.names import DEFAULT_METHOD, METHODS, PARTS

if TYPE_CHECKING:
    from ase_l2h.cli.outputs import Output
    from ase_l2h.cli.target import SearchTarget
    from ase_l2h.search.result import SearchResult

__all__ = ["search"]

NOTE = "stopping: what was found is being relaxed; interrupt again to quit"
# Of the library, which would load JAX; a test holds the two together.
DEFAULT_EVALUATIONS = 2_000_000
DEFAULT_CALLS = 10_000
MOST = 10_000_000
FILE = click.Path(path_type=Path)

HELP = """Search TARGET for its lowest minimum.

TARGET is a formula, or a structure file in any format of ASE; an existing file takes
precedence, and FILE@INDEX chooses one of its structures. LJ38 is a Lennard-Jones
cluster in reduced units, Au55 and Ag19Au19 have Gupta potentials, Si8, Si64, Si216 are
cubes of silicon (Stillinger-Weber), KA100 is the Kob-Andersen mixture.

Every method begins with the structures of the file, then goes on with random ones of
the same atoms and cell. Results stay where the file has its atoms. Fixed atoms do not
move: on a frozen slab the other atoms are placed above it.

Ctrl-C relaxes and keeps what was found (exit code 130).

\b
Examples:
  ase-l2h search LJ38
  ase-l2h search LJ75 --searches 8 --target-energy -397.4923 --plot lj75.png
  ase-l2h search Ag19Au19 --max-seconds 60 -o best.extxyz
  ase-l2h search cluster.xyz --potential lj --sigma 3.4 --epsilon 0.0104
  ase-l2h search Cu38 --calculator emt
  ase-l2h search Au8 --calculator tblite --calculator-args '{"method": "GFN2-xTB"}'
  ase-l2h search LJ13 --method learned --starts 150 --json > lj13.json
"""

GROUPS = {
    "What is searched": (
        "potential",
        "parameters",
        "calculator",
        "calculator_args",
        "sigma",
        "epsilon",
        "cutoff",
        "pbc",
        "region",
        "keep_molecules",
        "index",
        "file_format",
        "types",
    ),
    "How": (
        "method",
        "weights",
        "without",
        "steps",
        "starts",
        "width",
        "searches",
        "seed",
    ),
    "How long": ("evaluations", "settled", "max_seconds", "target_energy", "folder"),
    "On what": ("backend", "device", "cache", "workers", "call_timeout"),
    "Afterwards": ("relax_cell", "pressure"),
    "Results": ("output", "minima", "plot", "as_json", "quiet"),
}


@click.command(
    cls=GroupedVerb,
    help=HELP,
    groups=GROUPS,
    definitions={"Methods": METHODS},
)
@click.argument("target")
@click.option(
    "--potential",
    metavar="NAME[:SET]",
    help="lj, gupta, sw or ka; sets: see 'ase-l2h info'.  [by the elements]",
)
@click.option(
    "--parameters",
    metavar="SET|FILE",
    help="A Gupta set, or a TOML file of pairs.",
)
@own.calculator_options
@own.calling_options()
@click.option(
    "--sigma", type=Real(0.0), help="For lj, in the file's unit of length.  [1]"
)
@click.option("--epsilon", type=Real(0.0), help="For lj, sets the unit of energy.  [1]")
@click.option(
    "--cutoff", type=Real(0.0), help="Smooth cut-off of lj or gupta; cells need one."
)
@click.option(
    "--pbc/--no-pbc",
    default=True,
    help="Keep periodicity, or search a free cluster.",
)
@click.option(
    "--keep-molecules/--break-molecules",
    default=None,
    help="Keep bonds, or let them break (calculators).",
)
@click.option(
    "--region",
    metavar="LOW:HIGH",
    help="Place free atoms between these heights.",
)
@click.option("--index", metavar="INDEX", help="Structures of a file: 0, -1, 2:5.")
@click.option("--format", "file_format", metavar="NAME", help="A file's format in ASE.")
@click.option("--types", metavar="1=Cu,2=Au", help="Elements of LAMMPS's types.")
@click.option(
    "--method",
    metavar="NAME",
    type=click.Choice(list(METHODS)),
    default=DEFAULT_METHOD,
    show_default=True,
    help="One of the methods above.",
)
@click.option(
    "--weights", metavar="NAME|FILE", help="Of the learned optimizer ('weights list')."
)
@click.option(
    "--steps",
    type=Count(MOST),
    help="Steps of each start, or of each chain of bh.",
)
@click.option("--starts", type=Count(MOST), help="End after so many starts or chains.")
@click.option(
    "--without",
    metavar="PARTS",
    help=f"Parts of auto to leave out, joined by commas: {', '.join(PARTS)}.",
)
@click.option("--width", type=Count(MOST), help="Starts or chains side by side.  [32]")
@click.option(
    "--searches",
    type=Count(100_000),
    help="Searches side by side.  [1; more with --workers]",
)
@click.option(
    "--seed",
    type=Count(2**32 - 1, 0),
    default=0,
    show_default=True,
    help="Everything random follows from it.",
)
@click.option(
    "--evaluations",
    type=Count(10**12),
    help=f"Limit of each search.  [{DEFAULT_EVALUATIONS}, or {DEFAULT_CALLS} calls]",
)
@click.option(
    "--settled",
    type=Count(1000, 0),
    help="End when so many independent attempts met the lowest minimum; 0: never.  "
    "[3 of auto without a target]",
)
@click.option("--max-seconds", type=Real(0.0), help="Limit of all searches together.")
@click.option(
    "--target-energy", type=Real(), help="End a search at a minimum as low as this."
)
@click.option(
    "--folder", type=FILE, help="Keep the search here; the same command continues it."
)
@click.option(
    "--backend",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="native (compiled by your C++ compiler), scan (JAX) or cuda.",
)
@click.option("--device", metavar="NAME", help="cpu or gpu.  [JAX's]")
@click.option(
    "--relax-cell", is_flag=True, help="Relax the cell of the best structure, too."
)
@click.option(
    "--pressure", type=Real(), help="On that cell, in GPa (potentials in eV)."
)
@click.option("-o", "--output", type=FILE, help="Write the best structure here.")
@click.option("--minima", type=FILE, help="Write all distinct minima here.")
@click.option(
    "--plot",
    type=FILE,
    help="Draw the lowest minima and the fall of the energy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON record instead.")
@click.option("--quiet", is_flag=True, help="Show no progress and no remarks.")
@click.pass_context
def search(ctx: click.Context, target: str, as_json: bool, **options: Any) -> None:
    """Search one target, see ``HELP``."""
    _check_method(options)

    from ase_l2h.cli.cells import check_cell, relaxed_best
    from ase_l2h.cli.info import versions
    from ase_l2h.cli.outputs import check_outputs, write_outputs
    from ase_l2h.cli.report import record, table
    from ase_l2h.cli.results import check_apart, outputs_of, writer_of
    from ase_l2h.cli.structure_files import find_file
    from ase_l2h.cli.target import Reading, parse_region
    from ase_l2h.search.multistart import start_table

    reading = Reading(
        sigma=options["sigma"],
        epsilon=options["epsilon"],
        cutoff=options["cutoff"],
        region=parse_region(options["region"]),
        periodic=options["pbc"],
        index=options["index"],
        form=options["file_format"],
        types=options["types"],
        keep_molecules=options["keep_molecules"],
    )
    brought = own.Brought.among(options)
    check_apart(options)
    calculator = brought.made()
    opened = ctx.with_resource(brought.opened(calculator))
    calls = opened[1]
    made = (calculator, *opened)
    resolved = own.resolve_with(target, options["potential"], reading, brought, made)
    check_cell(resolved, options["relax_cell"], options["pressure"])
    wanted = outputs_of(resolved, options)
    file = find_file(target)
    check_outputs(wanted, None if file is None else Path(file[0]))
    if not options["quiet"]:
        for note in resolved.notes:
            click.echo(f"Note: {note}", err=True)

    result = _run(resolved, options | {"calls": calls})
    found = record(
        resolved,
        result,
        target_energy=options["target_energy"],
        starts=None if options["starts"] is None else start_table(result),
        wall=elapsed(ctx),
        versions=versions(),
    )
    trouble, best = [], None
    if result.minima:
        if options["relax_cell"]:
            best, told = relaxed_best(resolved, result, options["pressure"])
            found["relaxed_cell"] = told
        writers = [writer_of(o, resolved, result, found, best) for o in wanted]
        trouble = write_outputs(
            [(o.option, o.path, w) for o, w in zip(wanted, writers, strict=True)]
        )
    found["wall_seconds"] = round(elapsed(ctx)[0], 3)
    click.echo(json.dumps(found, allow_nan=False) if as_json else table(found))
    _conclude(result, wanted, trouble, options["folder"])


def _check_method(options: dict[str, Any]) -> None:
    """Refuse what a method does not take, in the words of the command line."""
    method = options["method"]
    if method != DEFAULT_METHOD:
        return
    for name in ("steps", "starts", "width"):
        if options[name] is not None:
            raise BadInput(
                f"the method '{method}' takes no --{name}; limit it with "
                "--evaluations, or choose another --method"
            )


def _left(result: SearchResult, wanted: list[Output], folder: Path | None) -> str:
    """Where an interrupted search has left what it found."""
    if not result.minima:
        found = "nothing was found"
    elif wanted:
        files = " and ".join(str(output.path) for output in wanted)
        found = f"what was found until then is in {files}"
    else:
        found = "what was found until then is printed"
    if folder is not None:
        return f"{found}; the same command continues in {folder}"
    if result.minima and not wanted:
        return f"{found}; --output FILE would keep the best structure, --folder it all"
    return found


def _conclude(
    result: SearchResult, wanted: list[Output], trouble: list[str], folder: Path | None
) -> None:
    """How the program ends, once everything is printed."""
    if trouble:
        raise RunFailure("; ".join(trouble))
    if result.stopped == "interrupted":
        raise Interrupted(f"interrupted; {_left(result, wanted, folder)}")
    if result.stopped == "failed":
        raise RunFailure(f"{result.trouble}; what was found until then is kept")
    if result.minima:
        return
    if result.stopped == "done":
        raise RunFailure(
            "no start ended with a finite energy; check the potential and the structure"
        )
    spent = "time was up" if result.stopped == "time" else "the evaluations were spent"
    said = f"{spent} before a first structure was relaxed; allow more"
    if wanted:
        names = " and ".join(output.option for output in wanted)
        raise RunFailure(f"{said}; nothing is written for {names}")
    click.echo(f"Warning: {said}", err=True)


def _run(target: SearchTarget, options: dict[str, Any]) -> SearchResult:
    """The search with its progress bar and signals."""
    from ase_l2h._internal.stopping import stop_on_signals
    from ase_l2h.cli.watching import Watching
    from ase_l2h.search import driver
    from ase_l2h.search.limits import Limits

    count, each = driver.shared_by(
        options["workers"],
        options["searches"],
        options["method"],
        options["evaluations"],
        bounded=options["max_seconds"] is not None,
    )
    limits = Limits(
        each, options["max_seconds"], options["target_energy"], options["settled"]
    )
    if each is None and options["max_seconds"] is None and options["starts"] is None:
        calls = target.problem.measure is not None
        each = DEFAULT_CALLS if calls else DEFAULT_EVALUATIONS
    total = None if each is None else each * count
    watching = Watching(target, options["method"], total, not options["quiet"])
    with watching, stop_on_signals(NOTE) as stop:
        return driver.search_problem(
            target.problem,
            method=options["method"],
            limits=limits,
            seed=options["seed"],
            searches=count,
            weights=options["weights"],
            steps=options["steps"],
            starts=options["starts"],
            width=options["width"],
            without=split_names(options["without"]),
            backend=options["backend"],
            device=options["device"],
            calls=options["calls"],
            folder=options["folder"],
            stop_together=options["searches"] is None,
            interrupted=lambda: stop.requested,
            on_charge=watching.charged,
            on_round=watching.after_round,
        )
