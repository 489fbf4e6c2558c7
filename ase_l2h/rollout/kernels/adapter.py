"""The contract of a rule's adapter: how the kernels see a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ase_l2h.rollout.kernels.macros import Macros
from ase_l2h.system import System

__all__ = ["Parts", "RuleAdapter", "all_like", "like"]


class Parts(NamedTuple):
    """A rule's state as arrays ``(rows, n, batch)`` and ``(batch)``.

    ``steps`` is the clock of a learned rule, ``()`` or ``(batch)``.
    """

    rows: list[Any]
    whole: list[Any]
    steps: Any = 0


class RuleAdapter:
    """How the kernels see a rule."""

    # File name in cpp/rules, without its ending.
    header: str
    # Numbers per structure shared by all threads: first layer and clock.
    shared = 0
    # Whether the header also works in double precision.
    double = False
    # Names of the parameters in the order of `parameters`, for classical rules.
    names: tuple[str, ...] = ()

    def reject_reason(self, rule: Any, system: System) -> str | None:
        """Why the kernels cannot take this rule there; None when they can."""
        return None

    def macros(self, rule: Any) -> Macros:
        """Macros of the source, besides the header."""
        return {"RULE_PARAMETERS": ",".join(self.names)}

    def own_species(self, rule: Any) -> bool:
        """Whether the rule depends on the species of single atoms."""
        return False

    def rows(self, rule: Any, hopping: bool) -> int:
        """Numbers per atom that a structure keeps on the chip."""
        raise NotImplementedError

    def parameters(self, rule: Any) -> list[Any]:
        """Numbers in the order in which the kernel reads them."""
        return [getattr(rule, name) for name in self.names]

    def initial(self, rule: Any, positions: np.ndarray) -> Any:
        """The rule's state before its first step; ``positions`` are reduced."""
        raise NotImplementedError

    def pack(self, state: Any) -> Parts:
        """The state, taken apart."""
        raise NotImplementedError

    def unpack(
        self, state: Any, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> Any:
        """``state`` after ``n_steps``, from its changed parts."""
        raise NotImplementedError


def like(array: Any, old: Any) -> Any:
    """``array`` with the dtype of the leaf that it replaces."""
    return array if array.dtype == old.dtype else array.astype(old.dtype)


def all_like(arrays: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """:func:`like` of several."""
    return [like(a, b) for a, b in zip(arrays, old, strict=True)]
