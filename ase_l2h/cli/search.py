"""``ase-l2h search``: many starts, the lowest minima, written where asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli.common import Interrupted, RunFailure, Verb, elapsed

if TYPE_CHECKING:
    from ase_l2h.cli.outputs import Output
    from ase_l2h.cli.target import Job
    from ase_l2h.search.multistart import SearchResult

__all__ = ["search"]

# `search.multistart.METHODS`, which would load JAX; a test holds the two together.
METHODS = ("learned", "adam", "fire", "gd", "bh", "bh-paper")
HYBRID = "hybrid"
NOTE = "stopping: what was found is being relaxed; once more to give up"
DEFAULT_STARTS = 150
FILE = click.Path(path_type=Path)


HELP = """Search TARGET for its lowest minimum.

TARGET is a formula, or a structure file in any format of ASE; an existing file goes
first. LJ38 is a Lennard-Jones cluster in reduced units, Au55 and Ag19Au19 are
clusters with Gupta parameters, Si8, Si64, Si216 are cubes of Stillinger-Weber
silicon at 5.431 angstrom. The structure of a file is the first start; the others
are random, with its composition and cell.

Every start takes its inner steps and is relaxed in double precision. Ctrl-C stops,
relaxes and keeps what was found (exit code 130).

\b
Examples:
  ase-l2h search LJ13 --starts 150 --seed 0
  ase-l2h search LJ38 --target-energy -173.9284 --plot lj38.png
  ase-l2h search LJ75 --method hybrid --target-energy -397.4923
  ase-l2h search Ag19Au19 --potential gupta:AgAu -o best.extxyz
  ase-l2h search cluster.xyz --potential lj --sigma 3.4 --epsilon 0.0104
  ase-l2h search Si64 --minima all.extxyz --json > si64.json
