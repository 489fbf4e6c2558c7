"""Basin hopping in the C++ kernels: random numbers, single hops, whole searches."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fused_steps import (
    COUNT,
    KEY,
    LANES,
    THREADS,
    agree,
    built,
    state_on_the_way,
)

from ase_l2h._internal.pytree import replace
from ase_l2h.optimizers import BasinHopping, Compression, Moves, Restarts
from ase_l2h.rollout import Rollout, rollout
from ase_l2h.rollout.kernels import layout as fused
from ase_l2h.rollout.kernels import native
from ase_l2h.rollout.scan import compiled_advance, compiled_evaluate
from ase_l2h.rules import Fire, GradientDescent
from ase_l2h.rules.learned import EquivariantRule
from ase_l2h.search.registry import strong_basin_hopping
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import named_target

pytestmark = pytest.mark.compiler

DRAWS = r"""
#include "random.h"
extern "C" void draw(unsigned a, unsigned b, int count, unsigned* keys, float* out) {
  const Key key = {a, b};
  for (int i = 0; i < count; ++i) {
    const Key split = child(key, i);
    keys[2 * i] = split.a;
    keys[2 * i + 1] = split.b;
    out[i] = uniform(key, i);
    out[count + i] = normal(key, i);
    out[2 * count + i] = exponentially(key, i);
  }
}
"""

# Every move and every option, in builds that potential and quench choose.
HOPS: dict[str, tuple[str, BasinHopping]] = {
    "cube": ("LJ13", BasinHopping(temperature=0.0)),
    "ball": ("LJ13", BasinHopping(moves=Moves(kick="ball", container=None))),
    "gaussian": (
        "LJ13",
        BasinHopping(moves=Moves(size=0.7, kick="gaussian", container=0.2)),
    ),
    "surface": ("LJ13", BasinHopping(moves=Moves(surface=0.9, surface_atoms=3))),
    "acceptance": ("LJ13", BasinHopping(acceptance=0.4)),
    "compression": (
        "LJ13",
        BasinHopping(compression=Compression(share=0.5), restarts=Restarts(stall=2)),
    ),
    "reseed": (
        "LJ13",
        BasinHopping(restarts=Restarts(stall=2, n_known=3, reseed=True)),
    ),
    "fixed": (
        "LJ13",
        BasinHopping(fixed_length=True, max_quench=11, target_energy=-41.0),
    ),
    "abandon": (
        "LJ13",
        BasinHopping(abandon=0.1, restarts=Restarts(n_known=2, stall=2)),
    ),
    "swap": ("Ag4Au5", BasinHopping(moves=Moves(surface=0.7, swap=0.7))),
    "crystal": (
        "Si8",
        BasinHopping(
            quench=Fire(),
            moves=Moves(kick="ball"),
            restarts=Restarts(stall=2, reseed=True),
        ),
    ),
}
OFTEN = ("abandon", "swap", "compression")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("native")


def search_of(name: str, optimizer: Any) -> tuple:
    target = named_target(name)
    return optimizer, target.potential, target.system


def strong(name: str) -> tuple:
    return search_of(name, strong_basin_hopping(named_target(name).system))


def test_random_numbers_are_those_of_jax(tmp_path):
    """Draw by draw: keys to the bit, numbers to the rounding of the logarithm."""
    (tmp_path / "draws.cpp").write_text(DRAWS)
    program, library = str(native.compiler()), str(tmp_path / "draws.so")
    command = [program, "-std=c++20", "-O1", "-fPIC", "-shared", f"-I{fused.KERNELS}"]
    command += [str(tmp_path / "draws.cpp"), "-o", library]
    subprocess.run(command, check=True)
    count = 5000
    keys = np.zeros((count, 2), np.uint32)
    found = np.zeros((3, count), np.float32)
    seed = jax.random.key(77)
    pointers = (ctypes.c_void_p(a.ctypes.data) for a in (keys, found))
    numbers = (ctypes.c_uint(int(k)) for k in jax.random.key_data(seed))
    ctypes.CDLL(library).draw(*numbers, count, *pointers)

    split = jax.random.key_data(jax.random.split(seed, count))
    np.testing.assert_array_equal(keys, split)
    folded = jax.random.key_data(jax.random.fold_in(seed, 41))
    np.testing.assert_array_equal(keys[41], folded)
    np.testing.assert_array_equal(found[0], jax.random.uniform(seed, (count,)))
    normal, exponential = jax.random.normal, jax.random.exponential
    np.testing.assert_allclose(found[1], normal(seed, (count,)), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(found[2], exponential(seed, (count,)), rtol=1e-6)


def about_to_end(search: tuple) -> tuple[tuple, Any]:
    """A search whose quenches nearly all end in the next step, and how it stands.

    Near minima; about half will be accepted, stall or are known, others not.
    """
    optimizer, potential, system = search
    state = state_on_the_way(search, 60)
    rng = np.random.default_rng(8)
    scale = np.asarray(system.energy_scale, np.float32)
    energy = np.asarray(compiled_evaluate(potential, system, state).energy) / scale
    inner = state.inner

    def near(width: float) -> jnp.ndarray:
        away = width * rng.normal(size=COUNT)
        return jnp.asarray((energy + away).astype(np.float32))

    def counts(low: int, high: int) -> jnp.ndarray:
        return jnp.asarray(rng.integers(low, high, COUNT), jnp.int32)

    stage = inner.stage
    if stage is not None:
        known = [near(0.003) for _ in range(stage.known.shape[0])]
        stage = stage._replace(
            lowest=near(0.5) - 0.3,
            stalled=counts(1, 4),
            known=jnp.stack(known) if known else stage.known,
        )
    nothing = jnp.arange(COUNT) % 4 == 0
    inner = inner._replace(
        stage=stage,
        current_energy=jnp.where(nothing, jnp.inf, inner.current_energy),
        acceptance_bound=near(1.0),
        lowest=near(1.0) - 0.5,
        reached=near(0.2),
        looked=near(2.0),
        size=jnp.asarray(rng.uniform(0.2, 0.5, COUNT), jnp.float32),
        quench_evaluations=counts(9, 11),
        quenches=counts(47, 50),
        lately_accepted=counts(10, 30),
    )
    optimizer = replace(optimizer, fmax=1e3, fmax_lowest=0.5)
    if optimizer.abandon is not None:
        optimizer = replace(optimizer, fmax=0.5, max_quench=11)
    return (optimizer, potential, system), state._replace(inner=inner)


@pytest.mark.often("abandon")
@pytest.mark.parametrize(
    "hop", [h if h in OFTEN else pytest.param(h, marks=pytest.mark.slow) for h in HOPS]
)
def test_a_hop_is_that_of_scan(hop, folder):
    """All of the state after one step, in lanes and in a block of threads."""
    search, state = about_to_end(search_of(*HOPS[hop]))
    expected = compiled_advance(*search, state, KEY, 60, 1)
    ended = np.asarray(expected.inner.quenches) - np.asarray(state.inner.quenches)
    assert np.sum(ended) >= 3
    accepted = np.sum(np.asarray(expected.inner.accepted - state.inner.accepted))
    assert 0 < accepted < COUNT
    for build in (LANES, THREADS):
        found = built(search, folder, *build)(*search, state, 1)
        agree(expected, found, 2e-5, f"{hop} {build}")


@pytest.mark.slow
def test_blocks_do_not_change_a_bit(folder):
    """And a few hops are on the way."""
    search = strong("LJ13")
    advance = built(search, folder, *LANES)
    state = state_on_the_way(search, 20)
    whole = advance(*search, state, 90)
    first = advance(*search, state, 37)
    parts = advance(*search, first, 53)
    assert np.sum(np.asarray(whole.inner.quenches - state.inner.quenches)) > COUNT
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.slow
def test_it_searches_as_scan_does(folder):
    """64 chains on LJ13, each its own way: nearly all arrive, after as many steps."""
    minimum, chains, steps = -44.326801, 64, 4000
    optimizer, potential, system = strong("LJ13")
    search = (optimizer.towards(minimum, system), potential, system)
    state = state_on_the_way(search, 0, chains)
    ways = (compiled_advance(*search, state, KEY, 0, steps),)
    ways += (built(search, folder, *LANES)(*search, state, steps),)
    means, errors = [], []
    for found in ways:
        arrived = ~np.asarray(found.active)
        assert np.mean(arrived) > 0.95
        np.testing.assert_allclose(
            np.asarray(found.best_energy)[arrived], minimum, atol=1e-3
        )
        charged = np.asarray(found.evaluations)
        np.testing.assert_array_equal(charged[~arrived], steps)
        means.append(np.mean(charged))
        errors.append(np.std(charged) / np.sqrt(chains))
    # The runs part after a few hops, so they count as independent.
    assert abs(means[0] - means[1]) < 3 * np.hypot(*errors)


def test_a_rollout_hops_in_machine_code(folder, monkeypatch):
    monkeypatch.setattr(native, "cache_folder", lambda: folder)
    search = strong("LJ7")
    starts = make_starts(search[2], 2, 0, 5).astype(np.float32)
    result = rollout(*search, starts, key=KEY, n_steps=3000, backend="native")
    assert result.backend == "native"
    np.testing.assert_array_equal(result.evaluations, 3001)
    np.testing.assert_allclose(result.best_energy, -16.505384, atol=1e-4)


def test_other_quenches_are_refused():
    learned = EquivariantRule.create(KEY, EquivariantRule.features_type())
    for quench in (GradientDescent(), learned):
        search = search_of("LJ7", BasinHopping(quench=quench))
        starts = make_starts(search[2], 2, 0, 3).astype(np.float32)
        with pytest.raises(ValueError, match="quenches are L-BFGS, Adam or FIRE"):
            Rollout(*search, starts, KEY, backend="native")
