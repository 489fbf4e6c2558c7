"""What every potential owes its users. A new one enters by being listed in ``CASES``.

All structures that a potential needs here form one batch, which is compiled once.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate

from ase_l2h.potentials.base import (
    EnergyAndGradient,
    Potential,
    automatic_energy_and_gradient,
    energy_and_gradient,
)
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.system import System, make_system

STEP = 1e-5


@dataclasses.dataclass(frozen=True)
class Case:
    """A potential with seven atoms to try it on.

    ``unit`` is a typical distance; ``edge`` that of the (sheared) periodic cell, in the
    same units, None for a free cluster.
    """

    potential: Any
    unit: float
    species: tuple[int, ...] = (0,) * 7
    edge: float | None = None

    @property
    def cell(self) -> np.ndarray | None:
        shear = np.array([[1.0, 0.05, 0.0], [-0.1, 1.05, 0.02], [0.0, 0.08, 0.95]])
        return None if self.edge is None else self.edge * shear

    def system(self, repeats: int = 1) -> System:
        """The system of ``repeats ** 3`` cells."""
        return make_system(
            list(self.species) * repeats**3,
            cell=None if self.cell is None else repeats * self.cell,
            cutoff=self.potential.cutoff,
            length_scale=self.unit,
        )

    def positions(self) -> np.ndarray:
        """Seven corners of a cube, distorted, off centre: ``(3, 7)``."""
        rng = np.random.default_rng(5)
        corners = np.array(list(product((0, 1), repeat=3)), float)[:7].T
        return self.unit * (corners + rng.normal(scale=0.1, size=(3, 7)) + 0.3)


def morse(positions: jax.Array, alpha: jax.Array) -> jax.Array:
    """A user's function: Morse pairs of depth and distance 1."""
    i, j = np.triu_indices(positions.shape[0], 1)
    r = jnp.linalg.norm(positions[i] - positions[j], axis=1)
    return jnp.sum((1 - jnp.exp(-alpha * (r - 1))) ** 2 - 1)


TWO, THREE = (0, 1, 1, 0, 1, 0, 0), (0, 1, 2, 0, 1, 2, 2)
SHIFTED = LennardJones(epsilon=0.8, sigma=1.1, rc=2.6)
SMOOTH = LennardJones(epsilon=0.8, sigma=1.1, rc=2.6, ro=1.4, smooth=True)
MIXTURE = BinaryLennardJones.kob_andersen()
CUT_GOLD = gupta_set("AgAu").potential(rc=6.1)
SILICON = StillingerWeber(cos_theta0=-0.3, gamma=1.1)
CASES = {
    "lennard-jones": Case(LennardJones(epsilon=0.8, sigma=1.1), 1.1),
    "lennard-jones shifted": Case(SHIFTED, 1.1),
    "lennard-jones smooth": Case(SMOOTH, 1.1),
    "lennard-jones smooth, images": Case(SMOOTH, 1.1, edge=2.6),
    "lennard-jones smooth, large cell": Case(SMOOTH, 1.1, edge=6.0),
    "binary lennard-jones": Case(MIXTURE, 1.0, TWO),
    "binary lennard-jones, images": Case(MIXTURE, 1.0, TWO, edge=2.4),
    "gupta": Case(gupta_set("FeCoNi").potential(), 2.5, THREE),
    "gupta, images": Case(CUT_GOLD, 2.8, TWO, edge=6.2),
    "gupta, large cell": Case(CUT_GOLD, 2.8, TWO, edge=14.0),
    "stillinger-weber": Case(SILICON, 2.4),
    "stillinger-weber, images": Case(SILICON, 2.4, edge=5.3),
    "stillinger-weber, large cell": Case(SILICON, 2.4, edge=9.0),
    "soft sphere": Case(SoftSphere(sigma=1.3, epsilon=0.6), 1.0),
    "soft sphere, images": Case(SoftSphere(sigma=1.3), 1.0, edge=2.2),
    "function": Case(FunctionPotential(morse, {"alpha": jnp.float32(3.0)}), 1.0),
}
FREE = [name for name, case in CASES.items() if case.edge is None]
PERIODIC = [name for name, case in CASES.items() if case.edge is not None]
IMAGES = [name for name in CASES if name.endswith("images")]
NO_IMAGES = [name for name in CASES if name not in IMAGES]
# Potentials with a gradient of their own, which must be that of their energy. Image
# sums are differentiated automatically.
OWN_GRADIENT = [
    name for name in NO_IMAGES if hasattr(CASES[name].potential, "energy_and_gradient")
]

