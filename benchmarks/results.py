"""Hit rates of every method from the same fresh starts, at equal charged evaluations.

    python -m benchmarks.results [--targets LJ13,LJ38] [--starts 150] [--seed 2026]
    python -m benchmarks.results --steps 10000 --weights lj --methods learned,adam

For every target the learned optimizer runs first, at the horizon of its weights. Adam,
FIRE and gradient descent then get as many steps as it was charged evaluations in all,
and their own final quench on top, so none of them gets less. One record per target and
method is appended to ``benchmarks/records/results.jsonl``; ``python -m
benchmarks.render`` turns the records into tables and pictures. A target that is already
in the file with the same settings is not run again. With ``--steps`` the ``--methods``
take that many steps each, and the records go to ``long.jsonl``; ``--backend native``
makes long ones affordable.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ase_l2h._internal.records import read_lines
from ase_l2h.search.multistart import SearchResult, search
from ase_l2h.targets import Target, named_target
from ase_l2h.weights.load import load_weights
from benchmarks.machine import machine_class, versions

RECORDS = Path(__file__).parent / "records" / "results.jsonl"
LONG_RECORDS = RECORDS.with_name("long.jsonl")
# fmt: off
TARGETS = (
    *("LJ13", "LJ19", "LJ26", "LJ31", "LJ38", "LJ55", "LJ75"),
    *("Au13", "Au55", "Ag38", "Ag19Au19", "Si8", "Si64"),
)
# fmt: on
CLASSICAL = ("adam", "fire", "gd")
# A hit ends within this of the reference, in energy scales.
HIT = 1e-4


def one(
    target: Target,
    method: str,
    weights: str | None,
    starts: int,
    seed: int,
    steps: Any,
    backend: str = "auto",
) -> SearchResult:
    """One search with progress on stderr."""
    with tqdm(desc=f"{target.name} {method}", unit="step", leave=False) as bar:
        return search(
            target.potential,
            target.system,
            method=method,
            weights=weights,
            n_starts=starts,
            n_steps=steps,
            seed=seed,
            backend=backend,
            progress=bar.update,
        )


def record(target: Target, result: SearchResult, starts: int) -> dict[str, Any]:
    """What is kept of a search."""
    energies = [None if not math.isfinite(e) else round(e, 8) for e in result.energies]
    weights = result.weights
    return {
        "target": target.name,
        "method": result.method,
        "weights": None if weights is None else weights.name,
        "weights_sha256": None if weights is None else weights.sha256,
        "architecture": None if weights is None else weights.metadata["architecture"],
        "seed": result.seed,
        "n_starts": starts,
        "n_steps": result.n_steps,
        "reference": target.reference,
        "energy_scale": float(np.mean(np.asarray(target.system.energy_scale))),
        "energies": energies,
        "charged_evaluations": result.charged_evaluations,
        "minima": len(result.minima),
        "wall_seconds": round(result.wall_seconds, 2),
        "backend": result.backend,
        "machine": machine_class(),
        "versions": versions(),
    }


def settings(line: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two records the same measurement."""
    names = ("target", "method", "weights_sha256", "seed", "n_starts")
    return tuple(line[name] for name in names)


def longer(arguments: argparse.Namespace) -> None:
    """Searches of ``--steps`` steps that are not in their record yet."""
    known = read_lines(LONG_RECORDS)
    done = {(line["n_steps"], *settings(line)) for line in known}
    jobs = [
        (named_target(name), method, weights)
        for name in arguments.targets.split(",")
        for method in arguments.methods.split(",")
        for weights in (
            arguments.weights.split(",") if method == "learned" else (None,)
        )
    ]
    for target, method, weights in jobs:
        sha = None if weights is None else load_weights(weights).sha256
        same = (target.name, method, sha, arguments.seed, arguments.starts)
        if (arguments.steps, *same) in done:
            continue
        result = one(
            target,
            method,
            weights,
            arguments.starts,
            arguments.seed,
            arguments.steps,
            arguments.backend,
        )
        line = record(target, result, arguments.starts)
        with LONG_RECORDS.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


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
    RECORDS.parent.mkdir(exist_ok=True)
    if arguments.steps is not None:
        longer(arguments)
        return
    known = []
    if RECORDS.exists():
        known = [json.loads(line) for line in RECORDS.read_text().splitlines()]
    done = {settings(line) for line in known}

    def keep(target: Target, result: SearchResult) -> dict[str, Any]:
        line = record(target, result, arguments.starts)
        with RECORDS.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        done.add(settings(line))
        known.append(line)
        return line

    for name in arguments.targets.split(","):
        target = named_target(name)
        budget = None
        for weights in arguments.weights.split(","):
            sha = load_weights(weights).sha256
            same = (name, "learned", sha, arguments.seed, arguments.starts)
            if same in done:
                line = next(k for k in known if settings(k) == same)
            else:
                line = keep(
                    target,
                    one(
                        target,
                        "learned",
                        weights,
                        arguments.starts,
                        arguments.seed,
                        None,
                    ),
                )
            if budget is None:
                budget = math.ceil(line["charged_evaluations"] / arguments.starts)
        for method in CLASSICAL:
            if (name, method, None, arguments.seed, arguments.starts) in done:
                continue
            keep(
                target,
                one(target, method, None, arguments.starts, arguments.seed, budget),
            )


if __name__ == "__main__":
    main()
