"""Restarts of a basin-hopping chain: when it has stalled, and what it avoids then.

The rules are those of GMIN's keywords NEWRESTART and AVOID, with one difference: minima
are told apart by their energies, not by the distance of the structures.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass, static_field

__all__ = ["RestartState", "Restarts"]

Number = float | Float[Array | np.ndarray, ""]
Count = int | Int[Array | np.ndarray, ""]


class RestartState(NamedTuple):
    """Lowest minimum of the stage, hops since it fell, lowest minima of earlier ones.

    Energies are in units of the energy scale. ``begun`` counts the stages after the
    first.
    """

    lowest: Float[Array, "*batch"]
    stalled: Int[Array, "*batch"]
    known: Float[Array, "k *batch"]
    begun: Int[Array, "*batch"]


@pytree_dataclass
class Restarts:
    """A chain that has stalled begins a new stage.

    Parameters
    ----------
    stall
        A stage ends when ``stall`` hops in a row have not found a new lowest minimum,
        with the next hop that does not either; that hop is rejected.
    same
        Energies so close (energy scales) belong to the same minimum.
    reseed
        A new stage starts from a random structure, and any minimum is accepted there;
        False: the chain goes on from where it is. Systems with fixed atoms go on.
    n_known
        Number of lowest minima of earlier stages that are remembered, the latest. A
        hop that finds one of them as the lowest minimum of its stage is rejected; with
        ``reseed`` a new stage begins.
    """

    stall: Count = 40
    same: Number = 0.003
    reseed: bool = static_field(default=False)
    n_known: int = static_field(default=0)

    def init(self, like: Float[Array, "*batch"]) -> RestartState:
        """Nothing found."""
        none = jnp.zeros(like.shape, jnp.int32)
        return RestartState(
            lowest=jnp.full_like(like, jnp.inf),
            stalled=none,
            known=jnp.full((self.n_known, *like.shape), jnp.inf, like.dtype),
            begun=none,
        )

    def update(
        self,
        state: RestartState,
        energy: Float[Array, "*batch"],
        ended: Bool[Array, "*batch"],
        found: Bool[Array, "*batch"],
        reseed: bool,
    ) -> tuple[Bool[Array, "*batch"], Bool[Array, "*batch"], RestartState]:
        """Take note of the quenches that have ended.

        Parameters
        ----------
        state, energy
            Energies in units of the energy scale.
        ended, found
            Where a quench has ended, and where it ended in a minimum.
        reseed
            Whether new stages start from random structures.

        Returns
        -------
        rejected
            Where the chain must not accept the minimum.
        begins
            Where a new stage begins.
        state
            After it.
        """
        fell = found & (energy < state.lowest - self.same)
        lowest = jnp.where(found, jnp.minimum(energy, state.lowest), state.lowest)
        stalled = jnp.where(fell, 0, state.stalled + ended.astype(jnp.int32))
        avoided = fell & self._listed(energy, state.known)
        stuck = ended & (stalled > self.stall)
        known = state.known
        if self.n_known:
            longer = jnp.concatenate([known[1:], lowest[None]])
            new = stuck & ~self._listed(lowest, known)
            known = jnp.where(new, longer, known)
        begins = stuck | avoided if reseed else stuck
        first = jnp.where(found & (not reseed), energy, jnp.inf)
        return (
            stuck | avoided,
            begins,
            RestartState(
                lowest=jnp.where(begins, first, lowest),
                stalled=jnp.where(begins, 0, stalled),
                known=known,
                begun=state.begun + begins.astype(jnp.int32),
            ),
        )

    def _listed(
        self, energy: Float[Array, "*batch"], known: Float[Array, "k *batch"]
    ) -> Bool[Array, "*batch"]:
        return jnp.any(jnp.abs(energy - known) < self.same, axis=0)
