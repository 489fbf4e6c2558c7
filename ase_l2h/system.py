"""What does not move during a search: species, periodic cell, fixed atoms, units.

Arrays are component first and batch last: positions are ``(3, n, *batch)``. One
definition then serves one structure (``batch = ()``) and a thousand, and the batch lies
in the vector lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ase_l2h._internal.jax_start import start_jax
from ase_l2h._internal.pytree import pytree_dataclass, replace, static_field
from ase_l2h.errors import InputError

__all__ = [
    "ENDLESS",
    "MAX_ATOMS",
    "System",
    "make_system",
    "periodic_images",
    "take_batch",
    "with_open_directions",
]

# A float, or one value per structure of the batch.
Scale = Any
# All pairs are taken into account, and their number grows with the square.
MAX_ATOMS = 2000
# Beyond it, a cell is a mistake: one silicon atom in its primitive cell has 125.
MAX_IMAGES = 5000
# In bond lengths; some hundred atoms fill a cell of ten.
WIDEST = 1000
# Length of a lattice vector that leads nowhere: no two atoms are half as far apart, so
# that their nearest image along it is the atom itself.
ENDLESS = 1e9


@pytree_dataclass
class System:
    """Everything a potential and a rule need to know besides positions.

    Build it with :func:`make_system`, which works out the periodic images.

    Parameters
    ----------
    species
        Index of each atom's species in the potential's table, ``(n,)`` or
        ``(n, *batch)``.
    cell
        Lattice vectors as rows, in the units of the positions; None for a free cluster.
        Along directions that are not periodic, ``ENDLESS`` vectors at right angles to
        those that are: whatever looks for nearest images then finds none there.
    images
        Lattice translations (Cartesian rows, the zero vector first) that a pair
        within the *potential's* cutoff can need after the minimum-image wrap.
    feature_images
        The same for the radial features of a learned rule, whose cutoff is longer.
    free
        True for coordinates that may move; None when all may.
    length_scale, energy_scale
        Units in which a rule sees the system: positions / length_scale,
        gradients * length_scale / energy_scale. Scalars or ``(*batch)``.
    atom_scales
        Natural length and energy of each atom's own element over those of the
        composition, minus one; None for one element.
    periodic
        Which lattice vectors of ``cell`` are translations of the structure.
    """

    species: Int[Array | np.ndarray, "n *batch"]
    cell: Float[Array | np.ndarray, "3 3"] | None = None
    images: Float[Array | np.ndarray, "m 3"] | None = None
    feature_images: Float[Array | np.ndarray, "k 3"] | None = None
    free: Bool[Array | np.ndarray, "3 n"] | None = None
    length_scale: Scale = 1.0
    energy_scale: Scale = 1.0
    atom_scales: Float[Array | np.ndarray, "2 n *batch"] | None = None
    periodic: tuple[bool, bool, bool] = static_field(default=(True, True, True))

    @property
    def n_atoms(self) -> int:
        """Number of atoms of one structure."""
        return self.species.shape[0]

    @property
    def recentred(self) -> bool:
        """Whether the centroid is meaningless and may be moved to the origin."""
        return self.cell is None and self.free is None

    def astype(self, dtype: Any) -> System:
        """The same system with its floating-point leaves in ``dtype``."""

        def cast(leaf: Any) -> Any:
            leaf = jnp.asarray(leaf)
            is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
            return leaf.astype(dtype) if is_float else leaf

        return jax.tree.map(cast, self)


def periodic_images(cell: np.ndarray, cutoff: float) -> np.ndarray:
    """Lattice translations needed to see every neighbour within ``cutoff``.

    Pair displacements are first wrapped to fractional coordinates in [-1/2, 1/2]. Along
    lattice direction k an image n_k is then at least (abs(n_k) - 1/2) h_k away, h_k
    being the distance between opposite cell faces, so abs(n_k) <= cutoff / h_k + 1/2
    suffices for any cell shape.

    Returns
    -------
    numpy.ndarray
        ``(m, 3)`` Cartesian translations, the zero vector first.

    Raises
    ------
    InputError
        When the cell is no three vectors that span a volume, or so small or flat that
        the list would pass ``MAX_IMAGES``.
    """
    cell = np.asarray(cell, dtype=float)
    if cell.shape != (3, 3) or not np.all(np.isfinite(cell)):
        raise InputError("a periodic cell needs three finite lattice vectors as rows")
    faces = [np.cross(cell[(k + 1) % 3], cell[(k + 2) % 3]) for k in range(3)]
    areas = np.linalg.norm(faces, axis=1)
    volume = abs(np.linalg.det(cell))
    if not volume > 1e-9 * np.prod(np.linalg.norm(cell, axis=1)):
        raise InputError(
            "the lattice vectors lie in a plane; give a cell with a volume"
        )
    heights = volume / areas
    reach = np.floor(cutoff / heights + 0.5).astype(int)
    # An image exactly half a cell away is already the wrapped one.
    reach = np.where(cutoff <= heights / 2, 0, reach)
    count = np.prod(2.0 * reach + 1)
    if count > MAX_IMAGES:
        raise InputError(
            f"the cell is too small or too flat: an atom would have {count:.0f} "
            f"images within {cutoff:.4g}, more than {MAX_IMAGES}; repeat it into a "
            "supercell"
        )
    triples = sorted(
        product(*(range(-r, r + 1) for r in reach)),
        key=lambda t: (sum(abs(i) for i in t), t),
    )
    return np.array(triples, dtype=float) @ cell


def with_open_directions(cell: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """A cell whose vectors are endless along the directions that are not periodic.

    Parameters
    ----------
    cell
        Lattice vectors as rows; those of open directions are not looked at.
    periodic
        Which of them are translations of the structure, one at least.

    Raises
    ------
    InputError
        When the periodic ones are no independent, finite vectors.
    """
    rows = np.array(cell, dtype=float)
    kept = rows[list(periodic)]
    if not np.all(np.isfinite(kept)) or np.linalg.matrix_rank(kept) < len(kept):
        raise InputError(
            "the lattice vectors of the periodic directions must be finite and point "
            "in different directions; correct the cell"
        )
    # The rest of an orthonormal basis.
    rest = np.linalg.svd(kept)[2][len(kept) :]
    rows[~np.asarray(periodic)] = ENDLESS * rest
    return rows


def _check_width(cell: np.ndarray, length: float) -> None:
    """Refuse cells so wide that nothing in them can be found."""
    longest = float(np.max(np.abs(cell), initial=0.0))
    if np.isfinite(longest) and longest > WIDEST * length:
        raise InputError(
            f"a lattice vector is {longest:.3g} long, more than {WIDEST:,} bonds; give "
            "a smaller cell, or switch off periodicity"
        )


def make_system(
    species: Sequence[int] | np.ndarray | Array,
    *,
    cell: np.ndarray | None = None,
    periodic: Sequence[bool] = (True, True, True),
    cutoff: float | None = None,
    free: np.ndarray | None = None,
    length_scale: Scale = 1.0,
    energy_scale: Scale = 1.0,
    atom_scales: np.ndarray | None = None,
    feature_cutoff: float = 2.5,
) -> System:
    """Build a ``System``, with the image lists of a periodic cell.

    Parameters
    ----------
    species
        Species index per atom, ``(n,)`` or ``(n, *batch)``.
    cell
        Lattice vectors as rows; None for a free cluster.
    periodic
        Which of them are translations of the structure: of a surface two, of a wire
        one.
    cutoff
        Range of the potential in the units of the positions; required with ``cell``.
    free
        Mask ``(3, n)`` of movable coordinates; None when all may move.
    length_scale, energy_scale, atom_scales
        Units of the rules and of each atom, see ``System``.
    feature_cutoff
        Range of the radial features in units of ``length_scale``.

    Raises
    ------
    InputError
        For no atoms, species that are no indices, a mask of another shape, scales that
        are not positive, a cell without a finite cutoff, or an impossible cell, and
        when JAX does not start.
    RunError
        In a process forked from one that has used JAX.
    """
    start_jax()
    kinds = np.asarray(species)
    if kinds.ndim == 0 or kinds.size == 0:
        raise InputError("a system needs at least one atom; species is empty")
    if not np.issubdtype(kinds.dtype, np.integer) or np.min(kinds) < 0:
        raise InputError("species are indices into a table: integers from 0")
    if free is not None and np.shape(free) != (3, kinds.shape[0]):
        raise InputError(
            f"the mask of movable coordinates has shape {np.shape(free)}; it must be "
            f"(3, {kinds.shape[0]})"
        )
    for name, scale in (("length", length_scale), ("energy", energy_scale)):
        values = np.asarray(scale)
        if not np.all(np.isfinite(values) & (values > 0)):
            raise InputError(f"{name}_scale is {scale}; give a positive number")
    images = feature_images = None
    along = tuple(bool(each) for each in periodic)
    if len(along) != 3:
        raise InputError(f"periodic is {periodic}; give three of True and False")
    if not any(along):
        cell, along = None, (True, True, True)
    if cell is not None:
        if cutoff is None or not np.isfinite(cutoff):
            raise InputError(
                "a periodic system needs a potential with a finite cutoff; give the "
                "potential a cutoff or use a free cluster"
            )
        cell = np.asarray(cell, dtype=float)
        _check_width(cell, float(np.min(np.asarray(length_scale))))
        if not all(along):
            cell = with_open_directions(cell, along)
        images = periodic_images(cell, float(cutoff))
        far = float(np.max(np.asarray(length_scale))) * feature_cutoff
        feature_images = periodic_images(cell, far)
    return System(
        species=jnp.asarray(kinds),
        cell=cell,
        images=images,
        feature_images=feature_images,
        free=None if free is None else np.asarray(free, dtype=bool),
        length_scale=length_scale,
        energy_scale=energy_scale,
        atom_scales=atom_scales,
        periodic=along,
    )


def take_batch(system: System, index: Any) -> System:
    """The system of a part of the batch: leaves with a batch axis are indexed by it."""

    def take(leaf: Any, batch_axis: int) -> Any:
        if leaf is None:
            return None
        return leaf[..., index] if np.ndim(leaf) > batch_axis else leaf

    return replace(
        system,
        species=take(system.species, 1),
        length_scale=take(system.length_scale, 0),
        energy_scale=take(system.energy_scale, 0),
        atom_scales=take(system.atom_scales, 2),
    )
