r"""Test functions of global optimisation in any number of dimensions.

    Alpine-1     U = sum_i |x_i sin x_i + 0.1 x_i|
    Schaffer F7  U = 1/n sum_{i<n} r_i^(1/2) [1 + sin^2(50 r_i^(1/5))],
                 r_i^2 = x_i^2 + x_{i+1}^2

V. Plevris and G. Solorzano, Data 7, 46 (2022), nos. 7 and 18. A *landscape* is what is
left of a potential when nothing is known of atoms: points ``(d, *batch)`` to values
``(*batch)``. :class:`LandscapePotential` folds its d coordinates into the ``(3, n)`` of
the potentials' contract, so every rule and optimizer that looks at gradients alone runs
on it as it stands; the coordinates that fill up the last column are fixed at zero.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, replace, static_field
from ase_l2h.errors import InputError
from ase_l2h.system import System, make_system

__all__ = [
    "FUNCTIONS",
    "Alpine1",
    "Landscape",
    "LandscapePotential",
    "SchafferF7",
    "SchafferForm",
    "fold",
    "folded_system",
    "shifted_copy",
    "test_function",
    "unfold",
]

SchafferForm = Literal["paper", "plevris", "classic"]
MAX_DIMENSION = 100_000
# sin x = -0.1 first at x = -asin(0.1).
_FIRST_ZERO = float(np.arcsin(0.1))


@runtime_checkable
class Landscape(Protocol):
    """Points to values, in any number of dimensions.

    The box ``[-bound, bound]^d`` is where starts are drawn, not a wall.
    """

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def bound(self) -> float:
        """Half the edge of the box."""
        ...

    def energy(self, points: Float[Array, "d *batch"]) -> Float[Array, "*batch"]:
        """Value of every point, ``+inf`` where there is none."""
        ...


def _checked(dimension: int, bound: float, least: int) -> None:
    if type(dimension) is not int or not least <= dimension <= MAX_DIMENSION:
        raise InputError(
            f"the dimension is {dimension!r}; give a whole number from {least} to "
            f"{MAX_DIMENSION}"
        )
    if not (bound > 0 and np.isfinite(bound)):
        raise InputError(f"the bound of the box is {bound}; give a number above 0")


def _centred(points: Float[Array, "d *batch"], shift: Any) -> Float[Array, "d *batch"]:
    if shift is None:
        return points
    column = jnp.asarray(shift, points.dtype)
    return points - column.reshape((-1,) + (1,) * (points.ndim - 1))


@pytree_dataclass
class Alpine1:
    """Alpine-1: a separable sum of ``|x sin x + 0.1 x|``.

    Between its zeros each term has one maximum and no minimum, so every local minimum
    is global: a coordinate may be 0 or any solution of ``sin x = -0.1``.

    Parameters
    ----------
    dimension
        Number of coordinates.
    shift
        Where the origin of the formula lies, ``(d,)``; None: at 0.
    bound
        Half the edge of the box: 100 in the action paper, 10 in the collection.
    """

    dimension: int = static_field(default=2)
    shift: Float[Array | np.ndarray, " d"] | None = None
    bound: float = static_field(default=100.0)

    def __post_init__(self) -> None:
        _checked(self.dimension, self.bound, 1)

    def energy(self, points: Float[Array, "d *batch"]) -> Float[Array, "*batch"]:
        """The sum over coordinates."""
        x = _centred(points, self.shift)
        return jnp.sum(jnp.abs(x * (jnp.sin(x) + 0.1)), axis=0)

    def nearest_zero(self, points: np.ndarray) -> np.ndarray:
        """The global minimum nearest to each point, ``(d, *batch)``.

        Zeros of a coordinate: 0, ``2 pi k - a`` and ``pi + a + 2 pi k``, a = asin 0.1.
        """
        shift = np.zeros(self.dimension) if self.shift is None else self.shift
        shift = np.asarray(shift, float).reshape((-1,) + (1,) * (np.ndim(points) - 1))
        x = np.asarray(points, float) - shift
        candidates = [np.zeros_like(x)]
        for first in (-_FIRST_ZERO, np.pi + _FIRST_ZERO):
            candidates.append(first + 2 * np.pi * np.round((x - first) / (2 * np.pi)))
        zeros = np.stack(candidates)
        nearest = np.argmin(np.abs(zeros - x), axis=0)
        return np.take_along_axis(zeros, nearest[None], axis=0)[0] + shift


@pytree_dataclass
class SchafferF7:
    """Schaffer's F7 of neighbouring coordinates; its one global minimum is the shift.

    Parameters
    ----------
    dimension
        Number of coordinates, at least 2.
    shift
        The minimum, ``(d,)``; None: at 0.
    form
        ``"paper"``: the action paper's, the sum over n, the number of coordinates;
        ``"plevris"``: the square of the mean over the n - 1 terms; ``"classic"``: the
        plain sum.
    bound
        Half the edge of the box.
    """

    dimension: int = static_field(default=2)
    shift: Float[Array | np.ndarray, " d"] | None = None
    form: SchafferForm = static_field(default="paper")
    bound: float = static_field(default=100.0)

    def __post_init__(self) -> None:
        _checked(self.dimension, self.bound, 2)
        if self.form not in get_args(SchafferForm):
            raise InputError(
                f"Schaffer F7 has no form '{self.form}'; choose one of "
                f"{', '.join(get_args(SchafferForm))}"
            )

    def energy(self, points: Float[Array, "d *batch"]) -> Float[Array, "*batch"]:
        """The sum over neighbouring coordinates; its gradient at the minimum is 0."""
        x = _centred(points, self.shift)
        squared = x[:-1] ** 2 + x[1:] ** 2
        # At the minimum the slope of the root is infinite: both branches stay finite.
        apart = squared > 0
        squared = jnp.where(apart, squared, 1.0)
        terms = squared**0.25 * (1.0 + jnp.sin(50.0 * squared**0.1) ** 2)
        total = jnp.sum(jnp.where(apart, terms, 0.0), axis=0)
        if self.form == "classic":
            return total
        if self.form == "plevris":
            return (total / (self.dimension - 1)) ** 2
        return total / self.dimension


FUNCTIONS: dict[str, Any] = {"alpine1": Alpine1, "schaffer-f7": SchafferF7}


def test_function(name: str, dimension: int) -> Alpine1 | SchafferF7:
    """A test function by its name, as the action paper has it.

    Raises
    ------
    InputError
        For a name that is none, or an impossible dimension.
    """
    if name not in FUNCTIONS:
        raise InputError(
            f"no test function is named '{name}'; choose one of {', '.join(FUNCTIONS)}"
        )
    return FUNCTIONS[name](dimension=dimension)


# pytest would take the name for a test of its own.
test_function.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def shifted_copy(key: Array, landscape: Any, reach: float = 0.5) -> Any:
    """The same function, moved to a random place of the box.

    Parameters
    ----------
    key
        JAX random key.
    landscape
        One of :data:`FUNCTIONS`.
    reach
        Shifts are uniform in ``[-reach, reach]`` times the bound.
    """
    limit = reach * landscape.bound
    shift = jax.random.uniform(key, (landscape.dimension,), minval=-limit, maxval=limit)
    return replace(landscape, shift=shift)


def fold(points: Float[Array, "d *batch"]) -> Float[Array, "3 n *batch"]:
    """Points as positions of ``ceil(d / 3)`` columns, filled up with zeros."""
    d = points.shape[0]
    missing = -d % 3
    padding = [(0, missing)] + [(0, 0)] * (points.ndim - 1)
    return jnp.pad(points, padding).reshape((3, (d + missing) // 3, *points.shape[1:]))


def unfold(
    positions: Float[Array, "3 n *batch"], dimension: int
) -> Float[Array, "d *batch"]:
    """The first ``dimension`` of the coordinates."""
    return positions.reshape((-1, *positions.shape[2:]))[:dimension]


def folded_system(
    dimension: int, length_scale: float = 1.0, energy_scale: float = 1.0
) -> System:
    """The system of a folded landscape: free coordinates, no centroid."""
    # A mask that frees all still says that the origin means something.
    free = np.asarray(fold(jnp.ones(dimension))) > 0
    return make_system(
        np.zeros(free.shape[1], int),
        free=free,
        length_scale=length_scale,
        energy_scale=energy_scale,
    )


@pytree_dataclass
class LandscapePotential:
    """A landscape behind the potentials' contract, for use with :func:`folded_system`.

    Atoms are three coordinates that happen to share a column: what a method does to
    atoms (norms of forces, kicks) it does to triples.
    """

    landscape: Any

    @property
    def cutoff(self) -> float:
        """None: infinite."""
        return float("inf")

    def atom_energies(self, positions: Float[Array, "3 n *batch"], system: System):
        """None: a landscape knows only the total."""
        del positions, system

    def energy(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "*batch"]:
        """The landscape's value."""
        del system
        return self.landscape.energy(unfold(positions, self.landscape.dimension))
