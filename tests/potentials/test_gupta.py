from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate as compiled
from reference_data import gradient_references, structures

from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.system import make_system

pytestmark = pytest.mark.usefixtures("x64")


def evaluate(potential: Gupta, symbols, positions):
    """Energy and gradient with the potential restricted to the species present."""
    potential = potential.restricted_to(symbols)
    system = make_system([potential.symbols.index(s) for s in symbols])
    return compiled(potential, jnp.asarray(positions).T, system)


# The energies have the decimals of their sources (tests/data/gupta_structures.extxyz).
@pytest.mark.parametrize(
    ("config", "parameters", "energy", "digits", "force"),
    [
        ("Ag30Au30", "AgAu", -188.373819, 6, 1e-3),
        ("Cu30Au30", "CuAu", -199.346823, 6, 1e-3),
        ("Au3Pd3_unrelaxed", "PdAu_DFTfit", -10.320392207689487, 12, None),
        ("Au3Pd3_C3v", "PdAu_DFTfit", -18.77621197936295, 9, 1e-6),
        ("Au3Pd3_C2v", "PdAu_DFTfit", -18.893036, 6, 1e-6),
        ("Au3_right_angle", "Au55", -5.4632421255957135, 12, None),
        ("Ni3", "FeCoNi", -4.332035396798756, 12, 1e-7),
        ("Fe4Co3Ni3", "FeCoNi", -28.251280283338815, 12, 1e-7),
    ],
)
def test_published_energies(config, parameters, energy, digits, force):
    """Energies to the digits quoted; minima are stationary."""
    atoms = structures("gupta_structures")[config]
    found = evaluate(
        gupta_set(parameters).potential(), list(atoms.symbols), atoms.positions
    )
    assert float(found.energy) == pytest.approx(energy, rel=0, abs=0.6 * 10**-digits)
    if force is not None:
        assert np.abs(found.gradient).max() < force


def test_platinum_in_units_of_r0():
    """Pt13 of pele: Cleri-Rosato platinum with r0 = 1."""
    potential = Gupta.from_pairs({"Pt-Pt": (10.612, 4.004, 1.0, 2.695, 0.2975)})
    atoms = structures("gupta_structures")["Pt13_r0eq1"]
    found = evaluate(potential, ["Pt"] * 13, atoms.positions)
    assert float(found.energy) == pytest.approx(-64.91633912, abs=1e-8)


