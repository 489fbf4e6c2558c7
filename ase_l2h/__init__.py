"""Learned global optimisation of atomic structures, as an ASE optimizer.

    from ase_l2h import Learn2Hop, LennardJones

The names below are imported on first use: ``import ase_l2h`` loads neither JAX nor ASE.
``ase_l2h.search`` and ``ase_l2h.rollout`` are modules; their main functions bear the
same names (``ase_l2h.search.multistart.search``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_l2h import rollout, search
    from ase_l2h.ase_adapter.calculators import (
        Gupta,
        LennardJones,
        StillingerWeber,
        potential_of,
    )
    from ase_l2h.ase_adapter.optimizer import Learn2Hop
    from ase_l2h.search.multistart import SearchResult
    from ase_l2h.system import System, make_system
    from ase_l2h.weights.load import load_weights

    __version__: str

__all__ = [
    "Gupta",
    "Learn2Hop",
    "LennardJones",
    "SearchResult",
    "StillingerWeber",
    "System",
    "load_weights",
    "make_system",
    "potential_of",
    "rollout",
    "search",
]

_HOME = {
    "Gupta": "ase_adapter.calculators",
    "Learn2Hop": "ase_adapter.optimizer",
    "LennardJones": "ase_adapter.calculators",
    "SearchResult": "search.multistart",
    "StillingerWeber": "ase_adapter.calculators",
    "System": "system",
    "load_weights": "weights.load",
    "make_system": "system",
    "potential_of": "ase_adapter.calculators",
}
# Never functions here: importing a submodule binds its name in this package, which
# would replace a function of the same name behind the user's back.
_MODULES = ("rollout", "search")


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
