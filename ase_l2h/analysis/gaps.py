"""Whether a cluster has separate parts, without knowing how long its bonds are."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

__all__ = ["widest_gap"]

# A gap is so many times wider than a typical link between neighbours. Third neighbours
# of a close packing are at 1.73 bonds, hydrogen bonds at twice a covalent one.
WIDE = 2.5
# Two links have no typical one.
FEWEST = 4


def widest_gap(positions: np.ndarray) -> float | None:
    """Shortest distance across the widest gap between parts of a free cluster.

    The links are the edges of the minimum spanning tree of the atoms; a gap is a link
    that is longer than 2.5 times the median.

    Parameters
    ----------
    positions
        ``(n, 3)``, in any unit.

    Returns
    -------
    float or None
        In the unit of the positions; None where the atoms hang together, or are fewer
        than four.
    """
    if len(positions) < FEWEST or not np.all(np.isfinite(positions)):
        return None
    links = minimum_spanning_tree(squareform(pdist(positions))).data
    # Atoms in the same place have no edge.
    if len(links) == 0:
        return None
    widest = float(links.max())
    return widest if widest > WIDE * float(np.median(links)) else None
