"""``ase-l2h compare``: any methods on any targets, in charged evaluations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ase_l2h.cli.common import Interrupted, Verb
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase_l2h._internal.records import Records
    from ase_l2h.comparison.protocol import Protocol

__all__ = ["compare"]

HELP = """Compare methods by what a first encounter with the lowest minimum costs.

Every TARGET is a formula as for 'ase-l2h search' (LJ38, Au55, Si64). METHODS are
learned, hybrid, adam, fire, gd, bh and bh-paper; learned:NAME takes other weights, and
@STEPS other steps per start, as in learned:lj-fcc@3000.

Every method makes the same number of runs from the same starts. A run is charged for
every energy and gradient; it ends when a charged quench ends within 1e-4 energy scales
of the target's lowest known energy, or when its budget is used up. Methods that do not
hop are restarted from new random starts until then.

DIR receives records.jsonl, results.csv, results.md and curves.png/.pdf. What is in the
records is not run again: an interrupted comparison continues, and more runs, methods or
targets can be added.

\b
Examples:
  ase-l2h compare LJ13 LJ38 --out lj
  ase-l2h compare LJ38 --methods learned:lj-fcc,bh --seeds 100 --budget 1e6 --out lj38
  ase-l2h compare Ag19Au19 --energy Ag19Au19=-115.4 --methods learned,bh --out agau
"""


class _Count(click.ParamType):
    """A whole number, also as ``1e6``."""

    name = "number"

    def convert(self, value, param, ctx):
        try:
            number = float(value)
            if number == int(number):
                return int(number)
        except (OverflowError, TypeError, ValueError):
            pass
        self.fail(f"{value!r} is not a whole number; write for example 1000000 or 1e6")


@click.command(cls=Verb, help=HELP)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--methods",
    default="learned,bh,adam,fire",
    show_default=True,
    help="METHOD[:WEIGHTS][@STEPS], separated by commas.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|FILE",
    help="The same as learned:NAME among the methods; may be given several times.",
)
@click.option(
    "--energy",
    "energies",
    multiple=True,
    metavar="TARGET=ENERGY",
    help="What counts as found, where no minimum is published or another is meant.",
)
@click.option(
    "--seeds",
    type=int,
    default=20,
    show_default=True,
    help="Runs per method and target, each with a seed of its own.",
)
@click.option(
    "--budget",
    type=_Count(),
    default=100_000,
    show_default=True,
    help="Charged evaluations after which a run is cut off.",
)
@click.option(
    "--seed",
    type=int,
    default=2026,
    show_default=True,
    help="The seeds of all runs follow from it.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder of the results.",
)
@click.option("--device", metavar="NAME", help="cpu or gpu.  [default: JAX's]")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="scan, native (compiled here by a C++ compiler) or cuda, for learned, adam, "
    "fire, bh and bh-paper; scan runs the others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def compare(
    targets: Sequence[str],
    methods: str,
    weights: Sequence[str],
    energies: Sequence[str],
    seeds: int,
    budget: int,
    seed: int,
    out: Path,
    device: str | None,
    backend: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run what is missing and draw, see ``HELP``."""
    from ase_l2h._internal.records import Records
    from ase_l2h.comparison.protocol import Protocol, contender, goal
    from ase_l2h.comparison.report import comparison_markdown, write_comparison
    from ase_l2h.rollout.backends import resolve_backend
    from ase_l2h.rollout.batch import resolve_device
    from ase_l2h.targets import named_target

    resolve_device(device)
    names = [name for name in methods.split(",") if name]
    names += [f"learned:{name}" for name in weights]
    given = dict(_energy(text, targets) for text in energies)
    protocol = Protocol(
        goals=tuple(goal(named_target(name), given.get(name)) for name in targets),
        contenders=tuple(contender(name) for name in names),
        runs=seeds,
        budget=budget,
        seed=seed,
        backend=resolve_backend(backend),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "records.jsonl").touch()
    except OSError as error:
        raise InputError(
            f"cannot write in the folder {out} ({error.strerror}); choose another"
        ) from error
    records = Records(out / "records.jsonl")
    _run(protocol, records, device, quiet, out)
    rows = write_comparison(out, protocol, records.lines)
    if as_json:
        click.echo(json.dumps(rows, allow_nan=False))
        return
    click.echo(comparison_markdown(protocol, records.lines))
    click.echo(f"Results in {out}.")


def _energy(text: str, targets: Sequence[str]) -> tuple[str, float]:
    """``LJ38=-173.9`` as name and number."""
    name, _, number = text.partition("=")
    if name not in targets:
        raise InputError(
            f"--energy {text}: '{name}' is none of the targets; write TARGET=ENERGY"
        )
    try:
        return name, float(number)
    except ValueError:
        raise InputError(
            f"--energy {text}: '{number}' is no number; write TARGET=ENERGY"
        ) from None


def _run(
    protocol: Protocol, records: Records, device: str | None, quiet: bool, out: Path
) -> None:
    from ase_l2h._internal.progress import progress_bar
    from ase_l2h.comparison.protocol import run_protocol

    with progress_bar("compare", enabled=not quiet) as bar:

        def show(done: int, of: int, what: str) -> None:
            bar.total = of
            bar.set_postfix_str(what, refresh=False)
            bar.update(done - bar.n)

        try:
            run_protocol(protocol, records, device=device, progress=show)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted; the same command continues in {out}"
            ) from None