VARIANTS = ("itself", "translated", "rotated", "permuted", "wrapped", "coincident")

each_case = pytest.mark.parametrize("name", CASES)


def like_swap(species: tuple[int, ...]) -> np.ndarray:
    """A permutation that exchanges two atoms of the same species."""
    order = np.arange(len(species))
    first = next(i for i in order if species.count(species[i]) > 1)
    second = next(i for i in order[::-1] if species[i] == species[first])
    order[[first, second]] = second, first
    return order


@cache
def batch(name: str) -> np.ndarray:
    """Variants of the structure, batch last: ``VARIANTS``, then displaced ones."""
    case = CASES[name]
    x = case.positions()
    rng = np.random.default_rng(11)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    coincident = x.copy()
    coincident[:, 3] = coincident[:, 2]
    turns = 0 * x
    if case.cell is not None:
        turns = case.cell.T @ rng.integers(-3, 4, size=x.shape)
    variants = [
        x,
        x + case.unit * rng.normal(size=(3, 1)),
        rotation @ x,
        x[:, like_swap(case.species)],
        x + turns,
        coincident,
    ]
    for k in range(x.size):
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[k] += sign * STEP * case.unit
            variants.append(moved)
    return np.stack(variants, axis=-1)


@cache
def results(name: str) -> EnergyAndGradient:
    """Everything about the batch, as NumPy arrays in double precision."""
    case = CASES[name]
    with jax.enable_x64(True):
        found = evaluate(case.potential, jnp.asarray(batch(name)), case.system())
    return jax.tree.map(np.asarray, found)


def of(name: str, variant: str) -> tuple[float, np.ndarray]:
    """Energy and gradient of a named variant."""
    k = VARIANTS.index(variant)
    found = results(name)
    return float(found.energy[k]), found.gradient[..., k]


def assert_gradients_equal(one: np.ndarray, other: np.ndarray, rtol: float) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=rtol * np.abs(other).max())


@each_case
def test_it_is_a_potential(name):
    potential = CASES[name].potential
    assert isinstance(potential, Potential)
    assert potential.cutoff > 0
    assert np.isfinite(potential.cutoff) or name in FREE


@each_case
def test_the_structure_is_bound_and_under_forces(name):
    """Otherwise the tests below would compare zeros."""
    energy, gradient = of(name, "itself")
    assert abs(energy) > 0.05
    assert np.abs(gradient).max() > 0.1


@each_case
def test_invariant_under_translation(name):
    energy, gradient = of(name, "itself")
    moved, moved_gradient = of(name, "translated")
    assert moved == pytest.approx(energy, rel=1e-11)
    assert_gradients_equal(moved_gradient, gradient, 1e-10)


@pytest.mark.parametrize("name", FREE)
def test_gradient_turns_with_a_free_cluster(name):
    rotation, _ = np.linalg.qr(np.random.default_rng(11).normal(size=(3, 3)))
    energy, gradient = of(name, "itself")
    turned, turned_gradient = of(name, "rotated")
    assert turned == pytest.approx(energy, rel=1e-11)
    assert_gradients_equal(turned_gradient, rotation @ gradient, 1e-10)


@each_case
def test_like_atoms_are_interchangeable(name):
    energy, gradient = of(name, "itself")
    permuted, permuted_gradient = of(name, "permuted")
    assert permuted == pytest.approx(energy, rel=1e-11)
    order = like_swap(CASES[name].species)
    assert_gradients_equal(permuted_gradient, gradient[:, order], 1e-10)


@pytest.mark.parametrize("name", PERIODIC)
def test_atoms_may_sit_in_any_cell(name):
    """Each atom moved by a lattice vector of its own."""
    energy, gradient = of(name, "itself")
    wrapped, wrapped_gradient = of(name, "wrapped")
    assert wrapped == pytest.approx(energy, rel=1e-10)
    assert_gradients_equal(wrapped_gradient, gradient, 1e-9)


