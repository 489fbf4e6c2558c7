"""Random numbers of :mod:`jax.random` in NumPy, one key for each structure.

Threefry-2x32 with 20 rounds: J. K. Salmon et al., Proc. SC11 (2011). The kernels draw
the same numbers, see ``cpp/random.h``.
"""

from __future__ import annotations

import numpy as np

__all__ = ["children", "uniforms"]

TURNS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def _threefry(keys: np.ndarray, low: int) -> tuple[np.ndarray, np.ndarray]:
    """The block of number ``low`` under keys ``(2, *batch)``."""
    schedule = (keys[0], keys[1], keys[0] ^ keys[1] ^ np.uint32(PARITY))
    x, y = schedule[0].copy(), schedule[1] + np.uint32(low)
    for block in range(5):
        for turn in TURNS[block % 2]:
            x = x + y
            y = (y << np.uint32(turn) | y >> np.uint32(32 - turn)) ^ x
        x = x + schedule[(block + 1) % 3]
        y = y + schedule[(block + 2) % 3] + np.uint32(block + 1)
    return x, y


def children(keys: np.ndarray, number: int) -> np.ndarray:
    """``fold_in(key, number)``, or part ``number`` of a ``split``; ``(2, *batch)``."""
    return np.stack(_threefry(keys, number))


def uniforms(keys: np.ndarray) -> np.ndarray:
    """``uniform(key, (1,))`` of every key, single precision in [0, 1), ``(*batch)``."""
    x, y = _threefry(keys, 0)
    return ((x ^ y) >> np.uint32(9)).astype(np.float32) * np.float32(2.0**-23)
