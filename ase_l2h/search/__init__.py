"""Search methods; the package itself is callable.

    import ase_l2h
    result = ase_l2h.search("LJ38")

is :func:`ase_l2h.ase_adapter.front.search`.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from ase_l2h.search.names import DEFAULT_METHOD

__all__: list[str] = []


class _CallableModule(types.ModuleType):
    """A module that can be called, so that ``ase_l2h.search`` is also a function."""

    def __call__(
        self,
        problem: Any,
        *,
        method: Any = DEFAULT_METHOD,
        limits: Any = None,
        seed: int = 0,
        searches: int = 1,
        **options: Any,
    ) -> Any:
        """Search for the lowest minimum, see :func:`ase_l2h.ase_adapter.front.search`.

        Parameters
        ----------
        problem
            A name such as ``"LJ38"``, a target, a problem, or Atoms with a calculator.
        method, limits, seed, searches, **options
            How, how much, and how often.

        Returns
        -------
        ase_l2h.search.result.SearchResult
        """
        # Imported by name: the function accepts ASE's Atoms, and no layer below the
        # adapter imports ASE.
        front = importlib.import_module("ase_l2h.ase_adapter.front")
        return front.search(
            problem,
            method=method,
            limits=limits,
            seed=seed,
            searches=searches,
            **options,
        )


# A function `search` in the package above would be replaced by this module as soon as
# any submodule is imported.
sys.modules[__name__].__class__ = _CallableModule