@each_case
def test_gradient_is_the_slope_of_the_energy(name):
    energies = results(name).energy[len(VARIANTS) :].reshape(3, 7, 2)
    slope = (energies[..., 0] - energies[..., 1]) / (2 * STEP * CASES[name].unit)
    assert_gradients_equal(of(name, "itself")[1], slope, 1e-7)


@each_case
def test_energy_is_the_sum_over_atoms(name):
    found = results(name)
    if found.atom_energies is None:
        assert isinstance(CASES[name].potential, FunctionPotential)
        return
    finite = np.isfinite(found.energy)
    np.testing.assert_allclose(
        found.atom_energies.sum(axis=0)[finite], found.energy[finite], rtol=1e-11
    )


@each_case
def test_coincident_atoms_give_no_nan(name):
    """The energy is finite or +inf: a comparison suffices to reject the structure."""
    energy, gradient = of(name, "coincident")
    assert energy > of(name, "itself")[0]
    if np.isfinite(energy) and not isinstance(CASES[name].potential, FunctionPotential):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", OWN_GRADIENT)
def test_own_gradient_is_that_of_the_energy(name):
    """The fast path against reverse-mode differentiation, over the batch."""
    case = CASES[name]
    with jax.enable_x64(True):
        x = jnp.asarray(np.delete(batch(name), VARIANTS.index("coincident"), axis=-1))
        slow = jax.jit(automatic_energy_and_gradient)(case.potential, x, case.system())
    fast = jax.tree.map(
        lambda leaf: np.delete(leaf, VARIANTS.index("coincident"), axis=-1),
        results(name),
    )
    np.testing.assert_allclose(fast.energy, slow.energy, rtol=1e-11)
    np.testing.assert_allclose(
        fast.atom_energies, slow.atom_energies, rtol=1e-9, atol=1e-11
    )
    assert_gradients_equal(fast.gradient, np.asarray(slow.gradient), 1e-11)


@pytest.mark.parametrize("name", NO_IMAGES)
def test_one_structure_without_jit_equals_the_compiled_batch(name):
    case = CASES[name]
    with jax.enable_x64(True):
        one = energy_and_gradient(
            case.potential, jnp.asarray(case.positions()), case.system()
        )
    energy, gradient = of(name, "itself")
    assert one.energy.shape == ()
    assert float(one.energy) == pytest.approx(energy, rel=1e-11)
    assert_gradients_equal(np.asarray(one.gradient), gradient, 1e-10)


@each_case
@pytest.mark.parametrize("shape", [(), (2, 3)], ids=str)
def test_shapes_and_dtype_follow_the_positions(name, shape):
    case = CASES[name]
    for dtype, x64 in (("float32", False), ("float32", True), ("float64", True)):
        with jax.enable_x64(x64):
            positions = jax.ShapeDtypeStruct((3, 7, *shape), dtype)
            system = case.system().astype(dtype)
            potential = jax.tree.map(
                lambda leaf, d=dtype: np.asarray(leaf, d), case.potential
            )
            found = jax.eval_shape(energy_and_gradient, potential, positions, system)
        assert found.energy.shape == shape
        assert found.gradient.shape == (3, 7, *shape)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", IMAGES)
def test_a_supercell_is_eight_cells(name):
    """2 x 2 x 2 cells with fewer images against one cell with more."""
    case = CASES[name]
    assert case.cell is not None
    shifts = np.array(list(product((0, 1), repeat=3))) @ case.cell
    x = np.concatenate([case.positions() + s[:, None] for s in shifts], axis=1)
    with jax.enable_x64(True):
        found = evaluate(case.potential, jnp.asarray(x), case.system(repeats=2))
    energy, gradient = of(name, "itself")
    assert float(found.energy) == pytest.approx(8 * energy, rel=1e-11)
    assert_gradients_equal(np.asarray(found.gradient), np.tile(gradient, 8), 1e-10)


def test_the_registry_knows_every_potential():
    listed = {type(case.potential) for case in CASES.values()}
    assert listed == {
        BinaryLennardJones,
        FunctionPotential,
        Gupta,
        LennardJones,
        SoftSphere,
        StillingerWeber,
    }
