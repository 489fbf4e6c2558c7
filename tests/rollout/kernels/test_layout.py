"""The C++ kernels against ``scan``: the code of a GPU, run on the host.

Compiled here by the system's compiler, as what a GPU would run: one block of threads
per structure, which meet at barriers, and as what the processor runs: one structure in
each vector lane. Single steps are compared from states on the way, because the dynamics
is chaotic.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from fused_steps import (
    COUNT,
    KEY,
    LANES,
    THREADS,
    built,
    compare,
    state_on_the_way,
)

from ase_l2h.optimizers import (
    BasinHopping,
    Compression,
    Moves,
    Restarts,
    RuleOptimizer,
    paper_basin_hopping,
)
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.rollout import Rollout, rollout
from ase_l2h.rollout.kernels import cuda, native
from ase_l2h.rollout.kernels import layout as fused
from ase_l2h.rollout.kernels.macros import as_options
from ase_l2h.rules import Adam, Fire, Lbfgs
from ase_l2h.rules.learned import (
    Adam4pRule,
    Adam4pStart,
    CoordinatewiseRule,
    EquivariantRule,
)
from ase_l2h.rules.learned.features import FeatureSet
from ase_l2h.rules.learned.invariants import EquivariantFeatures
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import named_target

# Small and not zero: an untrained rule would not move.
NOISE = 0.2


def equivariant(**features: bool) -> EquivariantRule:
    chosen = EquivariantFeatures(**features)
    rule = EquivariantRule.create(jax.random.key(1), chosen, time_scale=3.0)
    return EquivariantRule(_noisy(rule.theta), rule.time_scale, chosen)


def coordinatewise(**features: Any) -> CoordinatewiseRule:
    chosen = FeatureSet(**features)
    rule = CoordinatewiseRule.create(jax.random.key(1), chosen, time_scale=3.0)
    return CoordinatewiseRule(_noisy(rule.theta), rule.time_scale, chosen)


def _noisy(theta: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        name: np.asarray(a) + NOISE * rng.normal(size=np.shape(a)).astype(np.float32)
        for name, a in theta.items()
    }


# Every potential, every rule, and every switch of the rules on and off. Quenches end
# early, so that the few steps compared hold many hops.
CASES: dict[str, tuple[str, Any]] = {
    "lj-equivariant": ("LJ13", RuleOptimizer(equivariant(atom_energies=True))),
    # Both elements in one group of neighbours, see TOGETHER in potentials.h.
    "alloy-equivariant": (
        "Ag3Au6",
        RuleOptimizer(
            equivariant(memory=True, species=True, step=False, progress=False)
        ),
    ),
    "silicon-equivariant": ("Si8", RuleOptimizer(equivariant(memory=True))),
    "alloy-paper": ("Ag4Au5", RuleOptimizer(coordinatewise(species_slots=2))),
    "lj-paper": (
        "LJ7",
        RuleOptimizer(
            coordinatewise(gradients=False, decays=False, singular=False, step=False)
        ),
    ),
    "lj-adam": ("LJ13", RuleOptimizer(Adam(rate=0.03))),
    "silicon-fire": ("Si8", RuleOptimizer(Fire())),
    "alloy-fire": ("Ag4Au5", RuleOptimizer(Fire())),
    "lj-lbfgs": ("LJ13", RuleOptimizer(Lbfgs())),
    "alloy-lbfgs": ("Ag4Au5", RuleOptimizer(Lbfgs(memory=3, max_rejections=1))),
    "lj-hopping": (
        "LJ13",
        BasinHopping(
            moves=Moves(surface=0.6, container=0.3),
            acceptance=0.4,
            restarts=Restarts(stall=1, n_known=2),
            compression=Compression(share=0.5, fmax=1000.0),
            fmax=2000.0,
            fmax_lowest=30.0,
            target_energy=-30.0,
        ),
    ),
    "alloy-hopping": (
        "Ag4Au5",
        BasinHopping(
            moves=Moves(surface=0.9, surface_atoms=3, swap=0.5, kick="ball"),
            restarts=Restarts(stall=0, reseed=True),
            fmax=300.0,
            fmax_lowest=12.0,
            abandon=0.5,
            max_quench=11,
        ),
    ),
    "silicon-hopping": (
        "Si8",
        BasinHopping(
            quench=Fire(),
            moves=Moves(kick="gaussian", surface=0.5),
            restarts=Restarts(stall=1, reseed=True, n_known=3),
            fmax=60.0,
            fmax_lowest=15.0,
        ),
    ),
    "lj-paper-hopping": ("LJ13", paper_basin_hopping(steps=4)),
}


def search_of(case: str) -> tuple:
    name, optimizer = CASES[case]
    target = named_target(name)
    return optimizer, target.potential, target.system


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("native")


SLOW = (
    *("lj-paper", "lj-adam", "silicon-fire", "silicon-equivariant", "alloy-lbfgs"),
    *("alloy-hopping", "silicon-hopping", "lj-paper-hopping"),
    *("alloy-paper", "alloy-fire", "lj-lbfgs"),
)


@pytest.mark.often("alloy-equivariant")
@pytest.mark.compiler
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in CASES],
)
def test_a_block_of_threads_takes_the_steps_of_scan(case, folder):
    """Three threads share the atoms, as those of a block on a GPU do."""
    search = search_of(case)
    compare(search, built(search, folder, *THREADS))


@pytest.mark.often("alloy-equivariant", "alloy-paper")
@pytest.mark.compiler
@pytest.mark.parametrize(
    "case",
    [
        # Only in lanes do the rules visit every pair once.
        *("alloy-equivariant", "alloy-paper", "alloy-hopping"),
        *(
            pytest.param(c, marks=pytest.mark.slow)
            for c in ("silicon-equivariant", "lj-lbfgs")
        ),
    ],
)
def test_vector_lanes_take_the_steps_of_scan(case, folder):
    search = search_of(case)
    compare(search, built(search, folder, *LANES))


ELEMENTARY = """
#include "numbers.h"
extern "C" void elementary(const number* x, number* falling, number* any,
                           number* root, int count) {
  for (int i = 0; i < count; i += 4 * LANES) {
    real each[4], other[4];
    memcpy(each, x + i, sizeof each);
    for (int k = 0; k < 4; ++k) other[k] = exponential(each[k]);
    memcpy(any + i, other, sizeof other);
    for (int k = 0; k < 4; ++k) other[k] = absolute(each[k]);
    inverse_roots<4>(other, each);
    memcpy(root + i, each, sizeof each);
    for (int k = 0; k < 4; ++k) other[k] = real{} - other[k];
    falling_exponentials<4>(other);
    memcpy(falling + i, other, sizeof other);
  }
}
"""


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("lanes", "kind"),
    [(8, np.float32), (16, np.float32), (8, np.float64), (4, np.float64)],
)
def test_exponentials_and_roots_of_lanes_are_exact_to_rounding(lanes, kind, tmp_path):
    """Against NumPy's longest; full vectors may begin with a guess of the processor."""
    source, library = tmp_path / "elementary.cpp", tmp_path / "elementary.so"
    source.write_text(ELEMENTARY)
    double = int(kind == np.float64)
    # As users compile: with fused multiplications.
    flags = [flag for flag in native.FLAGS if flag != "-O0"]
    options = [*flags, f"-DLANES={lanes}", f"-DDOUBLE={double}"]
    options += [f"-I{fused.KERNELS}"]
    command = [str(native.compiler()), *options, str(source), "-o", str(library)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[:3000]
    sizes = np.concatenate([np.geomspace(1e-20, 86, 3000), np.linspace(0.1, 40, 1000)])
    far = 900.0 if double else 90.0
    special = [far, 1e30, -far, -1e30, np.inf, -np.inf, np.nan, 0.0]
    x = np.concatenate([sizes, -sizes, np.resize(special, 64)]).astype(kind)
    assert len(x) % (4 * lanes) == 0
    falling, general, root = (np.empty_like(x) for _ in range(3))
    arrays = [ctypes.c_void_p(a.ctypes.data) for a in (x, falling, general, root)]
    ctypes.CDLL(str(library)).elementary(*arrays, ctypes.c_int(len(x)))

    n = len(sizes)
    true = np.longdouble(x[: 2 * n])
    # The rounding of log2(e), times what is taken to the power of two; and of a root.
    bound, root_bound = (5e-16, 4e-16) if double else (2.5e-7, 2e-7)
    assert np.all(np.abs(general[: 2 * n] / np.exp(true) - 1) < bound)
    assert np.all(np.abs(falling[: 2 * n] / np.exp(-np.abs(true)) - 1) < bound)
    assert np.all(np.abs(root[: 2 * n] * np.sqrt(np.abs(true)) - 1) < root_bound)
    np.testing.assert_array_equal(
        general[2 * n :][: len(special)],
        np.asarray([np.inf, np.inf, 0, 0, np.inf, 0, np.nan, 1], kind),
    )
    large, nan = falling[2 * n :][:6], falling[2 * n + 6]
    assert np.all(large < (1e-300 if double else 2e-38))
    assert np.isnan(nan)


# Reads what a launch needs and runs it: nothing but the kernels is instrumented.
SANITISED = r"""
#include "host.cpp"
#include <stdio.h>
int main(int, char** names) {
  FILE* file = fopen(names[1], "rb");
  Arguments a;
  size_t bytes;
  for (int k = 0; k < POINTERS; ++k) {
    if (fread(&bytes, 8, 1, file) != 1) return 2;
    void* data = bytes ? malloc(bytes) : 0;
    if (bytes && fread(data, 1, bytes, file) != bytes) return 2;
    reinterpret_cast<void**>(&a)[k] = data;
  }
  char* rest = reinterpret_cast<char*>(&a) + POINTERS * sizeof(void*);
  if (fread(rest, 1, sizeof a - POINTERS * sizeof(void*), file) == 0) return 2;
  return advance(&a, 0, a.batch) ? 0 : 1;
}
"""


@pytest.mark.compiler
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_barrier_is_missing(case, tmp_path):
    """ThreadSanitizer sees two threads at one place that no barrier separates."""
    search = search_of(case)
    work = fused.launch(*search, state_on_the_way(search, 9), 3)
    held = {
        name: np.array(array, fused.number_type(name), order="C")
        for name, array in work.arrays.items()
    }
    block = work.block(lambda _: 0, {})
    with (tmp_path / "launch").open("wb") as stream:
        for pointer in fused.POINTERS:
            content = held[pointer].tobytes() if pointer in held else b""
            stream.write(len(content).to_bytes(8, "little") + content)
        stream.write(block.tobytes()[8 * len(fused.POINTERS) :])
    source, program = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(SANITISED)
    macros = fused.definitions(*search) | {"POINTERS": len(fused.POINTERS)}
    options = ["-std=c++20", "-O1", "-g", "-fsanitize=thread", "-DTHREADS=3"]
    command = [str(native.compiler()), *options, f"-I{fused.KERNELS}"]
    command += [*as_options(macros), str(source), "-o", str(program)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if "tsan" in made.stderr:
        pytest.skip("this compiler has no ThreadSanitizer")
    assert made.returncode == 0, made.stderr[:3000]
    # Its memory map wants addresses that are not shuffled, where that can be had.
    plain = ["setarch", "-R"] if shutil.which("setarch") else []
    result = subprocess.run(
        [*plain, str(program), str(tmp_path / "launch")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[:3000]


@pytest.mark.compiler
def test_converged_structures_stop_and_are_charged_no_more(folder, monkeypatch):
    """Of two blocks, each its own way; as in ``scan`` to the evaluation."""
    monkeypatch.setattr(native, "cache_folder", lambda: folder)
    target = named_target("LJ7")
    optimizer = RuleOptimizer(Fire(), fmax=0.5)
    starts = make_starts(target.system, 2, 0, COUNT).astype(np.float32)
    settings: dict[str, Any] = {"key": KEY, "n_steps": 600}
    arguments = (optimizer, target.potential, target.system, starts)
    one = rollout(*arguments, **settings, backend="scan")
    two = rollout(*arguments, **settings, backend="native")
    assert (one.backend, two.backend) == ("scan", "native")
    assert np.all(two.force < 0.5)
    np.testing.assert_array_equal(one.status, two.status)
    assert len(set(two.evaluations)) > 3
    # FIRE is no chaos on the way down; a step more or less is rounding.
    assert np.all(np.abs(one.evaluations - two.evaluations) <= 2)
    np.testing.assert_allclose(one.energy, two.energy, rtol=1e-2)


@pytest.mark.compiler
def test_what_the_kernels_cannot_do_is_said(folder):
    target = named_target("LJ7")
    starts = make_starts(target.system, 2, 0, 3).astype(np.float32)
    adam = RuleOptimizer(Adam())
    strange = Adam4pRule.create(KEY, Adam4pStart())
    cases: list[tuple[Any, str]] = [
        (
            (RuleOptimizer(strange), target.potential, target.system),
            "no kernel for Adam4p",
        ),
        ((adam, SoftSphere(), target.system), "one diameter for all soft spheres"),
    ]
    for search, sentence in cases:
        assert sentence in str(fused.missing(*search))
        with pytest.raises(ValueError, match=sentence):
            Rollout(*search, starts, KEY, backend="native")
        assert Rollout(*search, starts, KEY).backend == "scan"
    double = starts.astype(np.float64)
    with pytest.raises(ValueError, match="single precision"):
        Rollout(adam, target.potential, target.system, double, KEY, backend="native")


def test_without_cupy_and_a_gpu_cuda_says_so_and_auto_is_native():
    reason = cuda.unavailable()
    if reason is None:
        pytest.skip("there is a GPU here")
    target = named_target("LJ7")
    starts = make_starts(target.system, 2, 0, 3).astype(np.float32)
    arguments = (RuleOptimizer(Adam()), target.potential, target.system, starts, KEY)
    with pytest.raises(ValueError, match="'cuda' cannot run here: "):
        Rollout(*arguments, backend="cuda")
    fastest = "scan" if native.compiler() is None else "native"
    assert Rollout(*arguments).backend == fastest


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc here")
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] * (c != "lj-adam")) for c in CASES],
)
def test_the_source_compiles_for_a_gpu(case, tmp_path):
    search = search_of(case)
    options = cuda.options(fused.definitions(*search), search[2].n_atoms)
    # NVRTC takes commas as they are; nvcc takes them for the next macro.
    options = [option.replace(",", "\\,") for option in options]
    output = tmp_path / "kernel.ptx"
    command = ["nvcc", "-ptx", "-arch=compute_90", "-Werror=all-warnings", *options]
    result = subprocess.run(
        [*command, "-o", str(output), str(fused.KERNELS / "gpu.cu")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[:3000]
    assert ".entry advance" in output.read_text()


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_takes_the_steps_of_scan(case):
    search = search_of(case)
    reason = cuda.supports(*search)
    if reason is not None:
        pytest.skip(reason)
    compare(search, cuda.advance)
