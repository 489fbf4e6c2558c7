# %% [markdown]
# # A copper cluster with any ASE calculator
#
# A search needs energies and forces, so it works with any ASE calculator. Here that is
# ASE's effective medium theory; a machine-learned potential or DFT works the same way.

# %%
import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.optimize import LBFGS

from ase_l2h import Learn2Hop
from ase_l2h.report.figures import draw_structure

rng = np.random.default_rng(0)
grid = 2.55 * np.argwhere(np.ones((3, 3, 2)))[:13]
atoms = Atoms("Cu13", positions=grid + 0.1 * rng.normal(size=grid.shape))
atoms.calc = EMT()

local = atoms.copy()
local.calc = EMT()
LBFGS(local, logfile=None).run(fmax=0.01, steps=500)
print(f"L-BFGS:    {local.get_potential_energy():.4f} eV")

# %% [markdown]
# The search has three hundred calls. An observer watches it, as with every ASE
# optimizer.

# %%
trace = []
search = Learn2Hop(atoms, evaluations=300, seed=1, logfile=None)
search.attach(
    lambda: trace.append((search.charged_evaluations, search.get_minimum()[0]))
)
search.run(fmax=0.01)
print(f"Learn2Hop: {atoms.get_potential_energy():.4f} eV")
print(f"calculator calls: {search.charged_evaluations}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
left.step(
    *zip(*trace, strict=True),
    where="post",
    color="#0072B2",
    label="Learn2Hop, best so far",
)
left.axhline(local.get_potential_energy(), color="#E69F00", ls="--", label="L-BFGS")
left.set_xlabel("calls of the calculator", fontsize=13)
left.set_ylabel("energy (eV)", fontsize=13)
left.legend(frameon=False, fontsize=12)
draw_structure(right, atoms)
right.set_title(f"Cu13, {atoms.get_potential_energy():.3f} eV", fontsize=15)
figure.savefig("metal_cluster_emt.png", dpi=120)

# %%
assert atoms.get_potential_energy() <= local.get_potential_energy() + 1e-3, (
    "the search ended above the local optimizer's minimum"
)
