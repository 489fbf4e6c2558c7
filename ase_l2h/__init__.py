"""Learned global optimisation of atomic structures.

    from ase_l2h import Learn2Hop, LennardJones

    atoms.calc = LennardJones()
    Learn2Hop(atoms).run()

    import ase_l2h

    result = ase_l2h.search("LJ38")

The names below are imported on first use: ``import ase_l2h`` loads neither JAX nor ASE.
``ase_l2h.search`` is the package of the search methods, and callable.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_l2h import search
    from ase_l2h.ase_adapter.calculators import (
        Gupta,
        LennardJones,
        StillingerWeber,
        potential_of,
    )
    from ase_l2h.ase_adapter.cells import relax_cell
    from ase_l2h.ase_adapter.optimizer import Learn2Hop
    from ase_l2h.ase_adapter.problem import problem_of
    from ase_l2h.ase_adapter.recipes import search_atoms
    from ase_l2h.comparison.running import compare
    from ase_l2h.errors import InputError
    from ase_l2h.search.hull.search import find_hull
    from ase_l2h.search.hull.settings import HullResult
    from ase_l2h.search.limits import Limits
    from ase_l2h.search.minima import Minimum
    from ase_l2h.search.problem import Problem
    from ase_l2h.search.result import SearchResult
    from ase_l2h.system import System, make_system
    from ase_l2h.weights.load import load_weights

    __version__: str

__all__ = [
    "Gupta",
    "HullResult",
    "InputError",
    "Learn2Hop",
    "LennardJones",
    "Limits",
    "Minimum",
    "Problem",
    "SearchResult",
    "StillingerWeber",
    "System",
    "compare",
    "find_hull",
    "load_weights",
    "make_system",
    "potential_of",
    "problem_of",
    "relax_cell",
    "search",
    "search_atoms",
]

_HOME = {
    "Gupta": "ase_adapter.calculators",
    "HullResult": "search.hull.settings",
    "InputError": "errors",
    "Learn2Hop": "ase_adapter.optimizer",
    "LennardJones": "ase_adapter.calculators",
    "Limits": "search.limits",
    "Minimum": "search.minima",
    "Problem": "search.problem",
    "SearchResult": "search.result",
    "StillingerWeber": "ase_adapter.calculators",
    "System": "system",
    "compare": "comparison.running",
    "find_hull": "search.hull.search",
    "load_weights": "weights.load",
    "make_system": "system",
    "potential_of": "ase_adapter.calculators",
    "problem_of": "ase_adapter.problem",
    "relax_cell": "ase_adapter.cells",
    "search_atoms": "ase_adapter.recipes",
}
# Not a function here: importing a submodule binds its name in this package, which would
# replace a function of the same name behind the user's back.
_MODULES = ("search",)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value = version("ase_l2h")
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
