"""Whole searches on a GPU: one block of threads per structure, one launch per block.

``lax.scan`` on a GPU pays for a launch per fused operation and step; here the loop over
steps is inside the kernel and all state stays on the chip. CuPy compiles the CUDA C++
source in ``kernels/`` when it is used for the first time; without CuPy and a GPU the
package works on the CPU.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.optimizers.base import SearchState
from ase_l2h.rollout.kernels import layout as fused
from ase_l2h.rollout.kernels.macros import as_options
from ase_l2h.system import System

__all__ = ["advance", "options", "supports", "unavailable"]

# Most threads of a block; each then takes several atoms.
LARGEST_BLOCK = 256
# A launch cannot be interrupted, and 50,000 steps may take seconds.
STEPS_PER_LAUNCH = 5000


def _cupy() -> Any:
    """CuPy, an optional package."""
    return import_module("cupy")


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Why nothing can run here; None when it can."""
    if find_spec("cupy") is None:
        return "CuPy is not installed; pip install 'ase_l2h[cuda]'"
    cupy = _cupy()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no GPU ({error})"
    if count == 0:
        return "CuPy finds no GPU"
    if not any(device.platform == "gpu" for device in jax.devices()):
        return "JAX sees no GPU; install JAX for CUDA"
    return None


def supports(
    optimizer: Any, potential: Any, system: System, double: bool = False
) -> str | None:
    """Why this backend cannot run a search; None when it can."""
    reason = unavailable() or fused.missing(optimizer, potential, system, double)
    if reason is None and double:
        reason = "it works in single precision; give positions in float32"
    if reason is not None:
        return reason
    cupy = _cupy()
    needed = fused.on_chip_bytes(optimizer, potential, system.n_atoms)
    limit = cupy.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]
    if needed > limit:
        return (
            f"{system.n_atoms} atoms need {needed} bytes on the chip, and this GPU has "
            f"{limit}"
        )
    return None


def block_size(n_atoms: int) -> int:
    """Threads of a block: whole warps."""
    return min(LARGEST_BLOCK, -(-n_atoms // 32) * 32)


def options(macros: dict[str, int | str], n_atoms: int) -> tuple[str, ...]:
    """Options of NVRTC or nvcc. No fast-math: sines of 50,000 rad would be wrong."""
    own = macros | {"BLOCK": block_size(n_atoms)}
    include = f"-I{fused.KERNELS}"
    return ("-std=c++17", include, *as_options(own))


@lru_cache(maxsize=64)
def _kernel(chosen: tuple[str, ...], on_chip: int) -> Any:
    cupy = _cupy()
    source = (fused.KERNELS / "gpu.cu").read_text(encoding="utf-8")
    kernel = cupy.RawModule(code=source, options=chosen).get_function("advance")
    kernel.max_dynamic_shared_size_bytes = on_chip
    return kernel


def advance(
    optimizer: Any, potential: Any, system: System, state: SearchState, n_steps: int
) -> SearchState:
    """Take ``n_steps`` steps on the GPU that the state lies on."""
    cupy = _cupy()
    n = system.n_atoms
    chosen = options(fused.definitions(optimizer, potential, system), n)
    on_chip = fused.on_chip_bytes(optimizer, potential, n)
    device = next(iter(state.positions.devices()))
    with cupy.cuda.Device(device.local_hardware_id):
        kernel = _kernel(chosen, on_chip)
        for first in range(0, n_steps, STEPS_PER_LAUNCH):
            steps = min(STEPS_PER_LAUNCH, n_steps - first)
            work = fused.launch(optimizer, potential, system, state, steps)
            held = {name: _own(name, array) for name, array in work.arrays.items()}
            block = work.block(lambda array: array.data.ptr, held)
            arguments = cupy.asarray(np.frombuffer(block.tobytes(), np.uint8))
            grid, threads = (work.numbers["batch"],), (block_size(n),)
            kernel(grid, threads, (arguments,), shared_mem=on_chip)
            cupy.cuda.get_current_stream().synchronize()
            changed = {
                name: jnp.from_dlpack(array)
                for name, array in held.items()
                if name in fused.CHANGED
            }
            state = work.finish(changed, steps)
    return state


def _own(name: str, array: Any) -> Any:
    """A copy on the GPU for a kernel to write to; JAX's arrays are immutable."""
    cupy, kind = _cupy(), fused.number_type(name)
    if isinstance(array, jax.Array):
        here = cupy.from_dlpack(jax.block_until_ready(array))
        return here.astype(kind, order="C", copy=True)
    return cupy.asarray(array, kind, order="C")