"""


@click.command(cls=Verb, help=HELP)
@click.argument("target")
@click.option(
    "--potential",
    metavar="NAME[:SET]",
    help="lj, gupta[:SET] or sw[:SET]; by default what the species suggest. 'ase-l2h "
    "info' lists the sets.",
)
@click.option(
    "--sigma",
    type=float,
    help="With a file and lj: sigma in the file's length unit.  [default: 1]",
)
@click.option(
    "--epsilon",
    type=float,
    help="With a file and lj: epsilon, the unit of energy.  [default: 1]",
)
@click.option(
    "--pbc/--no-pbc",
    default=True,
    help="With a file: keep or drop its periodicity.  [default: keep]",
)
@click.option(
    "--method",
    type=click.Choice((*METHODS, HYBRID)),
    default="learned",
    show_default=True,
    help="What takes the steps: the learned optimizer, Adam, FIRE, gradient descent, "
    "basin hopping, or basin hopping as in the Learn2Hop paper; hybrid keeps a "
    "population of clusters, for learned hops, fragments of ordered packings and moves "
    "of loose atoms.",
)
@click.option(
    "--weights",
    metavar="NAME|FILE",
    help="Weights of the learned optimizer ('ase-l2h weights list').",
)
@click.option(
    "--starts",
    type=int,
    help=f"Starting structures, or searches of hybrid.  [default: {DEFAULT_STARTS}, 1 "
    "of hybrid]",
)
@click.option(
    "--steps",
    type=int,
    help="Steps per start, each one charged evaluation, also those of the quenches of "
    "bh; all evaluations of a search of hybrid.  [default: the horizon of the weights, "
    "10000 for bh, 50000 for bh-paper, 200000 for hybrid, else 1000]",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Random starts follow from it.",
)
@click.option(
    "--rotate/--no-rotate",
    default=False,
    help="Turn random starts of clusters at random.",
)
@click.option(
    "--target-energy",
    type=float,
    help="Stop once a relaxed energy reaches this.",
)
@click.option(
    "--max-seconds",
    type=float,
    help="Stop then, and relax what was found.",
)
@click.option("--device", metavar="NAME", help="cpu or gpu.  [default: JAX's]")
@click.option(
    "--devices",
    type=int,
    default=1,
    show_default=True,
    help="How many of JAX's devices share the work.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="scan, native (compiled here by a C++ compiler) or cuda.",
)
@click.option("-o", "--output", type=FILE, help="Write the best structure here.")
@click.option("--minima", type=FILE, help="Write all distinct minima here.")
@click.option("--plot", type=FILE, help="Draw energy traces and the best structure.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON record instead.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.pass_context
def search(
    ctx: click.Context,
    target: str,
    starts: int | None,
    as_json: bool,
    target_energy: float | None,
    **options: Any,
) -> None:
    """Search one target, see ``HELP``."""
    from ase_l2h._internal.processes import local_devices
    from ase_l2h.cli.info import versions
    from ase_l2h.cli.outputs import check_outputs, write_outputs
    from ase_l2h.cli.report import record, table
    from ase_l2h.cli.target import resolve
    from ase_l2h.rollout.backends import resolve_backend
    from ase_l2h.rollout.batch import resolve_devices
    from ase_l2h.search.registry import default_steps, method_weights

    if options["method"] == HYBRID:
        starts = _hybrid_defaults(starts, options)
    else:
        weights = method_weights(options["method"], options["weights"])
        if options["steps"] is None:
            options["steps"] = default_steps(options["method"], weights)
        starts = DEFAULT_STARTS if starts is None else starts
    resolve_backend(options["backend"])
    devices = options.pop("devices")
    if devices != 1:
        if options["device"] is not None:
            raise click.UsageError("--devices counts JAX's own; leave out --device")
        options["device"] = local_devices(devices)
    resolve_devices(options["device"])
    job = resolve(
        target,
        options["potential"],
        options["sigma"],
        options["epsilon"],
        options["pbc"],
        starts,
    )
    if job.doubt is not None:
        click.echo(f"Warning: {job.doubt}", err=True)
    wanted = _outputs(job, options)
    check_outputs(wanted, None if job.given is None else Path(target))

    result = _run(job, starts, target_energy, options)
    if not result.minima:
        raise RunFailure(
            f"none of {len(result.energies)} starts ended with a finite energy; check "
            "the potential and the structure"
        )
    found = record(job, result, starts, target_energy, elapsed(ctx), versions())
    trouble = write_outputs(
        [(o.option, o.path, _writer(o, job, result, found)) for o in wanted]
    )
    found["wall_seconds"] = round(elapsed(ctx)[0], 3)
    click.echo(json.dumps(found, allow_nan=False) if as_json else table(found))
    if trouble:
        raise RunFailure("; ".join(trouble))
    if result.stopped == "interrupted":
        raise Interrupted("interrupted; the results until then are kept")


def _hybrid_defaults(starts: int | None, options: dict[str, Any]) -> int:
    """Steps and starts of the hybrid method, and what it cannot be asked for."""
    from ase_l2h.search.cluster import DEFAULT_EVALUATIONS

    if options["rotate"]:
        raise click.UsageError("--rotate turns given starts; hybrid has its own")
    if options["backend"] not in ("auto", "scan"):
        raise click.UsageError("hybrid runs on scan alone; leave out --backend")
    if options["steps"] is None:
        options["steps"] = DEFAULT_EVALUATIONS
    return 1 if starts is None else starts


def _run(
    job: Job, starts: int, target_energy: float | None, options: dict[str, Any]
) -> SearchResult:
    """The search with its progress bar and signals."""
    from ase_l2h._internal.progress import progress_bar
    from ase_l2h._internal.stopping import stop_on_signals
    from ase_l2h.search import multistart as searching

    total = starts * options["steps"]
    bar = progress_bar(job.name, total, " steps", not options["quiet"])
    with bar, stop_on_signals(NOTE) as stop:

        def report(done: int) -> None:
            bar.update(done)
            # A search reports where it can stop and keep what it has.
            stop.check()

        if options["method"] == HYBRID:
            # Half a second of imports that the others need not wait for.
            from ase_l2h.search.cluster import find_cluster

            return find_cluster(
                job.potential,
                job.system,
                weights=options["weights"],
                n_searches=starts,
                budget=options["steps"],
                seed=options["seed"],
                target_energy=target_energy,
                max_seconds=options["max_seconds"],
                device=options["device"],
                progress=report,
            )
        return searching.search(
            job.potential,
            job.system,
            method=options["method"],
            weights=options["weights"],
            n_starts=starts,
            n_steps=options["steps"],
            seed=options["seed"],
            starts=job.given,
            rotate=options["rotate"],
            target_energy=target_energy,
            max_seconds=options["max_seconds"],
            backend=options["backend"],
            device=options["device"],
            progress=report,
        )


def _outputs(job: Job, options: dict[str, Any]) -> list[Output]:
    """The files asked for, with a trial structure of the right composition."""
    from ase_l2h.cli.outputs import Output, structures_output

    trial = job.structure(job.template.positions, 0.0, start=0, count=1)
    wanted = []
    if options["output"] is not None:
        wanted.append(structures_output("-o", options["output"], [trial]))
    if options["minima"] is not None:
        wanted.append(structures_output("--minima", options["minima"], [trial] * 2))
    if options["plot"] is not None:
        from ase_l2h.report.figures import picture_format

        form = picture_format(options["plot"])
        trial_picture = lambda path: path.write_bytes(form.encode())
        wanted.append(Output("--plot", options["plot"], trial_picture))
    return wanted


def _writer(output: Output, job: Job, result: SearchResult, found: dict[str, Any]):
    from ase_l2h.cli.outputs import write_structures

    if output.option == "--plot":
        return _plotter(output.path, job, result, found)
    best_only = output.option == "-o"
    images = [
        job.structure(
            m.positions,
            m.energy,
            count=m.count,
            start=m.start,
            target=job.name,
            method=result.method,
            seed=result.seed,
        )
        for m in (result.minima[:1] if best_only else result.minima)
    ]
    return write_structures(images, output.path)


def _plotter(path: Path, job: Job, result: SearchResult, found: dict[str, Any]):
    from ase_l2h.cli.report import hit_tolerance
    from ase_l2h.report.figures import picture_format, save_figure, search_figure

    best = result.minima[0]
    figure = search_figure(
        title=f"{job.name}, {result.method}, {len(result.energies)} starts",
        steps=result.trace_steps,
        traces=result.trace,
        energies=result.energies,
        reference=job.reference,
        tolerance=hit_tolerance(job),
        unit=job.unit,
        best=job.structure(best.positions, best.energy),
    )
    return lambda to: save_figure(figure, to, picture_format(path))
