# %% [markdown]
# # A Lennard-Jones cluster, from one line of ASE
#
# Nineteen argon-like atoms have thousands of local minima and one best: two
# interpenetrating icosahedra. A local optimizer started at random almost never finds
# it. `Learn2Hop` is used like any ASE optimizer and keeps going until it does.

# %%
import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.optimize import LBFGS

from ase_l2h import Learn2Hop, LennardJones
from ase_l2h.report.figures import draw_structure

rng = np.random.default_rng(2)
grid = 1.1 * np.argwhere(np.ones((3, 3, 3)))[:19]
atoms = Atoms("Ar19", positions=grid + 0.05 * rng.normal(size=grid.shape))
atoms.calc = LennardJones(sigma=1.0, epsilon=1.0)

# %% [markdown]
# First a local optimizer, which ends in the nearest minimum.

# %%
local = atoms.copy()
local.calc = LennardJones()
LBFGS(local, logfile=None).run(fmax=0.01, steps=500)
print(f"L-BFGS:    {local.get_potential_energy():.6f}")

# %% [markdown]
# The default method begins with the same structure. It adds random structures and
# fragments of ordered packings, and spends at most 20,000 charged evaluations (energies
# with gradients). The published minimum is -72.659782.

# %%
search = Learn2Hop(atoms, evaluations=20_000, seed=7, logfile=None)
converged = search.run(fmax=0.001)
print(f"Learn2Hop: {atoms.get_potential_energy():.6f}, converged: {converged}")
print(f"charged evaluations: {search.charged_evaluations}")
print(f"distinct minima: {len(search.minima)}")

# %% [markdown]
# `atoms` now holds the best minimum; `search.minima` has all distinct ones, lowest
# first.

# %%
energies = [energy for energy, _ in search.minima]
figure, panels = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
for panel, found, name in zip(
    panels, (local, atoms), ("L-BFGS", "Learn2Hop"), strict=True
):
    draw_structure(panel, found)
    panel.set_title(f"{name}: {found.get_potential_energy():.3f}", fontsize=15)
figure.savefig("lennard_jones_cluster.png", dpi=120)

# %%
assert abs(atoms.get_potential_energy() - -72.659782) < 1e-5, "not the global minimum"
assert energies == sorted(energies), "minima are sorted by energy"
