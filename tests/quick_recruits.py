"""Processes that share a hull, compiling as the tests do: bits are compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ase_l2h.rollout.kernels import native
from ase_l2h.search.hull import team

__all__ = ["QuickRecruit"]

# The class itself, whoever takes its place.
RECRUIT = team.Recruit


@dataclasses.dataclass(frozen=True)
class QuickRecruit(RECRUIT):
    """With the compiler options and the folder of the process that makes it."""

    flags: tuple[str, ...] = dataclasses.field(default_factory=lambda: native.FLAGS)
    folder: Path = dataclasses.field(default_factory=lambda: native.cache_folder())

    def __call__(self, number: int) -> Any:
        native.FLAGS = self.flags
        native.cache_folder = lambda: self.folder
        return RECRUIT.__call__(self, number)
