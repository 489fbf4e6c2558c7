"""What the parts of the default method make in a round."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_l2h.search.auto import surrogate
from ase_l2h.search.auto.improve import ROUGH, all_relaxed
from ase_l2h.search.auto.parts import Part
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import State
from ase_l2h.search.molecules import rearranged
from ase_l2h.search.names import LEARNED
from ase_l2h.search.requests import Relaxed, random_keys
from ase_l2h.search.starting import random_structures

if TYPE_CHECKING:
    from ase_l2h.search.auto.method import Auto

__all__ = ["Making"]

# Steps: at most of a start by calls; of basin hopping.
CALLED_STEPS, HOPPING_STEPS = 300, 300
# Noise before a learned hop, in bond lengths.
BEFORE_HOP = (0.1, 0.4)
# The parts that need evaluations to make their structures.
EVALUATED = {"hopping", *LEARNED}
# Share of the rounds that do not trust the learned potential.
WARY = 0.05


class Making:
    """One round of making.

    Parameters
    ----------
    method
        Its weights and steps, and what is left out.
    evaluator
        What evaluations are asked from.
    pool
        What the search holds.
    learned
        What the search has learned, see
        :func:`~ase_l2h.search.auto.surrogate.remembered`; a copy, which is changed.
    rng
        Decides everything random.

    Attributes
    ----------
    evaluator
        Its relaxations begin with the curvature of the learned potential, where there
        is one.
    model
        The learned potential in which structures descend first; None where there is
        none, or where it is not trusted.
    """

    def __init__(
        self,
        method: Auto,
        evaluator: Evaluator,
        pool: Pool,
        learned: State,
        rng: np.random.Generator,
    ) -> None:
        self.method, self.evaluator, self.pool = method, evaluator, pool
        self.learned, self.rng = learned, rng
        self.model: surrogate.Model | None = None
        self._fitted: surrogate.Model | None = None
        off = {surrogate.PART, surrogate.DESCENT}.intersection(method.without)
        if off or not surrogate.learnable(evaluator.problem):
            return
        wary = rng.random() < WARY
        if surrogate.misleading(learned):
            return
        model = self._fitted = surrogate.Model(evaluator.problem, pool, learned)
        if surrogate.misleading(learned):
            return
        self.evaluator = evaluator.with_metric(model.metric)
        self.model = None if wary else model

    def made(self, parts: Sequence[Part], counts: np.ndarray) -> Relaxed:
        """The structures of the parts, roughly relaxed, part by part."""
        rough = ROUGH * self.evaluator.problem.force_unit
        groups = [
            self._of(part, count)
            for part, count in zip(parts, counts.tolist(), strict=True)
            if count
        ]
        return all_relaxed(self.evaluator, groups, rough)

    def _of(self, part: Part, count: int) -> np.ndarray | Relaxed:
        if part.name == surrogate.PART:
            return self._proposed(count)
        if part.name == "molecules":
            held = self.pool.drawn(self.rng, count)
            return rearranged(self.evaluator, held, self.rng)
        if self.model is None:
            return self._of_part(self.evaluator, part, count)
        free = self.model.evaluator()

        def make(number: int) -> np.ndarray:
            made = self._of_part(free, part, number)
            return made if isinstance(made, np.ndarray) else made.positions

        return self.model.descended(make, count, self.rng)

    def _of_part(
        self, evaluator: Evaluator, part: Part, count: int
    ) -> np.ndarray | Relaxed:
        """Structures of a part; if that needs evaluations, they are relaxed."""
        if part.name in EVALUATED:
            return self._evaluated(evaluator, part.name, count)
        problem, rng = self.evaluator.problem, self.rng
        if part.change is not None:
            return part.change(self.pool.drawn(rng, count), problem, rng)
        if part.source is not None:
            return part.source(problem, rng, count)
        return random_structures(self.evaluator, rng, count)

    def _proposed(self, count: int) -> np.ndarray:
        without = (*self.method.without, *LEARNED)
        inner = dataclasses.replace(self.method, without=without, **surrogate.SEARCH)
        pool, known = self.pool, self.learned
        # Also one that is not trusted may propose; it need not be fitted again.
        model = self._fitted or surrogate.Model(self.evaluator.problem, pool, known)
        return surrogate.proposed(model, inner, pool, known, self.rng, count)

    def _evaluated(self, evaluator: Evaluator, name: str, count: int) -> Relaxed:
        """Structures of the parts that need evaluations to make them."""
        rng = self.rng
        problem = evaluator.problem
        if name == "hopping":
            from ase_l2h.search.registry import strong_hopping

            keys, held = random_keys(rng, count), self.pool.drawn(rng, count)
            return evaluator.hop(strong_hopping(problem), held, HOPPING_STEPS, keys)
        weights = self.method.weights
        assert weights is not None
        steps = self.method.hop_steps if name == "learned-hops" else weights.horizon
        steps = steps if problem.measure is None else min(steps, CALLED_STEPS)
        own = steps == weights.horizon
        rule = (weights if own else weights.for_horizon(steps)).rule
        rules = rule if isinstance(rule, tuple) else (rule,)
        if name == "learned-starts":
            starts = random_structures(evaluator, rng, count)
        else:
            starts = self.pool.drawn(rng, count)
            scale = rng.uniform(*BEFORE_HOP, size=count) * problem.length
            noise = scale * rng.normal(size=starts.shape)
            starts = problem.with_fixed(starts + noise)
        # One rule for all structures fills the vector lanes.
        rule = rules[int(rng.integers(len(rules)))]
        return evaluator.follow(rule, starts, steps, random_keys(rng, count))
