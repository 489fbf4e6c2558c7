"""Calculators whose energies and forces do not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_l2h import Limits, search


class Wrong(EMT):
    """Forces that are multiplied by a factor."""

    factor = 1.0

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.factor * self.results["forces"]


@pytest.mark.often("1.0-", "0.0194-by 5")
@pytest.mark.parametrize(
    ("factor", "told"), [(1.0, ""), (-1.0, "by -1 times"), (0.0194, "by 5"), (1.5, "")]
)
def test_signs_and_units_that_are_wrong_are_told_once(factor, told, caplog):
    """As of forces in hartree per bohr; half as much again may be coarse numerics."""
    atoms = Atoms("Cu8", 2.55 * np.argwhere(np.ones((2, 2, 2))), calculator=Wrong())
    atoms.calc.factor = factor
    search(atoms, limits=Limits(evaluations=100), seed=1)
    said = [r.getMessage() for r in caplog.records if "contradict" in r.getMessage()]
    assert len(said) == bool(told)
    assert all(told in each for each in said)
