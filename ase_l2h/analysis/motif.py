"""Structural motif of a free cluster by common-neighbour analysis.

A bond has the signature ``(j, k, l)``: its two atoms have j common neighbours, which
are joined by k bonds, l of them in one chain (J. D. Honeycutt and H. C. Andersen,
J. Phys. Chem. 91, 4950 (1987); D. Faken and H. Jonsson, Comput. Mater. Sci. 2, 279
(1994)). The signatures of the bonds of an atom with at least 12 neighbours say where it
sits (H. Tsuzuki, P. S. Branicio, J. P. Rino, Comput. Phys. Commun. 177, 518 (2007)):

============  =========================================================
class         bonds
============  =========================================================
fcc           12 x 421
hcp           6 x 421 and 6 x 422: a twin plane or a stacking fault
axis          10 x 422 and 2 x 555: on a five-fold axis
icosahedral   12 x 555: centre of a 13-atom icosahedron; with 2, 3 or 4
              x 666 besides, of a Frank-Kasper polyhedron
unknown       any other, with 12 neighbours or more
surface       fewer than 12 neighbours
============  =========================================================

The motif is the first of these that holds:

1. *other*: no atom has 12 neighbours, as in all clusters of fewer than 13 atoms.
2. *amorphous*: more than half of the atoms inside are unknown; or *other*, where at
   least four rotations and reflections map the geometry, whatever the species, onto
   itself within a tenth of a bond length: it is ordered, only not in a way named here.
3. *polyicosahedral*: icosahedral atoms bonded to one another, so that their icosahedra
   interpenetrate, outnumber the atoms on five-fold axes.
4. *icosahedral*: an icosahedral atom; or several five-fold axes that meet in one point,
   a piece of an icosahedron whose centre is at the surface or missing. An anti-Mackay
   layer on a Mackay core of 55 atoms counts as icosahedral.
5. *decahedral*: one five-fold axis.
6. *polydecahedral*: several that do not meet. The Leary tetrahedron of LJ98 comes out
   as this: its six five-fold axes are the edges of a tetrahedron.
7. *hcp/twinned*: an hcp atom, that is a twin plane, a stacking fault or an island on
   hcp sites.
8. *fcc*: the rest, truncated octahedra and their pieces.

The names are those of nanoalloy practice: R. Ferrando, J. Jellinek, R. L. Johnston,
Chem. Rev. 108, 845 (2008); polyicosahedra: G. Rossi et al., Phys. Rev. Lett. 93, 105503
(2004).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import lru_cache

import numpy as np
from ase import Atoms

from ase_l2h.analysis.bonds import (
    CLOSE_PACKED,
    BondLengths,
    bond_length,
    bond_matrix,
    require_cluster,
)
from ase_l2h.analysis.symmetry import symmetry_operations

__all__ = [
    "ATOM_CLASSES",
    "MOTIFS",
    "Motif",
    "Signature",
    "bond_signatures",
    "motif",
]

Signature = tuple[int, int, int]

MOTIFS = (
    "icosahedral",
    "decahedral",
    "fcc",
    "hcp/twinned",
    "polyicosahedral",
    "polydecahedral",
    "amorphous",
    "other",
)
ATOM_CLASSES = ("fcc", "hcp", "icosahedral", "axis", "unknown", "surface")

FCC, TWIN, FIVEFOLD, SIXFOLD = (4, 2, 1), (4, 2, 2), (5, 5, 5), (6, 6, 6)
# What counts as ordered: point groups such as C2v, D2 and all higher ones.
ORDERED, ORDER_TOLERANCE = 4, 0.1
# In bond lengths. Atoms this close to a five-fold axis are on it: those next to it are
# more than 0.8 off. Axes this close to one point meet.
APART = 0.5
# Least eigenvalue per line, sin^2 of half their angle, below which lines are parallel;
# 0.28 for two axes of an icosahedron, which are 63 degrees apart.
PARALLEL = 0.05


@dataclasses.dataclass(frozen=True)
class Motif:
    """Outcome of :func:`motif`.

    Parameters
    ----------
    name
        One of :data:`MOTIFS`.
    atom_classes
        Class of each atom, ``(n,)``, one of :data:`ATOM_CLASSES`.
    signatures
        Share of the bonds with each signature, the most frequent first.
    five_fold_axes
        Number of distinct five-fold axes inside the cluster.
    """

    name: str
    atom_classes: np.ndarray
    signatures: dict[Signature, float]
    five_fold_axes: int

    def count(self, atom_class: str) -> int:
        """Number of atoms of one class."""
        return int(np.sum(self.atom_classes == atom_class))


def motif(atoms: Atoms, bond_lengths: BondLengths | None = None) -> Motif:
    """Name the structural motif of a free cluster; the rule is that of the module.

    Parameters
    ----------
    atoms
        A free cluster, relaxed: at finite temperature signatures are scattered.
    bond_lengths
        See :func:`~ase_l2h.analysis.bonds.bond_matrix`.

    Raises
    ------
    InputError
        For a periodic structure, no atoms, or impossible bond lengths.
    """
    require_cluster(atoms)
    bonded = bond_matrix(atoms, bond_lengths)
    signatures = bond_signatures(bonded)
    classes = _atom_classes(bonded, signatures)
    points, directions = _axis_lines(atoms.positions, classes, signatures)
    length = bond_length(atoms)
    axes = _distinct_lines(points, directions, APART * length)
    meeting = _meet(points[axes], directions[axes], APART * length)
    inside = int(np.sum(classes != "surface"))
    unknown = int(np.sum(classes == "unknown"))
    centres = classes == "icosahedral"
    linked = int(np.sum(bonded[np.ix_(centres, centres)].any(axis=1)))
    if inside == 0:
        name = "other"
    elif 2 * unknown > inside:
        operations = symmetry_operations(atoms, ORDER_TOLERANCE, alike=True)
        name = "other" if len(operations) >= ORDERED else "amorphous"
    elif linked > np.sum(classes == "axis"):
        name = "polyicosahedral"
    elif centres.any() or (len(axes) > 1 and meeting):
        name = "icosahedral"
    elif len(axes) == 1:
        name = "decahedral"
    elif len(axes) > 1:
        name = "polydecahedral"
    else:
        name = "hcp/twinned" if np.any(classes == "hcp") else "fcc"
    tally = Counter(signatures.values())
    shares = {
        signature: number / len(signatures)
        for signature, number in sorted(tally.items(), key=lambda t: (-t[1], t[0]))
    }
    return Motif(name, classes, shares, len(axes))


def bond_signatures(bonded: np.ndarray) -> dict[tuple[int, int], Signature]:
    """Signature of every bond ``(a, b)`` with ``a < b``.

    Parameters
    ----------
    bonded
        ``(n, n)``, from :func:`~ase_l2h.analysis.bonds.bond_matrix`.
    """
    signatures = {}
    for a, b in np.argwhere(np.triu(bonded)).tolist():
        common = np.flatnonzero(bonded[a] & bonded[b])
        links = np.argwhere(np.triu(bonded[np.ix_(common, common)]))
        edges = tuple(map(tuple, links.tolist()))
        signatures[a, b] = (len(common), len(edges), _longest_chain(edges))
    return signatures


@lru_cache(maxsize=4096)
def _longest_chain(edges: tuple[tuple[int, int], ...]) -> int:
    """Most bonds that hang together; a chain or ring in all signatures that matter."""
    pieces: list[tuple[set[int], int]] = []
    for a, b in edges:
        joined, size = {a, b}, 1
        apart = []
        for members, bonds in pieces:
            if members & joined:
                joined, size = joined | members, size + bonds
            else:
                apart.append((members, bonds))
        pieces = [*apart, (joined, size)]
    return max((size for _, size in pieces), default=0)


def _atom_classes(
    bonded: np.ndarray, signatures: dict[tuple[int, int], Signature]
) -> np.ndarray:
    counts = [Counter() for _ in bonded]
    for (a, b), signature in signatures.items():
        counts[a][signature] += 1
        counts[b][signature] += 1
    classes = np.empty(len(bonded), dtype="<U11")
    for atom, (count, neighbours) in enumerate(
        zip(counts, bonded.sum(axis=1), strict=True)
    ):
        if neighbours < CLOSE_PACKED:
            name = "surface"
        elif count == {FCC: 12}:
            name = "fcc"
        elif count == {FCC: 6, TWIN: 6}:
            name = "hcp"
        elif count == {TWIN: 10, FIVEFOLD: 2}:
            name = "axis"
        elif count[FIVEFOLD] == 12 and 12 + count[SIXFOLD] == neighbours:
            name = "icosahedral"
        else:
            name = "unknown"
        classes[atom] = name
    return classes


def _axis_lines(
    positions: np.ndarray,
    classes: np.ndarray,
    signatures: dict[tuple[int, int], Signature],
) -> tuple[np.ndarray, np.ndarray]:
    """A point and a unit vector for every atom on a five-fold axis, ``(m, 3)`` each."""
    ends: dict[int, list[int]] = {
        atom: [] for atom in np.flatnonzero(classes == "axis").tolist()
    }
    for (a, b), signature in signatures.items():
        if signature == FIVEFOLD:
            for atom, other in ((a, b), (b, a)):
                if atom in ends:
                    ends[atom].append(other)
    points = positions[list(ends)]
    pairs = np.array(list(ends.values()), dtype=int).reshape(-1, 2)
    directions = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    return points, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _distinct_lines(
    points: np.ndarray, directions: np.ndarray, apart: float
) -> list[int]:
    """One representative of each line."""
    chosen: list[int] = []
    for line, point in enumerate(points):
        for known in chosen:
            offset = np.cross(point - points[known], directions[known])
            if np.linalg.norm(offset) < apart:
                break
        else:
            chosen.append(line)
    return chosen


def _meet(points: np.ndarray, directions: np.ndarray, within: float) -> bool:
    """Whether all lines pass through one point."""
    if len(points) < 2:
        return True
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    total = across.sum(axis=0)
    if np.linalg.eigvalsh(total)[0] < PARALLEL * len(points):
        return False  # parallel lines
    at = np.linalg.solve(total, np.einsum("mij,mj->i", across, points))
    missed = np.linalg.norm(np.einsum("mij,mj->mi", across, at - points), axis=1)
    return bool(np.max(missed) < within)
