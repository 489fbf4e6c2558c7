"""What compositions show each other."""

from __future__ import annotations

import numpy as np

from ase_l2h.search.hull.neighbours import VISITS, visitors_of


def pool(first: float, count: int) -> dict[str, np.ndarray]:
    return {
        "energies": first + np.arange(count) / 8,
        "positions": np.zeros((3, 4, count)),
        "motifs": np.arange(count) % 2,
    }


def test_everything_comes_and_nothing_more_than_twice(rng):
    pools = {m: pool(-float(m), 5) for m in range(4)}
    species = {m: np.repeat([0, 1], [4 - m, m]) for m in pools}
    lengths = dict.fromkeys(pools, 1.0)
    came = np.zeros(0)
    for _ in range(40):
        visitors = visitors_of(1, pools, species, lengths, rng, came)
        came = np.concatenate([came, visitors["energies"]])
    others = np.concatenate([pools[m]["energies"] for m in (0, 2, 3)])
    energies, counts = np.unique(came, return_counts=True)
    np.testing.assert_array_equal(energies, np.unique(others))
    assert len(energies) == len(others)
    assert np.all(counts <= VISITS)
    assert visitors_of(1, pools, species, lengths, rng, came)["positions"].size == 0
