"""What a comparison has found, from its record only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.comparison.encounters import Encounters
from ase_l2h.comparison.former import converted
from ase_l2h.comparison.record import RECORD, runs_of
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "comparison_of", "read_comparison"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Methods beside each other; ``print`` shows the tables.

    Parameters
    ----------
    targets
        Name of each target, and the energy that counts as found.
    methods
        Their names, in the order of the tables.
    runs, budget, seed, backend
        As they were declared.
    encounters
        The runs of a target and a method; there is no entry where there are no runs.
    settings
        What the runs of a target and a method depend on.
    machines
        What they were made on.
    """

    targets: dict[str, float]
    methods: tuple[str, ...]
    runs: int
    budget: int
    seed: int
    backend: str
    encounters: dict[tuple[str, str], Encounters]
    settings: dict[tuple[str, str], dict[str, Any]]
    machines: tuple[str, ...] = ()

    def of(
        self,
        targets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
    ) -> Comparison:
        """A part of it; all targets, or all methods, when None."""
        targets = tuple(self.targets) if targets is None else tuple(targets)
        methods = self.methods if methods is None else tuple(methods)

        def part(table: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
            return {
                key: value
                for key, value in table.items()
                if key[0] in targets and key[1] in methods
            }

        return dataclasses.replace(
            self,
            targets={name: self.targets[name] for name in targets},
            methods=methods,
            encounters=part(self.encounters),
            settings=part(self.settings),
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row per target and method; what is not bounded is None."""
        from ase_l2h.comparison.report import rows

        return rows(self)

    def figure(self) -> Figure:
        """Success against charged evaluations and against seconds."""
        from ase_l2h.comparison.report import figure

        return figure(self)

    def __str__(self) -> str:
        """The tables, as Markdown."""
        from ase_l2h.comparison.report import markdown

        return markdown(self)


def comparison_of(lines: Lines, declaration: dict[str, Any]) -> Comparison:
    """The runs that were declared, as far as they are in the record."""
    encounters, settings, machines = {}, {}, set()
    for entry in declaration["entries"]:
        key = entry["target"], entry["method"]
        settings[key] = entry["settings"]
        runs = list(runs_of(lines, entry).values())[: declaration["runs"]]
        if runs:
            encounters[key] = _encounters(runs)
        machines |= {
            f"{line['machine']} ({line['device']})"
            for line in runs
            if line.get("machine")
        }
    entries = declaration["entries"]
    return Comparison(
        targets={entry["target"]: entry["target_energy"] for entry in entries},
        methods=tuple(dict.fromkeys(entry["method"] for entry in entries)),
        runs=declaration["runs"],
        budget=declaration["budget"],
        seed=declaration["seed"],
        backend=declaration["backend"],
        encounters=encounters,
        settings=settings,
        machines=tuple(sorted(machines)),
    )


def _encounters(runs: Lines) -> Encounters:
    charged = np.array([line["evaluations"] for line in runs], int)
    seconds = sum(line["seconds"] for line in runs)
    energies = [line["energy"] for line in runs if line["energy"] is not None]
    return Encounters(
        found=np.array([line["found"] for line in runs], bool),
        evaluations=charged,
        seconds_per_evaluation=seconds / max(1, int(np.sum(charged))),
        compile_seconds=sum(line["compile_seconds"] for line in runs),
        lowest=min(energies, default=math.inf),
        backends=tuple(sorted({str(line["backend"]) for line in runs})),
    )


def read_comparison(path: str | Path) -> Comparison:
    """All that the record of a comparison declares, of this release or of 0.1.0.

    Where the record has several declarations, those that agree with the last one in
    runs, budget, seed and backend are joined.

    Parameters
    ----------
    path
        The record, or the folder of a comparison.

    Raises
    ------
    InputError
        When there is none.
    """
    path = Path(path)
    path = path / RECORD if path.is_dir() else path
    lines = converted(read_lines(path))
    declarations = [line for line in lines if line.get("kind") == "protocol"]
    if not declarations:
        raise InputError(f"{path} is not a record of a comparison")
    last = declarations[-1]
    names = ("runs", "budget", "seed", "backend")
    entries: dict[tuple[str, str], Any] = {}
    for declaration in declarations:
        if all(declaration[name] == last[name] for name in names):
            for entry in declaration["entries"]:
                entries[entry["target"], entry["method"]] = entry
    return comparison_of(lines, {**last, "entries": list(entries.values())})
