"""Methods beside each other, by what a first encounter with a minimum costs.

    import ase_l2h
    print(ase_l2h.compare("LJ38", ["learned", "bh"], runs=48))

is :func:`ase_l2h.comparison.running.compare`. Nothing is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_l2h.comparison.outcome import Comparison, read_comparison
    from ase_l2h.comparison.running import compare

__all__ = ["Comparison", "compare", "read_comparison"]

_HOME = {"Comparison": "outcome", "compare": "running", "read_comparison": "outcome"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
