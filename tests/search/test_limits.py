"""What a limit and a seed may be."""

from __future__ import annotations

import pytest

from ase_l2h import Limits, search
from ase_l2h.errors import InputError
from ase_l2h.search.limits import checked_seed


@pytest.mark.parametrize(
    "odd",
    [
        {"evaluations": "a"},
        {"evaluations": 0.5},
        {"seconds": "x"},
        {"seconds": -1},
        {"settled": [3]},
        {"target_energy": float("nan")},
    ],
)
def test_what_is_no_limit_is_refused(odd):
    with pytest.raises(InputError, match="give"):
        Limits(**odd)


@pytest.mark.parametrize("odd", ["a", None, 0.5, -1, 2**32])
def test_what_is_no_seed_is_refused(odd):
    with pytest.raises(InputError, match="seed"):
        checked_seed(odd)


def test_limits_are_not_a_number():
    with pytest.raises(InputError, match=r"limits is 100; give ase_l2h\.Limits"):
        search("LJ7", limits=100)
