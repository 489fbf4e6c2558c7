"""A search as one call of plain data, for workflow managers."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ase_l2h.ase_adapter.front import search
from ase_l2h.search.limits import Limits

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["search_atoms"]


def search_atoms(
    atoms: Atoms | str,
    calculator: Callable[[], Any] | None = None,
    *,
    evaluations: int | None = None,
    settled: int | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Search, and return only numbers, strings and lists, which any store can keep.

    With jobflow this is a job: ``jobflow.job(search_atoms)("LJ38")``.

    Parameters
    ----------
    atoms
        Atoms, which are not changed, or the name of a target such as ``"LJ38"``.
    calculator
        Makes the calculator of ``atoms``, ``EMT`` for example: a class can be stored
        where a calculator cannot. None where they have one.
    evaluations, settled
        See :class:`~ase_l2h.search.limits.Limits`.
    seed
        Everything random follows from it.
    **options
        See :func:`~ase_l2h.ase_adapter.front.search`.

    Returns
    -------
    dict
        ``energy``, ``symbols``, ``positions`` of the lowest minimum; the energies and
        counts of all ``minima``; ``how_sure``, ``settled``, ``stopped``; ``method``,
        ``seed``, ``charged_evaluations`` and ``version``.

    Raises
    ------
    InputError
        For what cannot be searched; the sentence says what to do.
    """
    if calculator is not None and not isinstance(atoms, str):
        atoms = atoms.copy()
        atoms.calc = calculator()
    limits = Limits(evaluations=evaluations, settled=settled)
    result = search(atoms, limits=limits, seed=seed, **options)
    best = result.best
    return {
        "energy": None if best is None else best.energy,
        "symbols": list(result.problem.symbols),
        "positions": None if best is None else best.positions.tolist(),
        "minima": [
            {"energy": minimum.energy, "count": minimum.count}
            for minimum in result.minima
        ],
        "how_sure": str(result.confidence),
        "settled": bool(result.confidence.settled),
        "stopped": result.stopped,
        "method": result.method,
        "seed": result.seed,
        "charged_evaluations": int(result.charged_evaluations),
        "version": version("ase_l2h"),
    }
