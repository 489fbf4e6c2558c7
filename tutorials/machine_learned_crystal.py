# %% [markdown]
# # A crystal with a machine-learned potential
#
# Potentials trained on electronic-structure calculations are ASE calculators like any
# other. Here CHGNet (B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)) searches the
# crystal of eight atoms of NaCl. Its weights are part of its package, so nothing is
# downloaded: `pip install 'ase_l2h[chgnet]'`.

# %%
import warnings

import matplotlib.pyplot as plt
from ase.build import bulk
from chgnet.model.dynamics import CHGNetCalculator

import ase_l2h
from ase_l2h.report.figures import draw_structure

warnings.filterwarnings("ignore", module="chgnet")
crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
crystal.calc = CHGNetCalculator(use_device="cpu")

# %% [markdown]
# Atoms are displaced so far that nothing is left of rock salt. Each evaluation is a
# call of the potential. A search needs fewer than a hundred of them.

# %%
known = crystal.get_potential_energy()
print(f"rock salt: {known:.3f} eV")
results = []
for seed in range(3):
    atoms = crystal.copy()
    atoms.rattle(0.8, seed=seed)
    atoms.calc = crystal.calc
    limits = ase_l2h.Limits(evaluations=150)
    results.append(ase_l2h.search(atoms, limits=limits, seed=seed))
    calls = results[-1].searches[0].course[-1][0]
    print(f"seed {seed}:    {results[-1].best_energy:.3f} eV after {calls} calls")

# %%
found = crystal.copy()
found.positions = results[0].best.positions
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for seed, result in enumerate(results):
    # From the displaced atoms, whose energy is far above, to the last call.
    course = [(1, 0.0), *result.searches[0].course]
    course.append((result.charged_evaluations, result.best_energy))
    left.step(*zip(*course, strict=True), where="post", label=f"search {seed}")
left.axhline(known, color="black", ls="--", label="rock salt")
left.set_ylim(known - 1, known + 15)
left.set_xlabel("calls of CHGNet", fontsize=13)
left.set_ylabel("lowest minimum so far (eV)", fontsize=13)
left.legend(frameon=False, fontsize=12)
draw_structure(right, found.repeat(2))
right.set_title(f"eight cells, {results[0].best_energy:.3f} eV each", fontsize=15)
figure.savefig("machine_learned_crystal.png", dpi=120)

# %%
assert max(result.best_energy for result in results) <= known + 1e-3, (
    "a search ended above rock salt"
)
