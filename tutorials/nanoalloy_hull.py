# %% [markdown]
# # Which silver-gold clusters are stable?
#
# Thirteen atoms of silver and gold have fourteen possible compositions. For each one we
# search the lowest structure: the geometry and the placement of the elements (the
# *homotop*) at once. Its **excess energy** compares it with the pure clusters of
# thirteen atoms. The compositions on the lower **convex hull** are stable against a
# mixture of others.

# %%
from ase_l2h import find_hull
from ase_l2h.report.hull_figure import hull_figure
from ase_l2h.report.hull_report import hull_of, hull_rows

# %% [markdown]
# A small budget is enough for thirteen atoms. With `folder="AgAu13"` the search would
# keep everything it finds, and the same call would continue it after a crash. On the
# command line: `ase-l2h hull AgAu --n 13`.

# %%
result = find_hull("AgAu", 13, weights="universal", budget=10_000, seed=1)
print(f"{result.rounds} rounds, ended: {result.ended}")
print(f"{sum(result.charged.values())} charged evaluations")

# %% [markdown]
# There is one row per composition. Unlike bonds, motif and point group say what the
# structures have in common: icosahedra, silver outside, gold inside.

# %%
rows = hull_rows(result)
for row in rows:
    vertex = "vertex" if row["on_hull"] else ""
    print(
        f"Ag{row['n_A']:<2} Au{row['n_B']:<2} {row['excess_eV']:8.4f} eV  "
        f"{row['unlike_bonds']:2} unlike bonds  {row['motif']:11} "
        f"{row['point_group']:4} {vertex}"
    )

# %% [markdown]
# This is the picture that the command draws.

# %%
figure = hull_figure(
    hull_of(result),
    [row["motif"] for row in rows],
    list(result.structures.values()),
    ("Ag", "Au"),
    point_groups=[row["point_group"] for row in rows],
)
figure.savefig("nanoalloy_hull.png", dpi=120)

# %% [markdown]
# Energies from a search are upper bounds. More budget or another seed may lower one of
# them. If it is that of a pure cluster, the excess energies of the others change too.

# %%
assert list(result.structures) == list(range(14)), "every composition was searched"
assert rows[0]["excess_eV"] == rows[13]["excess_eV"] == 0
assert all(row["excess_eV"] < 0 for row in rows[1:13]), "silver and gold mix"
