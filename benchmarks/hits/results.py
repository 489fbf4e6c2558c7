"""Hit rates of every method from the same fresh starts, at equal charged evaluations.

    python -m benchmarks.hits.results [--targets LJ13,LJ38] [--starts 150] [--seed 2026]
    python -m benchmarks.hits.results --steps 10000 --weights lj --methods learned,adam

For every target the learned optimizer runs first, at the horizon of its weights. Adam,
FIRE and gradient descent then get as many steps as it was charged evaluations in all,
and their own final quench on top, so none of them gets less. One record per target and
method is appended to ``benchmarks/records/results.jsonl``; ``python -m
benchmarks.pages`` turns the records into tables and pictures. A target that is already
in the file with the same settings is not run again. With ``--steps`` the ``--methods``
take that many steps each, and the records go to ``long.jsonl``; ``--backend native``
makes long ones affordable.
"""

from __future__ import annotations

import argparse
import functools
import math
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ase_l2h._internal.records import Records
from ase_l2h.reproduce.searching import run_search
from ase_l2h.targets import Target, named_target
from ase_l2h.weights.load import load_weights
from benchmarks import paths

__all__ = ["HIT", "LONG_RECORDS", "RECORDS"]

RECORDS = paths.RECORDS / "results.jsonl"
LONG_RECORDS = paths.RECORDS / "long.jsonl"
TARGETS = (
    *("LJ13", "LJ19", "LJ26", "LJ31", "LJ38", "LJ55", "LJ75"),
    *("Au13", "Au55", "Ag38", "Ag19Au19", "Si8", "Si64"),
)
CLASSICAL = ("adam", "fire", "gd")
# A hit ends within this of the reference, in energy scales.
HIT = 1e-4


class Measurement(NamedTuple):
    """One search: ``steps`` None takes the horizon of the weights."""

    target: Target
    method: str
    weights: str | None
    starts: int
    seed: int
    steps: int | None
    backend: str = "auto"

    def key(self) -> dict[str, Any]:
        """What tells its record from those of others."""
        weights = None if self.weights is None else load_weights(self.weights)
        return {
            "target": self.target.name,
            "method": self.method,
            "weights_sha256": None if weights is None else weights.sha256,
            "seed": self.seed,
            "n_starts": self.starts,
        }

    def run(self) -> dict[str, Any]:
        """What is kept of the search; progress on stderr."""
        name = f"{self.target.name} {self.method}"
        with tqdm(desc=name, unit="step", leave=False) as bar:
            result = run_search(
                self.target.potential,
                self.target.system,
                method=self.method,
                weights=self.weights,
                starts=self.starts,
                steps=self.steps,
                seed=self.seed,
                backend=self.backend,
                progress=bar.update,
            )
        weights = result.weights
        return {
            "weights": None if weights is None else weights.name,
            "architecture": weights and weights.metadata["architecture"],
            "n_steps": result.n_steps,
            "reference": self.target.reference,
            "energy_scale": float(np.mean(np.asarray(self.target.system.energy_scale))),
            "energies": [
                round(float(e), 8) if math.isfinite(e) else None
                for e in result.energies
            ],
            "charged_evaluations": result.charged_evaluations,
            "minima": len(result.minima),
            "wall_seconds": round(result.wall_seconds, 2),
            "backend": result.backend,
        }


def long_searches(arguments: argparse.Namespace) -> None:
    """Searches of ``--steps`` steps that are not in their record yet."""
    records = Records(LONG_RECORDS)
    for name in arguments.targets.split(","):
        for method in arguments.methods.split(","):
            chosen = arguments.weights.split(",") if method == "learned" else [None]
            for weights in chosen:
                one = Measurement(
                    named_target(name),
                    method,
                    weights,
                    arguments.starts,
                    arguments.seed,
                    arguments.steps,
                    arguments.backend,
                )
                records.get(one.key() | {"n_steps": arguments.steps}, one.run)


def equal_budgets(arguments: argparse.Namespace) -> None:
    """All methods of each target, by the evaluations of the first weights."""
    records = Records(RECORDS)
    for name in arguments.targets.split(","):
        measure = functools.partial(
            Measurement,
            named_target(name),
            starts=arguments.starts,
            seed=arguments.seed,
        )
        budget = None
        for weights in arguments.weights.split(","):
            learned = measure(method="learned", weights=weights, steps=None)
            line = records.get(learned.key(), learned.run)
            if budget is None:
                budget = math.ceil(line["charged_evaluations"] / arguments.starts)
        for method in CLASSICAL:
            other = measure(method=method, weights=None, steps=budget)
            records.get(other.key(), other.run)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--starts", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--methods", default="learned", help="of --steps")
    parser.add_argument("--backend", default="auto", help="of --steps")
    arguments = parser.parse_args()
    if arguments.steps is None:
        equal_budgets(arguments)
    else:
        long_searches(arguments)


if __name__ == "__main__":
    main()
