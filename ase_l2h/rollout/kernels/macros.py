"""Python numbers as macros of the C++ source, so that none is typed twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["Macros", "as_options", "single", "singles"]

Macros = dict[str, int | str]


def single(number: Any) -> str:
    """A literal of the nearest number in single precision."""
    return f"{float(np.float32(number))!r}f"


def singles(numbers: Iterable[Any]) -> str:
    """A list of literals."""
    return ",".join(single(number) for number in numbers)


def as_options(macros: Macros) -> Sequence[str]:
    """``-DNAME=VALUE`` for a compiler's command line."""
    return [f"-D{name}={value}" for name, value in macros.items()]
