"""How a batch is cut into chunks, and checks of its arrays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ase_l2h._internal.promotion import double_precision, promoting
from ase_l2h.errors import InputError
from ase_l2h.system import MAX_ATOMS, System

__all__ = ["CHUNK", "PAIRS", "checked_positions", "chunk_shape", "precision"]

# Working sets of 32 to 64 structures stay in a core's cache at the usual sizes.
CHUNK = 64
# Chunk sizes that fill vector registers, and the fewest structures worth padding to
# them: `python -m benchmarks` measures batches of 1, 8, 32, 128 and 512.
LANES = (32, 48, 64)
FEW = 6
# Structures times ordered pairs of a chunk: some potentials keep numbers per pair, and
# 2,000 atoms then take 64 MB instead of a gigabyte. No effect up to 512 atoms.
PAIRS = 2**24


def chunk_shape(count: int, largest: int = CHUNK) -> tuple[int, int]:
    """Number and size of the chunks of a batch, from its size alone.

    Several chunks are made even in number, so that two cores share the work. Six or
    more structures are padded to whole vectors: XLA computes the remainder one by one,
    and 63 structures cost up to three times as much as 64.
    """
    chunks = math.ceil(count / largest)
    if chunks > 1 or count > LANES[0]:
        chunks += chunks % 2
    size = math.ceil(count / chunks)
    if size >= FEW:
        size = next((n for n in LANES if n >= size), largest)
    return chunks, min(size, largest)


def checked_positions(positions: Any, system: System) -> np.ndarray:
    """Positions ``(3, n, batch)`` in single precision, or double where they are.

    Raises
    ------
    InputError
        For arrays that do not fit together, and for too many atoms.
    """
    positions = np.asarray(positions)
    if positions.dtype != np.float64:
        positions = positions.astype(np.float32)
    if positions.ndim != 3 or positions.shape[0] != 3 or positions.shape[2] == 0:
        raise InputError(
            f"positions have shape {positions.shape}; a rollout takes (3, n, batch)"
        )
    if positions.shape[1] != system.n_atoms:
        raise InputError(
            f"positions hold {positions.shape[1]} atoms, the system "
            f"{system.n_atoms}; give positions (3, {system.n_atoms}, batch)"
        )
    _check_batch(system, positions.shape[2])
    if system.n_atoms > MAX_ATOMS:
        raise InputError(
            f"{system.n_atoms} atoms are more than {MAX_ATOMS}; every pair is "
            "taken into account, so choose a smaller structure"
        )
    return positions


def _check_batch(system: System, count: int) -> None:
    """Leaves with a batch axis must have one entry per structure."""
    sizes = {
        "species": np.shape(system.species)[1:],
        "length_scale": np.shape(system.length_scale),
        "energy_scale": np.shape(system.energy_scale),
    }
    for name, shape in sizes.items():
        if shape not in ((), (count,)):
            raise InputError(
                f"{name} has shape {shape} for a batch of {count} structures; give a "
                "number, or one for each structure"
            )


@contextlib.contextmanager
def precision(double: bool) -> Iterator[None]:
    """64-bit numbers for this thread only: JAX's global flag stays as it is."""
    with double_precision() if double else promoting():
        yield
