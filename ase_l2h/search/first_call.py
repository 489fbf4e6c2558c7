"""The call of a calculator before a search, to see whether it works."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["FirstCall"]


class FirstCall(NamedTuple):
    """Its energy, ``inf`` if it failed, and the positions ``(3, n)``."""

    energy: float
    positions: np.ndarray