def test_reference_gradient():
    reference = gradient_references()["Gupta_Ag3Au4_perturbed"]
    found = evaluate(
        gupta_set("AgAu").potential(), reference["symbols"], reference["positions"]
    )
    assert float(found.energy) == pytest.approx(reference["energy"], rel=1e-12)
    np.testing.assert_allclose(
        found.gradient, np.transpose(reference["gradient"]), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(
    "own_parameters",
    [
        pytest.param(False, marks=pytest.mark.slow, id="gold55"),
        pytest.param(True, id="own"),
    ],
)
def test_equals_jax_md(rng, jax_md, own_parameters):
    """jax-md: one species, hard cut-off, U/2 [A sum - sqrt(sum)]; distorted gold."""
    energy = jax_md.energy
    displacement, _ = jax_md.space.free()
    if own_parameters:
        U, A, rc = 3.1, 0.13, 5.5
        oracle = energy.gupta_potential(displacement, 10.3, 3.7, 2.8, U, A, rc)
        row = (10.3, 3.7, 2.8, U / 2, U / 2 * A)
        ours = Gupta.from_pairs({"Au-Au": row}, rc=rc)
    else:
        oracle, ours = (
            energy.gupta_gold55(displacement),
            gupta_set("Au55").potential(8.0),
        )
    positions = rng.uniform(0, 8, (14, 3))
    found = evaluate(ours, ["Au"] * 14, positions)
    value, gradient = jax.jit(jax.value_and_grad(oracle))(jnp.asarray(positions))
    assert float(found.energy) == pytest.approx(float(value), rel=1e-10)
    scale = float(jnp.abs(gradient).max())
    np.testing.assert_allclose(found.gradient.T, gradient, rtol=0, atol=1e-10 * scale)


def stretched(potential: Gupta, squared) -> np.ndarray:
    """Energies of pairs of atoms at these squared distances."""
    return np.array(
        [
            evaluate(potential, ["Au", "Au"], [[0, 0, 0], [r, 0, 0]]).energy
            for r in np.sqrt(squared)
        ]
    )


def test_a_smooth_cut_off_is_the_polynomial_times_both_pair_terms():
    """Both terms of a pair times w: its repulsion by w, its band energy by w^1/2."""
    rc, ro = 5.0, 4.0
    potential = gupta_set("Au").potential(rc, smooth=True)
    p, q, r0, xi, A = gupta_set("Au").pairs["Au-Au"]
    squared = np.linspace(3.5, 5.5, 21) ** 2
    x = np.clip(squared, ro**2, rc**2)
    w = (rc**2 - x) ** 2 * (rc**2 + 2 * x - 3 * ro**2) / (rc**2 - ro**2) ** 3
    strain = np.sqrt(squared) / r0 - 1
    expected = 2 * (A * np.exp(-p * strain) * w - xi * np.exp(-q * strain) * np.sqrt(w))
    np.testing.assert_allclose(stretched(potential, squared), expected, atol=1e-12)
    own = gupta_set("Au").potential(rc, ro=4.5, smooth=True)
    assert stretched(own, [4.2**2]) == stretched(gupta_set("Au").potential(), [4.2**2])


def test_separated_atoms_have_no_energy_and_no_force():
    """The square root under the band energy has no derivative at zero."""
    positions = 1e4 * np.arange(4)[:, None] * np.ones(3)
    found = evaluate(gupta_set("AgAu").potential(), ["Ag", "Au"] * 2, positions)
    assert float(found.energy) == 0.0
    np.testing.assert_array_equal(found.gradient, 0.0)


def test_coincident_atoms_cost_what_the_formula_says():
    row = (10.2, 4.0, 2.88, 1.8, 0.2)
    found = evaluate(Gupta.from_pairs({"Au-Au": row}), ["Au", "Au"], np.zeros((2, 3)))
    p, q, _, xi, A = row
    expected = 2 * (A * np.exp(p) - xi * np.exp(q))
    assert float(found.energy) == pytest.approx(expected, rel=1e-10)
    np.testing.assert_array_equal(found.gradient, 0.0)


def test_slots_ascend_with_the_atomic_number_among_those_present():
    potential = gupta_set("FeCoNi").potential()
    assert potential.symbols == ("Fe", "Co", "Ni")
    part = potential.restricted_to(["Ni", "Fe", "Ni"])
    assert part.symbols == ("Fe", "Ni")
    assert part.r0[0, 1] == potential.r0[0, 2] == 2.5213
    np.testing.assert_array_equal(part.p, part.p.T)


def test_species_may_differ_from_structure_to_structure(rng):
    """Swap moves change them inside a batch: each column is its own composition."""
    potential = gupta_set("FeCoNi").potential()
    species = rng.integers(0, 3, (9, 5))
    positions = jnp.asarray(rng.uniform(0, 6, (3, 9, 5)))
    batched = compiled(potential, positions, make_system(species))
    for k in range(5):
        one = compiled(potential, positions[..., k], make_system(species[:, k]))
        np.testing.assert_allclose(batched.energy[k], one.energy, rtol=1e-12)
        np.testing.assert_allclose(batched.gradient[..., k], one.gradient, rtol=1e-10)


def test_bad_rows_are_one_sentence():
    row = (10.0, 4.0, 2.9, 1.8, 0.2)
    with pytest.raises(ValueError, match="lack the pair Ag-Ag"):
        Gupta.from_pairs({"Ag-Au": row})
    with pytest.raises(ValueError, match="write it as in 'Ag-Au'"):
        Gupta.from_pairs({"AgAu": row})
    with pytest.raises(ValueError, match="given twice"):
        Gupta.from_pairs({"Ag-Au": row, "Au-Ag": row})
    with pytest.raises(ValueError, match="five positive numbers"):
        Gupta.from_pairs({"Au-Au": (10.0, 4.0, 2.9, 1.8, -0.2)})
    with pytest.raises(ValueError, match="'Xy' is not a chemical symbol"):
        Gupta.from_pairs({"Xy-Xy": row})
    with pytest.raises(ValueError, match="no Gupta parameters for Pt"):
        gupta_set("AgAu").potential().restricted_to(["Ag", "Pt"])
