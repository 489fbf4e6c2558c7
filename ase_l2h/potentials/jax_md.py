"""Any JAX energy function as a potential, jax-md's above all.

potential = FunctionPotential(lambda positions: ...)           # positions (n, 3)
potential = from_jax_md("morse", alpha=3.0, r_cutoff=6.0)      # by name, free cluster
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.promotion import own_constants
from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError
from ase_l2h.system import System

__all__ = ["FunctionPotential", "checked_function", "from_jax_md"]


def checked_function(
    function: Callable[..., Any], parameters: dict[str, Any] | None, n: int, **own: Any
) -> FunctionPotential:
    """The potential of a user's function, of ``n`` atoms; ``own`` are its other fields.

    Raises
    ------
    InputError
        Where the function does not take positions ``(n, 3)`` and these parameters, is
        not written in JAX, or returns no scalar.
    """
    positions = jax.ShapeDtypeStruct((n, 3), jnp.float32)
    try:
        # Not every function of NumPy or JAX can be traced by itself.
        with own_constants():
            energy = lambda p: function(p, **(parameters or {}))
            told = jax.eval_shape(energy, positions)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
        raise InputError(
            "energy is not made of JAX operations alone; use jax.numpy instead of "
            "numpy, and no Python numbers of positions"
        ) from None
    except TypeError as error:
        given = ", ".join(["positions", *(parameters or {})])
        raise InputError(f"energy({given}) cannot be called: {error}") from error
    if getattr(told, "shape", None) != ():
        shape = getattr(told, "shape", f"of a {type(told).__name__}")
        raise InputError(
            f"energy returns no scalar for positions {(n, 3)}, but shape {shape}; "
            "return the total energy"
        )
    return FunctionPotential(function, parameters, **own)


@pytree_dataclass
class FunctionPotential:
    """A wrapped energy function ``f(positions, **parameters) -> scalar``.

    Parameters
    ----------
    function
        Takes positions ``(n, 3)`` of one structure and returns its total energy. It may
        close over a jax-md displacement function, and so over a periodic cell; keep one
        function object, since a new one recompiles.
    parameters
        Keyword arguments of ``function``, in the dtype of the positions when called;
        arrays are traced, so changing them does not recompile.
    atom_function
        The same arguments to energies per atom, ``(n,)``; None when only the total is
        known.
    cutoff
        Range in the units of the positions; periodic systems need a finite one.
    """

    function: Callable[..., Any] = static_field()
    parameters: dict[str, Any] | None = None
    atom_function: Callable[..., Any] | None = static_field(default=None)
    cutoff: float = static_field(default=float("inf"))

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"] | None:
        """Energies per atom where ``atom_function`` gives them, else None."""
        if self.atom_function is None:
            return None
        energies = self._over_batch(self.atom_function, positions)
        return jnp.moveaxis(energies, -1, 0)

    def energy(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "*batch"]:
        """The value of ``function``; its failures (``nan``) are passed on as they are.

        jax-md takes two atoms at exactly the same place for one atom: their energy is
        zero and they feel no force.
        """
        if self.atom_function is not None:
            return jnp.sum(self._over_batch(self.atom_function, positions), axis=-1)
        return self._over_batch(self.function, positions)

    def _over_batch(self, function: Callable[..., Any], positions: Array) -> Array:
        """``function`` of every structure, its own axes last: ``(*batch, ...)``."""
        # One dtype throughout, that of the positions.
        parameters = jax.tree.map(
            lambda leaf: _as_dtype(leaf, positions.dtype), self.parameters or {}
        )
        batched = lambda rows: function(rows, **parameters)
        for _ in range(positions.ndim - 2):
            batched = jax.vmap(batched)
        batch_first = jnp.moveaxis(positions, (1, 0), (-2, -1))
        with own_constants():
            return jnp.asarray(batched(batch_first))


def _as_dtype(leaf: Any, dtype: Any) -> Any:
    leaf = jnp.asarray(leaf)
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def from_jax_md(
    energy: str | Callable[..., Any],
    *,
    cell: np.ndarray | None = None,
    cutoff: float = float("inf"),
    **parameters: Any,
) -> FunctionPotential:
    """A potential from one of jax-md's energy functions.

    Parameters
    ----------
    energy
        A function of ``jax_md.energy`` that takes a displacement function first and
        returns an energy function, such as ``gupta_gold55``; or its name.
    cell
        Lattice vectors as rows for a periodic cell; None for a free cluster. jax-md
        sees the nearest image of each atom only.
    cutoff
        Range of the function, needed with ``cell``.
    parameters
        Passed to ``energy``.

    Raises
    ------
    InputError
        When ``jax_md.energy`` has no function of that name, or when the range exceeds
        what the nearest image of a periodic cell covers.
    """
    from jax_md import energy as energies
    from jax_md import space

    if isinstance(energy, str) and not callable(getattr(energies, energy, None)):
        raise InputError(
            f"jax_md.energy has no function {energy!r}; see its documentation for the "
            "names"
        )
    builder: Any = getattr(energies, energy) if isinstance(energy, str) else energy
    if cell is None:
        displacement, _ = space.free()
    else:
        cell = np.asarray(cell, dtype=float)
        heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        if not cutoff <= np.min(heights) / 2:
            raise InputError(
                f"jax-md sees nearest images only, so the cutoff ({cutoff:g}) must not "
                f"exceed half the cell height ({np.min(heights) / 2:g}); repeat the "
                "cell or shorten the cutoff"
            )
        # jax-md keeps lattice vectors in columns.
        displacement, _ = space.periodic_general(
            jnp.asarray(cell.T), fractional_coordinates=False
        )
    return FunctionPotential(builder(displacement, **parameters), cutoff=cutoff)
