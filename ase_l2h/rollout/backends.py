"""Which code runs the steps: ``scan`` is what the others are tested against.

* ``scan``: a compiled JAX loop, everywhere and for everything.
* ``native``: machine code made by the system's C++ compiler, see :mod:`.native`.
* ``cuda``: one kernel per search on a GPU, see :mod:`.cuda`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ase_l2h.errors import InputError
from ase_l2h.rollout.kernels import cuda, native
from ase_l2h.system import System

__all__ = [
    "BACKENDS",
    "KERNELS",
    "available_backends",
    "choose_backend",
    "known_backend",
    "resolve_backend",
]

LOGGER = logging.getLogger(__name__)
BACKENDS = ("auto", "scan", "native", "cuda")
# Modules of the backends other than ``scan``.
KERNELS = {"native": native, "cuda": cuda}


def _unavailable(backend: str) -> str | None:
    """Why a backend cannot run anything here."""
    if backend == "cuda":
        return cuda.unavailable()
    if backend == "native" and native.compiler() is None:
        return "there is no C++ compiler; install one, or name it in CXX"
    return None


def available_backends() -> tuple[str, ...]:
    """Backends this installation can run, besides ``"auto"``."""
    return tuple(b for b in BACKENDS[1:] if _unavailable(b) is None)


def known_backend(backend: str) -> str:
    """The backend's name, checked; it need not be able to run here.

    Raises
    ------
    InputError
        For a name that is no backend.
    """
    if backend not in BACKENDS:
        raise InputError(
            f"no backend named '{backend}'; choose one of {', '.join(BACKENDS)}"
        )
    return backend


def resolve_backend(backend: str) -> str:
    """The backend's name, checked; it must be able to run here.

    Raises
    ------
    InputError
        For a name that is no backend, and for one that cannot run here.
    """
    reason = _unavailable(known_backend(backend))
    if reason is not None:
        raise InputError(f"the backend '{backend}' cannot run here: {reason}")
    return backend


def choose_backend(
    backend: str,
    optimizers: Sequence[Any],
    potential: Any,
    system: System,
    double: bool,
    platform: str,
    batch: int | None = None,
) -> str:
    """Choose the backend that will run a search; results report it.

    ``"auto"`` is ``cuda`` on a GPU and ``native`` elsewhere where that can run the
    search, else ``scan``.

    Parameters
    ----------
    backend
        One of ``BACKENDS``.
    optimizers, potential, system
        What is to be run.
    double
        Whether in double precision.
    platform
        Of the device that it is to run on, ``"cpu"`` or ``"gpu"``.
    batch
        Number of structures, if known: small batches have their own machine code, and
        only that is compiled.

    Raises
    ------
    InputError
        When the one asked for cannot run this search; the sentence says why.
    """
    chosen = resolve_backend(backend)
    if chosen == "scan":
        return "scan"
    fastest = "cuda" if platform == "gpu" else "native"
    kernels = KERNELS[fastest if chosen == "auto" else chosen]
    reasons = [kernels.supports(o, potential, system, double) for o in optimizers]
    if chosen == "cuda" and platform != "gpu":
        reasons.append("the search runs on another device; leave out --device")
    reason = next((r for r in reasons if r is not None), None)
    if chosen == "auto":
        if reason is None and fastest == "native":
            # A compiler may exist and still be too old.
            made = (
                native.prepare(o, potential, system, double, batch) for o in optimizers
            )
            reason = next((r for r in made if r is not None), None)
            if reason is not None:
                LOGGER.warning("'scan' runs instead of 'native': %s", reason)
        return "scan" if reason else fastest
    if reason is not None:
        raise InputError(
            f"the backend '{backend}' cannot run this search: {reason}; or choose "
            "'scan'"
        )
    return chosen
