"""A forked child says that it would hang, instead of hanging."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, warnings
warnings.simplefilter("ignore")
from ase import Atoms
from ase.calculators.emt import EMT
import ase_l2h
from ase_l2h import Learn2Hop, Limits, LennardJones, load_weights

few = Limits(evaluations=50)
copper = Atoms("Cu3", [[0, 0, 0], [2.4, 0, 0], [0, 2.4, 0]])
argon = Atoms("Ar3", [[0, 0, 0], [1.1, 0, 0], [0, 1.1, 0]])

def with_calculator(atoms, calculator):
    atoms.calc = calculator
    return atoms

ASKS = [
    lambda: ase_l2h.search("LJ3", limits=few),
    lambda: ase_l2h.find_hull("AgAu", 3, budget=50),
    lambda: Learn2Hop(with_calculator(argon, LennardJones()), logfile=None).run(),
    lambda: Learn2Hop(with_calculator(copper, EMT()), logfile=None).run(),
    lambda: load_weights("lj"),
    lambda: with_calculator(argon, LennardJones()).get_potential_energy(),
]
if os.fork() == 0:
    # Nothing has used JAX yet.
    ASKS[-1]()
    print("early")
    os._exit(0)
os.wait()
ASKS[-1]()
for ask in ASKS:
    if os.fork() == 0:
        try:
            ask()
        except Exception as error:
            print(error, flush=True)
        finally:
            os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_of_what_has_used_jax_says_so():
    result = subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    first, *others = result.stdout.splitlines()
    assert first == "early"
    assert len(others) == 6
    for line in others:
        assert line.startswith("this process was forked after JAX had been used")
        assert "get_context('spawn')" in line
