"""The call of a calculator that is made before a search: whether it works at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["FirstCall"]


class FirstCall(NamedTuple):
    """Its energy, ``inf`` where it failed, and the positions ``(3, n)``."""

    energy: float
    positions: np.ndarray
