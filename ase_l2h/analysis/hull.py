"""Excess energies of nanoalloys of one size, their convex hull, second differences.

For A_m B_(N-m) with total energy E(m), all clusters of the same N atoms:

    excess(m) = E(m) - m / N E(N) - (N - m) / N E(0)
    second difference(m) = E(m + 1) + E(m - 1) - 2 E(m)

E(N) and E(0) being the pure clusters A_N and B_N (R. Ferrando, J. Jellinek,
R. L. Johnston, Chem. Rev. 108, 845 (2008)). All energies should be putative global
minima of one potential, found with the same effort: an excess is no better than the
worse of its references.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ase_l2h.errors import InputError

__all__ = ["Hull", "composition_hull", "excess_energies", "second_differences"]

Values = Sequence[float] | Sequence[int] | np.ndarray

# A vertex lies lower than the line through its neighbours by more than this, in eV per
# cluster: rounding makes no vertices where all excess energies are zero.
RESOLUTION = 1e-6


@dataclasses.dataclass(frozen=True)
class Hull:
    """Outcome of :func:`composition_hull`; one entry per structure given, in its order.

    Parameters
    ----------
    n_atoms
        Size N of all clusters.
    n_a
        Atoms of the first species, m.
    energies
        Total energies in eV.
    excess
        Excess energy in eV per cluster, NaN where a pure cluster is not known.
    excess_per_atom
        The same divided by N, in eV per atom.
    on_hull
        Whether the structure is a vertex of the lower convex hull.
    above_hull
        Energy above the hull in eV per cluster, 0 on it.
    second_difference
        In eV, of the lowest energies; NaN where a neighbour is missing. A large one
        marks a composition that is stable against its neighbours.
    """

    n_atoms: int
    n_a: np.ndarray
    energies: np.ndarray
    excess: np.ndarray
    excess_per_atom: np.ndarray
    on_hull: np.ndarray
    above_hull: np.ndarray
    second_difference: np.ndarray

    @property
    def vertices(self) -> np.ndarray:
        """Indices of the vertices, ascending in m."""
        at = np.flatnonzero(self.on_hull)
        return at[np.argsort(self.n_a[at])]


def composition_hull(
    n_a: Values,
    energies: Values,
    n_atoms: int,
    pure: tuple[float, float] | None = None,
) -> Hull:
    """Excess energies, lower convex hull over composition, and second differences.

    Several structures of one composition are allowed; references, hull and second
    differences are those of the lowest. Of points on one straight line only the ends
    are vertices, so that ideal mixing (zero excess) and positive excess leave the two
    pure clusters. Where compositions are missing, the hull is that of the others; a
    single composition is a vertex.

    Parameters
    ----------
    n_a, energies
        Atoms of the first species, and total energies in eV.
    n_atoms
        Size N of all clusters.
    pure
        Energies of the pure clusters A_N and B_N in eV, if they are not among the
        structures or perhaps not lowest there.

    Raises
    ------
    InputError
        For no structures, a composition outside 0 ... N, or an energy that is not
        finite.
    """
    counts, values = _checked(n_a, energies, n_atoms)
    given = len(counts)
    if pure is not None:
        ends = _checked((n_atoms, 0), pure, n_atoms)
        counts = np.concatenate([counts, ends[0]])
        values = np.concatenate([values, ends[1]])
    distinct, lowest = _lowest(counts, values)
    corners = _lower_hull(distinct, values[lowest])
    vertices = lowest[corners]
    on_hull = np.zeros(len(counts), dtype=bool)
    on_hull[vertices] = True
    height = values - np.interp(counts, counts[vertices], values[vertices])
    excess = excess_energies(counts, values, n_atoms)[:given]
    return Hull(
        n_atoms=n_atoms,
        n_a=counts[:given],
        energies=values[:given],
        excess=excess,
        excess_per_atom=excess / n_atoms,
        on_hull=on_hull[:given],
        above_hull=np.maximum(height, 0.0)[:given],
        second_difference=second_differences(counts, values, n_atoms)[:given],
    )


def excess_energies(n_a: Values, energies: Values, n_atoms: int) -> np.ndarray:
    """Excess energy of each structure in eV per cluster, ``(k,)``.

    The references are the lowest energies among those of ``n_a = n_atoms`` and
    ``n_a = 0``; without one of them, every excess is NaN. Errors are those of
    :func:`composition_hull`.
    """
    counts, values = _checked(n_a, energies, n_atoms)
    ends = [values[counts == end] for end in (n_atoms, 0)]
    if any(len(end) == 0 for end in ends):
        return np.full(len(values), np.nan)
    share = counts / n_atoms
    return values - share * np.min(ends[0]) - (1 - share) * np.min(ends[1])


def second_differences(n_a: Values, energies: Values, n_atoms: int) -> np.ndarray:
    """Second difference of the lowest energies at each structure's composition, in eV.

    NaN where one of the two neighbouring compositions is missing; the pure clusters
    have one neighbour only. Errors are those of :func:`composition_hull`.
    """
    counts, values = _checked(n_a, energies, n_atoms)
    distinct, lowest = _lowest(counts, values)
    energy = np.full(n_atoms + 3, np.nan)  # an empty place beyond each end
    energy[distinct + 1] = values[lowest]
    at = counts + 1
    return energy[at + 1] + energy[at - 1] - 2 * energy[at]


def _checked(
    n_a: Values, energies: Values, n_atoms: int
) -> tuple[np.ndarray, np.ndarray]:
    counts, values = np.asarray(n_a), np.asarray(energies, dtype=float)
    if counts.ndim != 1 or counts.shape != values.shape or counts.size == 0:
        raise InputError(
            f"compositions have shape {counts.shape} and energies {values.shape}; give "
            "one energy for each of at least one composition"
        )
    if n_atoms < 1:
        raise InputError(f"the clusters have {n_atoms} atoms; give at least 1")
    if np.any(counts != np.round(counts)) or np.any((counts < 0) | (counts > n_atoms)):
        raise InputError(f"compositions must be whole numbers from 0 to {n_atoms}")
    if not np.all(np.isfinite(values)):
        raise InputError(
            "an energy is not a finite number; leave out compositions without one"
        )
    return counts.astype(int), values


def _lowest(n_a: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct compositions, ascending, and the index of the lowest of each."""
    # A stable sort: of equal energies the first counts.
    order = np.lexsort((energies, n_a))
    distinct, first = np.unique(n_a[order], return_index=True)
    return distinct, order[first]


def _lower_hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Vertices of the lower convex hull of points ascending in x (monotone chain)."""
    corners: list[int] = []
    for k in range(len(x)):
        while len(corners) > 1:
            i, j = corners[-2:]
            line = y[i] + (y[k] - y[i]) * (x[j] - x[i]) / (x[k] - x[i])
            if y[j] < line - RESOLUTION:
                break
            corners.pop()
        corners.append(k)
    return corners
