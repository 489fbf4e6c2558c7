"""What a search minimises, what may move in it, and what the user already has."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ase_l2h._internal.arguments import check_fixed, check_reach
from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.jax_md import checked_function
from ase_l2h.search.first_call import FirstCall
from ase_l2h.search.images import CONTACT, images_apart
from ase_l2h.search.molecules import Molecules
from ase_l2h.starts.region import Box, Region, derived_region, room
from ase_l2h.system import System, make_system
from ase_l2h.targets import Target, named_target

__all__ = ["HIT", "Measure", "Problem"]

# A target counts as reached within this many energy scales.
HIT = 1e-4
# Along an open direction the cell ends this many bond lengths beyond the atoms, plus
# this many times the thickness that all atoms would fill.
BEYOND, LAYERS = 10.0, 3.0

# Positions (3, n) to energy and gradient (3, n), in double precision.
Measure = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """An energy to be minimised over the positions of given atoms.

    Parameters
    ----------
    potential
        What acts between the atoms; None where only ``measure`` knows.
    system
        Species ``(n,)``, cell, mask of what may move, units.
    given
        Structures that the user has, ``(3, n, m)``; every method begins with them.
    name
        For tables and files.
    symbols
        Chemical symbol of each atom; empty where nobody has told.
    reference
        Energy of the lowest known minimum, or None.
    measure
        One calculator call: positions ``(3, n)`` to energy and gradient ``(3, n)``.
    fmax
        Largest force on an atom of a reported minimum, in the units of the problem;
        None for 1e-6 reduced units, or 5e-3 where each evaluation is a call.
    region
        Where atoms are placed anew, and where vacant sites are looked for; derived from
        the fixed atoms when None. Free atoms that lie elsewhere begin where they are.
    common_force
        The unit of forces where problems that share batches must agree on one.
    radii
        Size of each atom ``(n,)``; pairs are kept apart by a share of their sum where
        each evaluation is a call. None keeps none apart.
    first
        A call that was made already; what the search has if all others fail.
    molecules
        Bonds that last: what has others is no result. None where any bonds do.
    identity
        What tells two problems apart that are not known to ``potential``; JSON-able.
    guessed
        Whether nobody knows the length of a bond.
    periods
        Lattice vectors ``(k, 3)`` of the cell that a cluster was given in; no result
        touches its images. None without a cell.

    Raises
    ------
    InputError
        When there is nothing to minimise, structures of another shape are given, or no
        free atom lies in the region.
    """

    potential: Potential | None
    system: System
    # None becomes an empty array.
    given: np.ndarray = None  # type: ignore[assignment]
    name: str = "structure"
    symbols: tuple[str, ...] = ()
    reference: float | None = None
    measure: Measure | None = None
    fmax: float | None = None
    region: Box | None = None
    common_force: float | None = None
    radii: np.ndarray | None = None
    first: FirstCall | None = None
    molecules: Molecules | None = None
    identity: Any = None
    guessed: bool = False
    periods: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.potential is None) == (self.measure is None):
            raise InputError("a problem takes one of potential and calculator")
        nothing = np.zeros((3, self.n_atoms, 0))
        given = np.array(nothing if self.given is None else self.given, np.float64)
        given = given[..., None] if given.ndim == 2 else given
        if given.ndim != 3 or given.shape[:2] != (3, self.n_atoms):
            raise InputError(
                f"structures of shape {given.shape} are given; give (3, "
                f"{self.n_atoms}, m)"
            )
        if not np.all(np.isfinite(given)):
            raise InputError("a given structure contains non-finite positions")
        check_reach(given, self.length)
        if self.system.free is not None:
            check_fixed(given, np.asarray(self.system.free))
        if self.system.recentred:
            given = given - np.mean(given, axis=1, keepdims=True)
        given.flags.writeable = False
        object.__setattr__(self, "given", given)
        if self.region is None:
            return
        if self.system.recentred:
            raise InputError(
                "a free cluster has no fixed place, so it takes no region; fix "
                "atoms, or make directions periodic"
            )
        if not np.any(self.placed):
            raise InputError(
                "no free atom lies in the region; move the atoms to be placed into "
                "it, or give another region"
            )

    @classmethod
    def of(cls, target: Target | str, parameters: str | None = None) -> Problem:
        """The problem that a target, or its name such as ``"LJ38"``, stands for.

        Raises
        ------
        InputError
            For a name that is no target.
        """
        if isinstance(target, str):
            target = named_target(target, parameters)
        return cls(
            target.potential,
            target.system,
            name=target.name,
            symbols=target.symbols,
            reference=target.reference,
        )

    @classmethod
    def from_function(
        cls,
        energy: Callable[..., Any],
        numbers: Sequence[int],
        *,
        length_scale: int | float,
        energy_scale: int | float,
        parameters: Any = None,
        cell: np.ndarray | None = None,
        cutoff: float = float("inf"),
        free: np.ndarray | None = None,
        given: np.ndarray | None = None,
        name: str = "function",
        reference: float | None = None,
    ) -> Problem:
        """The problem of your own JAX energy of positions ``(n, 3)``.

        Parameters
        ----------
        energy
            ``energy(positions, **parameters)`` to a scalar, made of JAX operations.
        numbers
            Atomic number of each atom, ``(n,)``; like atoms are exchangeable.
        length_scale, energy_scale
            A typical distance of neighbours, and a typical strength of one bond, in
            the units of ``energy``: what every method measures its steps in.
        parameters
            Dict of further arguments of ``energy``; new values do not compile anew.
        cell, cutoff
            Lattice vectors as rows and the range of ``energy``, of a periodic cell.
        free
            Mask ``(3, n)`` of movable coordinates; None when all may move.
        given
            Structures to begin with, ``(n, 3)``, or several, ``(m, n, 3)``.
        name, reference
            As for the class.

        Raises
        ------
        InputError
            For numbers that are no atoms, and scales that are not positive.
        """
        kinds = np.asarray(numbers)
        if kinds.ndim != 1 or kinds.size == 0 or np.any(np.mod(kinds, 1)):
            raise InputError("numbers must be one atomic number for each atom")
        _, species = np.unique(kinds.astype(int), return_inverse=True)
        for label, scale in (("length", length_scale), ("energy", energy_scale)):
            if np.ndim(scale) or not 0 < scale < np.inf:
                raise InputError(f"{label}_scale is {scale}; give a positive number")
        structures = np.zeros((3, len(kinds), 0))
        if parameters is not None and not isinstance(parameters, dict):
            raise InputError(
                "parameters must be a dict: the further arguments of energy by name"
            )
        if given is not None:
            structures = np.moveaxis(np.asarray(given, float), (-1, -2), (0, 1))
        return cls(
            checked_function(energy, parameters, len(kinds), cutoff=cutoff),
            make_system(
                species,
                cell=cell,
                cutoff=None if cell is None else cutoff,
                free=free,
                length_scale=float(length_scale),
                energy_scale=float(energy_scale),
            ),
            given=structures,
            name=name,
            reference=reference,
        )

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.system.n_atoms

    @cached_property
    def species(self) -> np.ndarray:
        """Species index of each atom, ``(n,)``, read-only."""
        species = np.array(self.system.species)
        species.flags.writeable = False
        return species

    @cached_property
    def n_species(self) -> int:
        """How many kinds of atoms there are."""
        return len(np.unique(self.species))

    @cached_property
    def length(self) -> float:
        """A bond's length, the unit of lengths."""
        return float(np.asarray(self.system.length_scale))

    @cached_property
    def energy_unit(self) -> float:
        """The unit of energies."""
        return float(np.asarray(self.system.energy_scale))

    def with_length(self, length: float) -> Problem:
        """The problem with another bond length; the unit of forces stays."""
        ratio, radii = length / self.length, self.radii
        scale = np.full_like(np.asarray(self.system.length_scale), length)
        return dataclasses.replace(
            self,
            system=replace(self.system, length_scale=scale),
            radii=None if radii is None else ratio * radii,
            common_force=self.force_unit,
        )

    @property
    def force_unit(self) -> float:
        """The unit of forces."""
        if self.common_force is not None:
            return self.common_force
        return self.energy_unit / self.length

    @cached_property
    def cell(self) -> np.ndarray | None:
        """Lattice vectors as rows; None for a free cluster.

        Along directions that are not periodic they end far beyond the given atoms. So
        within a few bonds of an atom all is as without an end.
        """
        if self.system.cell is None:
            return None
        rows = np.array(self.system.cell, float)
        along = np.asarray(self.system.periodic)
        if all(along):
            return rows
        thick = room(self.n_atoms, rows[along] / self.length)
        for k in np.flatnonzero(~along):
            unit = rows[k] / np.linalg.norm(rows[k])
            heights = np.tensordot(unit, self.given, axes=1)
            extent = np.ptp(heights) if heights.size else 0.0
            rows[k] = unit * (extent + (BEYOND + LAYERS * thick) * self.length)
        return rows

    @cached_property
    def placed(self) -> np.ndarray:
        """Atoms that may be put elsewhere, mask ``(n,)``.

        These are the atoms of which all coordinates may move; if there are none, those
        that may move in a plane. With a given region, only those that lie in it.
        """
        free = self.free
        if free is None:
            mask = np.ones(self.n_atoms, bool)
        else:
            freedom = np.count_nonzero(free, axis=0)
            mask = freedom >= (3 if np.any(freedom == 3) else 2)
        if self.region is not None:
            mask &= self.region.contains(self.given[..., 0].T)
        return mask

    @cached_property
    def sought(self) -> Region:
        """Where :attr:`placed` atoms are sought.

        Raises
        ------
        InputError
            Of free clusters and crystals, which need no region.
        """
        if self.region is not None:
            derived = self._derived() if self.free is not None else None
            normal = None if derived is None else derived.normal
            return Region(self.region, self.region, normal)
        return self._derived()

    def _derived(self) -> Region:
        known = self.given.shape[2] > 0
        return derived_region(
            self.given[..., 0] if known else np.zeros((3, self.n_atoms)),
            self.placed,
            length=self.length,
            cell=self.cell,
            periodic=self.system.periodic,
        )

    @property
    def regional(self) -> bool:
        """Whether atoms are placed in :attr:`sought`, not in a cube or the cell."""
        return (
            self.free is not None
            or self.region is not None
            or not all(self.system.periodic)
        )

    def elsewhere(self, sites: np.ndarray) -> np.ndarray:
        """Mask ``(k,)`` of the sites ``(3, k)`` where no atom may be put."""
        whole = self.sought.whole if self.regional else None
        if whole is None:
            return np.zeros(sites.shape[1], bool)
        return ~whole.contains(sites.T)

    @property
    def free(self) -> np.ndarray | None:
        """Mask ``(3, n)`` of what may move; None when all may."""
        return None if self.system.free is None else np.asarray(self.system.free)

    @property
    def movable(self) -> np.ndarray:
        """Atoms of which all coordinates may move, mask ``(n,)``."""
        free = self.free
        if free is None:
            return np.ones(self.n_atoms, bool)
        return np.asarray(free.all(axis=0))

    def with_fixed(self, positions: np.ndarray) -> np.ndarray:
        """Positions ``(3, n, batch)`` with fixed coordinates exactly where they are."""
        free = self.free
        if free is None:
            return positions
        return np.where(free[..., None], positions, self.given[..., :1])

    def kept(self, positions: np.ndarray) -> np.ndarray:
        """Mask of the structures ``(3, n, batch)`` that may be results."""
        kept = np.ones(positions.shape[2], bool)
        if self.molecules is not None:
            kept &= self.molecules.whole(positions)
        if self.periods is not None:
            kept &= images_apart(positions, self.periods, CONTACT * self.length)
        return kept

    def fingerprint(self) -> dict[str, Any]:
        """What results depend on, JSON-able; it tells two searches apart."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves((self.system, self.potential)):
            array = np.asarray(leaf)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        digest.update(np.ascontiguousarray(self.given).tobytes())
        if self.molecules is not None:
            digest.update(np.asarray(self.molecules.bonds, np.int64).tobytes())
        if self.region is not None:
            digest.update(self.region.corner.tobytes() + self.region.vectors.tobytes())
        kind = type(self.potential).__name__ if self.measure is None else "calculator"
        return {
            "n_atoms": self.n_atoms,
            "potential": kind,
            "numbers_sha256": digest.hexdigest()[:16],
            "identity": self.identity,
        }
