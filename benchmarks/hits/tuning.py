"""Tuning of Adam and FIRE: the grid of the paper's appendix C.1, and learned numbers.

    python -m benchmarks.hits.tuning [--targets LJ13,LJ38] [--weights adam4p-lj13]

The paper's grid is a learning rate of 0.01, 0.005 or 0.001 for either; 0.02 is added
here. FIRE has no learning rate: its first time step takes that place, and the longest
is four times as long, the ratio of its defaults. ``--weights`` adds Adam with learned
hyperparameters (Adam4p). The starts have a seed of their own, which no reported result
uses. One line per target and setting of ``benchmarks/records/tuning.jsonl``; lines that
are in the file are not run again. The best setting of a target has the lowest mean of
the relaxed energies.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rollout import Rollout, relax_rollout
from ase_l2h.rules import Adam, Fire
from ase_l2h.rules.base import Rule
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import Target, named_target
from ase_l2h.weights.load import load_weights
from benchmarks import paths

RECORDS = paths.RECORDS / "tuning.jsonl"
TARGETS = ("LJ13", "LJ38", "LJ75", "Au55", "Si64", "Ag19Au19")
PAPER_RATES = (0.01, 0.005, 0.001)
RATES = (0.02, *PAPER_RATES)
SEED = 90_001
STARTS, STEPS = 64, 5000
HIT = 1e-4


def settings(weights: list[str]) -> Iterator[tuple[str, str, Rule]]:
    """Method, name of the setting, and rule."""
    for rate in RATES:
        yield "adam", f"rate {rate}", Adam(rate=rate)
    for rate in RATES:
        yield "fire", f"dt {rate}", Fire(dt=rate, dt_max=4 * rate)
    for name in weights:
        loaded = load_weights(name)
        yield "adam4p", loaded.name, loaded.rule


def measured(
    target: Target, rule: Rule, starts: int = STARTS, steps: int = STEPS
) -> dict[str, Any]:
    """Relaxed energies after ``steps`` from the tuning starts."""
    positions = make_starts(target.system, SEED, 0, starts)
    key = jax.random.key(SEED)
    run = Rollout(RuleOptimizer(rule), target.potential, target.system, positions, key)
    run.advance(steps)
    run.evaluate()
    relaxed = relax_rollout(run, target.potential, target.system, start=positions)
    energies = np.where(np.isfinite(relaxed.energy), relaxed.energy, 0.0)
    scale = float(np.mean(np.asarray(target.system.energy_scale)))
    hits = None
    if target.reference is not None:
        hits = int(np.sum(energies <= target.reference + HIT * scale))
    return {
        "mean": float(np.mean(energies)),
        "error": float(np.std(energies, ddof=1) / np.sqrt(starts)),
        "lowest": float(np.min(energies)),
        "hits": hits,
        "charged_evaluations": int(
            run.gather("evaluations").sum() + relaxed.evaluations.sum()
        ),
    }


def best(lines: list[dict[str, Any]], target: str, method: str) -> dict[str, Any]:
    """The line of the setting with the lowest mean energy.

    Raises
    ------
    ValueError
        When nothing of the kind has been measured.
    """
    case = (target, method)
    tried = [line for line in lines if (line["target"], line["method"]) == case]
    if not tried:
        raise ValueError(
            f"no setting of {method} has been measured on {target}; run python -m "
            f"benchmarks.hits.tuning --targets {target}"
        )
    return min(tried, key=lambda line: line["mean"])


def main() -> None:
    """Run what is missing and print the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--weights", default="")
    arguments = parser.parse_args()
    weights = [name for name in arguments.weights.split(",") if name]
    records = Records(RECORDS)
    for name in arguments.targets.split(","):
        target = named_target(name)
        for method, setting, rule in settings(weights):
            key = {
                "target": name,
                "method": method,
                "setting": setting,
                "seed": SEED,
                "starts": STARTS,
                "steps": STEPS,
            }
            records.get(key, functools.partial(measured, target, rule))
        for method in dict.fromkeys(method for method, *_ in settings(weights)):
            line = best(records.lines, name, method)
            print(
                f"{name} {method}: {line['setting']}, mean {line['mean']:.3f} ± "
                f"{line['error']:.3f}, lowest {line['lowest']:.4f}, hits {line['hits']}"
                f" of {line['starts']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
