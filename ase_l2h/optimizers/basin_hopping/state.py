"""What a basin-hopping chain remembers, and its hops from one minimum to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from ase_l2h.errors import InputError
from ase_l2h.optimizers.basin_hopping.groups import apply_where
from ase_l2h.optimizers.basin_hopping.moves import Moves, random_structure
from ase_l2h.optimizers.basin_hopping.restarts import RestartState
from ase_l2h.optimizers.rule_steps import reduced_system
from ase_l2h.rules.base import Rule, RuleState
from ase_l2h.system import System

__all__ = ["SHARING", "HopOptions", "HoppingState", "Verdict", "hop", "restarted"]

Number = float | Float[Array | np.ndarray, ""]
# Of the four keys of a hop, the one for whether its stage is compressed.
SHARING = 3


class HoppingState(NamedTuple):
    """What basin hopping remembers of each structure.

    Energies are in units of the energy scale. ``current_*`` is the minimum the chain is
    in, ``acceptance_bound`` the highest energy that the present hop may end with,
    ``lowest*`` the lowest minimum and the charged evaluations and quenches it took,
    ``reached`` the lowest energy of the present quench, ``looked`` the same when it was
    last looked at.
    ``abandoned`` counts quenches that did not end in a minimum.
    """

    quench: RuleState
    stage: RestartState | None
    keys: UInt32[Array, "2 *batch"]
    current_positions: Float[Array, "3 n *batch"]
    current_energy: Float[Array, "*batch"]
    current_atoms: Float[Array, "n *batch"] | None
    acceptance_bound: Float[Array, "*batch"]
    size: Float[Array, "*batch"]
    compressed: Bool[Array, "*batch"]
    pulling: Bool[Array, "*batch"]
    quench_evaluations: Int[Array, "*batch"]
    reached: Float[Array, "*batch"]
    looked: Float[Array, "*batch"]
    quenches: Int[Array, "*batch"]
    accepted: Int[Array, "*batch"]
    abandoned: Int[Array, "*batch"]
    lately_accepted: Int[Array, "*batch"]
    lowest: Float[Array, "*batch"]
    lowest_evaluations: Int[Array, "*batch"]
    lowest_quenches: Int[Array, "*batch"]


class Verdict(NamedTuple):
    """What becomes of each structure in a step.

    ``ended``: its quench has; ``accepted``: the minimum found is the new current one;
    ``moved``: the next hop starts from the point found, which without any minimum yet
    may be the end of a quench that was given up; ``begins``: a new stage;
    ``returned``: atoms are pulled back into the container and the quench goes on;
    ``hit``: the target is reached.
    """

    ended: Bool[Array, "*batch"]
    accepted: Bool[Array, "*batch"]
    moved: Bool[Array, "*batch"]
    begins: Bool[Array, "*batch"]
    returned: Bool[Array, "*batch"]
    hit: Bool[Array, "*batch"]


class _Found(NamedTuple):
    """What a quench has found, for one structure or a batch."""

    verdict: Verdict
    keys: Array
    quenches: Array
    size: Array
    current_energy: Array
    positions: Array
    atoms: Array | None
    species: Array
    length: Array


class _Chain(NamedTuple):
    """What a hop changes."""

    following: Array
    positions: Array
    atoms: Array | None
    acceptance_bound: Array
    compressed: Array
    pulling: Array


class HopOptions(NamedTuple):
    """How to hop.

    ``share`` of the stages begin their quenches compressed (None: none of them);
    ``reseed``: new stages start from random structures.
    """

    moves: Moves
    temperature: Number
    share: Number | None
    reseed: bool


def hop(
    options: HopOptions,
    following: Float[Array, "3 n *batch"],
    state: HoppingState,
    verdict: Verdict,
    positions: Float[Array, "3 n *batch"],
    atom_energies: Float[Array, "n *batch"] | None,
    system: System,
) -> tuple[Float[Array, "3 n *batch"], HoppingState]:
    """Move the structures whose quench has ended at ``positions``.

    Parameters
    ----------
    options
        How to hop.
    following
        Next points of all structures, returned with those changed that hop.
    state, verdict
        State, counters brought up to date, and what was decided.
    positions, atom_energies
        The points just evaluated.
    system
        Units, species, fixed atoms.
    """
    batch, dtype = positions.shape[2:], positions.dtype
    species = jnp.asarray(system.species)
    if species.ndim == 1:
        species = species.reshape(species.shape + (1,) * len(batch))
    found = _Found(
        verdict=verdict,
        keys=state.keys,
        quenches=state.quenches,
        size=state.size,
        current_energy=state.current_energy,
        positions=positions,
        atoms=None if state.current_atoms is None else atom_energies,
        species=jnp.broadcast_to(species, (species.shape[0], *batch)),
        length=jnp.broadcast_to(jnp.asarray(system.length_scale, dtype), batch),
    )
    chain = _Chain(
        following=following,
        positions=state.current_positions,
        atoms=state.current_atoms,
        acceptance_bound=state.acceptance_bound,
        compressed=state.compressed,
        pulling=state.pulling,
    )
    chain = apply_where(
        verdict.ended | verdict.returned,
        lambda found, chain: _move(options, system, found, chain),
        found,
        chain,
    )
    return chain.following, state._replace(
        current_positions=chain.positions,
        current_atoms=chain.atoms,
        acceptance_bound=chain.acceptance_bound,
        compressed=chain.compressed,
        pulling=chain.pulling,
    )


def _move(options: HopOptions, system: System, found: _Found, chain: _Chain) -> _Chain:
    """The next point of one structure, and what its chain is now."""
    verdict, length, moves = found.verdict, found.length, options.moves
    # Numbers depend on the structure's key and the number of the hop, not on when it
    # comes.
    key = jax.random.wrap_key_data(found.keys, impl="threefry2x32")
    key = jax.random.fold_in(key, found.quenches)
    proposing, seeding, climbing, sharing = jax.random.split(key, 4)
    current = jnp.where(verdict.moved, found.positions, chain.positions)
    atoms = chain.atoms
    if atoms is not None and found.atoms is not None:
        atoms = jnp.where(verdict.moved, found.atoms, atoms)
    reduced = current / length
    proposed = moves.propose(
        proposing, reduced, found.size, atoms, found.species, system
    )
    if options.reseed:
        cell = None if system.cell is None else jnp.asarray(system.cell) / length
        anew = moves.contained(random_structure(seeding, reduced, cell), system)
        proposed = jnp.where(verdict.begins, anew, proposed)
        current = jnp.where(verdict.begins, anew * length, current)
    back = moves.contained(found.positions / length, system)
    proposed = jnp.where(verdict.returned, back, proposed) * length
    if system.free is not None:
        # Not even the rounding of a unit may move a fixed atom.
        proposed = jnp.where(jnp.asarray(system.free), proposed, current)
    climb = jax.random.exponential(climbing, (), proposed.dtype)
    allowed = found.current_energy + options.temperature * climb
    compressed, pulling = chain.compressed, chain.pulling
    if options.share is not None:
        drawn = jax.random.uniform(sharing) < options.share
        compressed = jnp.where(verdict.begins, drawn, compressed)
        pulling = jnp.where(verdict.returned, pulling, compressed)
    return _Chain(
        following=proposed,
        positions=current,
        atoms=atoms,
        acceptance_bound=jnp.where(verdict.returned, chain.acceptance_bound, allowed),
        compressed=compressed,
        pulling=pulling,
    )


def restarted(
    rule: Rule,
    state: RuleState,
    where: Bool[Array, "*batch"],
    system: System,
    positions: Float[Array, "3 n *batch"],
) -> RuleState:
    """The state of a rule that has forgotten everything about some structures.

    Raises
    ------
    InputError
        For a rule whose memory is not kept structure by structure.
    """
    own = getattr(rule, "restarted", None)
    if own is not None:
        return own(state, where)
    length = jnp.asarray(system.length_scale, positions.dtype)
    fresh = rule.init(reduced_system(system), positions / length)

    def choose(new: Any, old: Any) -> Array:
        if jnp.shape(old)[jnp.ndim(old) - where.ndim :] != where.shape:
            raise InputError(
                f"{type(rule).__name__} cannot quench in basin hopping: its memory is "
                "shared by the structures of a batch, which start their quenches at "
                "different times"
            )
        return jnp.where(where, new, old)

    return jax.tree.map(choose, fresh, state)
