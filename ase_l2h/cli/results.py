"""The files of ``ase-l2h search``: best structure, distinct minima, picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_l2h._internal.checkpoint import FILES
from ase_l2h.cli.outputs import (
    Output,
    Writer,
    check_cache,
    structures_output,
    write_structures,
)
from ase_l2h.cli.target import SearchTarget
from ase_l2h.search.result import SearchResult

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["check_apart", "outputs_of", "writer_of"]


def check_apart(options: dict[str, Any]) -> None:
    """Refuse files of results that are the cache of calls; nothing is opened."""
    named = {"-o": "output", "--minima": "minima", "--plot": "plot"}
    files = {option: options[name] for option, name in named.items()}
    check_cache(options["cache"], files, ("--folder", options["folder"], FILES))


def outputs_of(target: SearchTarget, options: dict[str, Any]) -> list[Output]:
    """The files asked for, with a trial structure of the right composition."""
    trial = target.structure(target.template.positions, 0.0, first=0, count=1)
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


def writer_of(
    output: Output,
    target: SearchTarget,
    result: SearchResult,
    found: dict[str, Any],
    best: Atoms | None = None,
) -> Writer:
    """What writes one of the files; ``best`` where its cell has been relaxed."""
    if output.option == "--plot":
        return _plotter(output.path, target, result, found)
    best_only = output.option == "-o"
    if best_only and best is not None:
        return write_structures([best], output.path)
    images = [
        target.structure(
            minimum.positions,
            minimum.energy,
            count=minimum.count,
            first=minimum.first,
            checked=minimum.checked,
            target=target.name,
            method=result.method,
            seed=result.seed,
        )
        for minimum in (result.minima[:1] if best_only else result.minima)
    ]
    return write_structures(images, output.path)


def _plotter(
    path: Path, target: SearchTarget, result: SearchResult, found: dict[str, Any]
) -> Writer:
    from ase_l2h.report.figures import picture_format, save_figure
    from ase_l2h.report.search_figure import search_figure

    minima, count = result.minima, len(result.searches)
    searches = "" if count == 1 else f", {count} searches"
    figure = search_figure(
        title=f"{target.name}, {result.method}{searches}",
        courses=[(trace.course, trace.charged) for trace in result.searches],
        minima=[(minimum.energy, minimum.count) for minimum in minima],
        reference=found["reference_energy"],
        tolerance=found["hit_tolerance"],
        unit=target.unit,
        scale=target.problem.energy_unit,
        structure=lambda k: target.structure(minima[k].positions, minima[k].energy),
    )
    return lambda to: save_figure(figure, to, picture_format(path))
