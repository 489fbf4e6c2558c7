"""Landscapes drawn at random: clusters of metals that do not exist.

Gupta potentials of one or two elements, in reduced units, with exponents drawn from the
range of the published ones. A rule that is trained on many of them cannot learn any one
by heart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.targets import MAX_ATOMS, Target, gupta_target

__all__ = ["Drawn", "drawn_targets"]

# Of the published sets, p is 8.6 to 16.9 and q 1.2 to 4.4.
P, Q = (8.5, 14.0), (1.8, 4.3)
# Of the second element against the first: length, and strength of the bonds.
SMALLER, WEAKER = (0.84, 1.0), (0.6, 1.0)
# Strength of unlike bonds over the geometric mean of the like ones.
MIXING = (0.96, 1.04)
# Names of the two; their energies are none of real elements.
SYMBOLS = ("Cu", "Au")


class Drawn(NamedTuple):
    """How many landscapes, of which sizes, and how many of alloys among them."""

    count: int
    sizes: tuple[int, int]
    alloys: int = 0

    @classmethod
    def of(cls, table: dict[str, object]) -> Drawn:
        """Read the table ``[drawn]`` of a configuration.

        Raises
        ------
        InputError
            For unknown entries and impossible values.
        """
        if unknown := sorted(set(table) - {"count", "sizes", "alloys"}):
            raise InputError(
                f"[drawn] has unknown entries {', '.join(unknown)}; known are count, "
                "sizes, alloys"
            )
        if missing := [name for name in ("count", "sizes") if name not in table]:
            raise InputError(
                f"[drawn] lacks {' and '.join(missing)}; write for example count = 12, "
                "sizes = [13, 60]"
            )
        count, sizes, alloys = table["count"], table["sizes"], table.get("alloys", 0)
        whole = [count, alloys, *(sizes if isinstance(sizes, list | tuple) else [None])]
        if not all(isinstance(v, int) and not isinstance(v, bool) for v in whole):
            raise InputError(
                f"[drawn] is {table}; give whole numbers, as in count = 12, sizes = "
                "[13, 60], alloys = 4"
            )
        count, alloys, *sizes = whole
        if not (1 <= count <= 1000 and 0 <= alloys <= count):
            raise InputError(
                f"[drawn] has count = {count} and alloys = {alloys}; give 1 to 1000, "
                "and no more alloys than that"
            )
        if not (len(sizes) == 2 and 4 <= sizes[0] <= sizes[1] <= MAX_ATOMS):
            raise InputError(
                f"[drawn] has sizes = {sizes}; give [smallest, largest], from 4 to "
                f"{MAX_ATOMS}"
            )
        return cls(count, (sizes[0], sizes[1]), alloys)


def drawn_targets(drawn: Drawn, seed: int) -> dict[str, Target]:
    """The landscapes by name, ``drawn-0-n31``; the alloys come first."""
    made = [
        _drawn(drawn, k, np.random.default_rng([seed, k])) for k in range(drawn.count)
    ]
    return {target.name: target for target in made}


def _drawn(drawn: Drawn, number: int, rng: np.random.Generator) -> Target:
    low, high = np.log(drawn.sizes[0]), np.log(drawn.sizes[1])
    n = int(np.rint(np.exp(rng.uniform(low, high))))
    elements = 2 if number < drawn.alloys else 1
    p, q = rng.uniform(*P, size=elements), rng.uniform(*Q, size=elements)
    length = np.cumprod(np.append(1.0, rng.uniform(*SMALLER, size=elements - 1)))
    xi = np.cumprod(np.append(1.0, rng.uniform(*WEAKER, size=elements - 1)))
    mixing = np.full((elements, elements), rng.uniform(*MIXING))
    np.fill_diagonal(mixing, 1.0)
    rates = np.sqrt(np.outer(p, p)), np.sqrt(np.outer(q, q))
    strength = mixing * np.sqrt(np.outer(xi, xi))
    potential = Gupta(
        p=rates[0],
        q=rates[1],
        r0=(length[:, None] + length) / 2,
        xi=strength,
        # Twelve neighbours at the distance r0 feel no force.
        A=strength * rates[1] / (rates[0] * np.sqrt(12)),
        symbols=SYMBOLS[:elements],
    )
    second = int(rng.integers(n // 4, n - n // 4 + 1)) if elements == 2 else 0
    symbols = SYMBOLS[:1] * (n - second) + SYMBOLS[1:] * second
    return gupta_target(f"drawn-{number}-n{n}", symbols, potential)
