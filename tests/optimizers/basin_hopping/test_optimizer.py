"""Basin hopping: what is accepted, what it costs, and what it does not depend on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import pytree_dataclass, replace
from ase_l2h.optimizers import (
    BasinHopping,
    Compression,
    Moves,
    Restarts,
    RuleOptimizer,
    paper_basin_hopping,
)
from ase_l2h.optimizers.basin_hopping.moves import packed_radius
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout import Rollout, quench
from ase_l2h.rules import Adam
from ase_l2h.rules.base import Observation
from ase_l2h.rules.learned import EquivariantRule
from ase_l2h.starts.random import make_starts
from ase_l2h.system import make_system, take_batch
from ase_l2h.targets import named_target

LJ7 = named_target("LJ7")
LENGTH = float(np.asarray(LJ7.system.length_scale))
# LJ7 has four minima: its energies tell them apart.
MINIMA = np.array([-16.505384, -15.935043, -15.593211, -15.533060])
COUNT = 16
NEVER = 10**6
# Every option is there, so one compiled program serves most tests; these numbers have
# no effect.
PLAIN = BasinHopping(
    moves=Moves(size=0.4, surface=0.0),
    acceptance=0.5,
    restarts=Restarts(stall=NEVER, reseed=True, n_known=2),
    compression=Compression(share=0.0),
    abandon=1e30,
    temperature=0.5,
    # Above the default: single precision reaches it from everywhere.
    fmax_lowest=0.01,
)
FIELDS = (
    *("positions", "energy", "force", "evaluations", "active"),
    *("inner.current_positions", "inner.current_energy", "inner.acceptance_bound"),
    *("inner.quenches", "inner.accepted", "inner.abandoned", "inner.size"),
    *("inner.quench_evaluations", "inner.lowest", "inner.lowest_evaluations"),
    *("inner.lowest_quenches", "inner.stage.begun", "inner.stage.stalled"),
)


def starts(seed: int = 1) -> np.ndarray:
    return make_starts(LJ7.system, seed, 0, COUNT)


def run(optimizer: Any, seed: int = 1, positions: Any = None) -> Rollout:
    positions = starts(seed) if positions is None else positions
    return Rollout(
        optimizer,
        LJ7.potential,
        LJ7.system,
        positions,
        jax.random.key(seed),
        size=COUNT,
    )


def trace(optimizer: Any, steps: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Fields of the state before each step, and after the last: ``(steps + 1, ...)``.

    ``ended`` (steps, batch) says in which steps a quench ended.
    """
    rollout = run(optimizer, seed)
    wanted = [f for f in FIELDS if "stage" not in f or optimizer.restarts is not None]
    rows = [[rollout.gather(field) for field in wanted]]
    for _ in range(steps):
        rollout.advance(1)
        rows.append([rollout.gather(field) for field in wanted])
    found = {
        field.split(".")[-1]: np.stack([row[k] for row in rows])
        for k, field in enumerate(wanted)
    }
    found["ended"] = np.diff(found["quenches"], axis=0) > 0
    return found


@pytest.fixture(scope="module")
def plain() -> dict[str, np.ndarray]:
    return trace(PLAIN, 600)


def test_every_step_is_one_charged_evaluation(plain):
    """So are the failed, the rejected and the unfinished: nothing is for free."""
    steps = np.broadcast_to(np.arange(601)[:, None], (601, COUNT))
    np.testing.assert_array_equal(plain["evaluations"], steps)
    ends = np.where(plain["ended"], plain["quench_evaluations"][:-1] + 1, 0)
    in_progress = plain["quench_evaluations"][-1]
    np.testing.assert_array_equal(ends.sum(axis=0) + in_progress, 600)
    assert plain["quenches"][-1].min() >= 5


@pytest.mark.parametrize("optimizer", [PLAIN, paper_basin_hopping()])
def test_a_step_evaluates_the_potential_once(optimizer):
    calls = []

    class Counting(LennardJones):
        """Counts how often a step is going to evaluate it."""

        def energy_and_gradient(self, positions: Any, system: Any) -> Any:
            """Count."""
            calls.append(positions.shape)
            return super().energy_and_gradient(positions, system)

    pytree_dataclass(Counting)
    potential, key = Counting(), jax.random.key(0)
    positions = jnp.asarray(starts())
    state = optimizer.init(key, positions, LJ7.system, potential)
    calls.clear()
    jax.eval_shape(lambda s: optimizer.step(key, s, LJ7.system, potential), state)
    assert calls == [(3, 7, COUNT)]


def test_quenches_end_in_minima(plain):
    """Where forces are small, and but for a saddle at one of the four minima."""
    ended = plain["ended"]
    energy, force = plain["energy"][1:][ended], plain["force"][1:][ended] * LENGTH
    below = energy < plain["lowest"][:-1][ended]
    assert np.all(force < np.where(below, PLAIN.fmax_lowest, PLAIN.fmax))
    away = np.min(np.abs(MINIMA[:, None] - energy), axis=0)
    assert np.mean(away < 5e-3) > 0.95
    assert not plain["abandoned"][-1].any()


def test_hops_are_accepted_below_the_ceiling_and_nowhere_else(plain):
    """Metropolis: the bound is drawn before the hop, T times an exponential above."""
    ended = plain["ended"]
    energy, acceptance_bound = plain["energy"][1:], plain["acceptance_bound"][:-1]
    accepted = np.diff(plain["accepted"], axis=0) > 0
    np.testing.assert_array_equal(accepted, ended & (energy <= acceptance_bound))
    rejected = ended & ~accepted
    assert accepted.sum() > 30
    assert rejected.sum() > 30
    np.testing.assert_allclose(
        plain["current_energy"][1:][accepted], energy[accepted], rtol=1e-6
    )
    stayed = plain["current_energy"][:-1][rejected]
    np.testing.assert_array_equal(plain["current_energy"][1:][rejected], stayed)
    # A rejected minimum leaves no trace: the next kick starts from the old one.
    before, after = (
        np.moveaxis(plain["current_positions"][k], -1, 1)[rejected]
        for k in (slice(None, -1), slice(1, None))
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.3, 1.7])
def test_a_climb_is_accepted_with_boltzmanns_probability(temperature):
    """P(climb >= d) = exp(-d / T) is an exponential of mean T: five standard errors."""
    walk = trace(replace(PLAIN, temperature=temperature), 300)
    ended = walk["ended"]
    climbs = walk["acceptance_bound"][1:][ended] - walk["current_energy"][1:][ended]
    assert climbs.size > 80
    assert climbs.min() >= 0
    error = 5 * temperature / climbs.size**0.5
    np.testing.assert_allclose(climbs.mean(), temperature, atol=error)
    share = np.exp(-1.0)
    np.testing.assert_allclose(
        (climbs > temperature).mean(), share, atol=5 * (share / climbs.size) ** 0.5
    )


@pytest.mark.slow
def test_at_zero_temperature_a_chain_never_climbs():
    walk = trace(replace(PLAIN, temperature=0.0), 400)
    current = walk["current_energy"]
    first = np.isfinite(current)
    assert np.all(np.diff(np.where(first, current, 1e3), axis=0) <= 0)
    assert np.ptp(current[-1]) < 1.0


def test_the_lowest_minimum_is_remembered_with_its_cost(plain):
    energies = np.where(plain["ended"], plain["energy"][1:], np.inf)
    np.testing.assert_array_equal(plain["lowest"][-1], energies.min(axis=0))
    step = energies.argmin(axis=0)
    np.testing.assert_array_equal(plain["lowest_evaluations"][-1], step + 1)
    number = np.take_along_axis(plain["quenches"], step[None] + 1, axis=0)[0]
    np.testing.assert_array_equal(plain["lowest_quenches"][-1], number)


def test_the_kick_adapts_to_the_share_of_accepted_hops():
    """By 5 % after every 50 quenches, towards the share that is asked for."""
    for wanted, power in ((0.0, 1), (1.0, -1)):
        rollout = run(replace(PLAIN, acceptance=wanted))
        rollout.advance(4500)
        quenches, size = rollout.gather("inner.quenches"), rollout.gather("inner.size")
        assert quenches.min() >= 50
        expected = 0.4 * 1.05 ** (power * (quenches // 50))
        np.testing.assert_allclose(size, expected, rtol=1e-5)


def test_a_structure_does_not_depend_on_the_rest_of_the_batch():
    """Neither on what others are nor on when they hop: to the last bit."""
    alone, mixed = starts(1), starts(2)
    mixed[..., :3] = alone[..., :3]
    first, second = run(PLAIN), run(PLAIN, positions=mixed)
    for rollout in (first, second):
        rollout.advance(500)
    for field in ("positions", "energy", "inner.quenches", "inner.acceptance_bound"):
        a, b = first.gather(field), second.gather(field)
        np.testing.assert_array_equal(a[..., :3], b[..., :3])
        assert not np.array_equal(a, b)


def test_a_search_in_pieces_is_the_same_search():
    """Cut anywhere, or stored and restored: to the last bit."""
    whole, pieces = run(PLAIN), run(PLAIN)
    whole.advance(400)
    for steps in (1, 60, 139):
        pieces.advance(steps)
    restored = run(PLAIN, seed=9)
    restored.restore(pieces.leaves(), pieces.steps)
    restored.advance(200)
    for a, b in zip(whole.leaves(), restored.leaves(), strict=True):
        if not jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(a, b)


def test_a_chain_stops_at_its_target_and_is_charged_no_more():
    target = float(MINIMA[0])
    walk = trace(replace(PLAIN, target_energy=target, hit=1e-3), 600)
    active, energy = walk["active"], walk["energy"]
    done = ~active[-1]
    assert done.sum() >= COUNT // 2
    np.testing.assert_array_equal(walk["evaluations"][-1], active[:-1].sum(axis=0))
    assert np.all(np.abs(energy[-1, done] - target) < 1e-3)
    still = np.moveaxis(walk["positions"], -1, 1)
    for structure in np.flatnonzero(done):
        last = int(walk["evaluations"][-1, structure])
        np.testing.assert_array_equal(still[last, structure], still[-1, structure])
        # The quench that met it is the first to come so low.
        assert walk["ended"][last - 1, structure]
        assert np.all(
            energy[1:last, structure][walk["ended"][: last - 1, structure]]
            > target + 1e-3
        )


def test_no_atom_of_a_minimum_is_outside_the_container():
    """With kicks that scatter the cluster; without them nothing would be tested."""
    wild = replace(PLAIN, moves=replace(PLAIN.moves, size=2.5, container=0.6))
    rollout = run(replace(wild, acceptance=0.0))
    rollout.advance(2000)
    positions = rollout.gather("inner.current_positions") / LENGTH
    found = rollout.gather("inner.accepted") > 0
    assert found.sum() > COUNT // 2
    far = np.linalg.norm(positions[..., found], axis=0).max(axis=0)
    assert np.all(far <= packed_radius(7) + 0.6 + 1e-4)


@pytest.mark.slow
def test_a_chain_that_stalls_begins_anew_somewhere_else():
    walk = trace(
        replace(PLAIN, restarts=Restarts(stall=2, reseed=True, n_known=2)), 450
    )
    begun = np.diff(walk["begun"], axis=0) > 0
    assert begun.sum() > COUNT
    assert np.all(walk["ended"][begun])
    # The chain has left its minimum: whatever is found first is accepted.
    assert np.all(np.isinf(walk["current_energy"][1:][begun]))
    assert np.all(np.isinf(walk["acceptance_bound"][1:][begun]))
    # A random structure in a ball, not a kick of 0.4.
    fresh = np.moveaxis(walk["positions"][1:], -1, 1)[begun] / LENGTH
    assert np.linalg.norm(fresh, axis=1).max() < 2 * packed_radius(7)
    last = np.moveaxis(walk["positions"][:-1], -1, 1)[begun] / LENGTH
    assert np.sqrt(np.mean((fresh - last) ** 2)) > 0.5
    assert walk["stalled"].max() <= 3


def test_a_chain_that_holds_nothing_goes_on_from_where_a_quench_was_given_up():
    """It would begin again and again with a structure that no quench can relax."""
    gentle = Moves(size=0.1, surface=0.0)
    walk = trace(replace(PLAIN, max_quench=20, moves=gentle), 160)
    nothing = np.isinf(walk["current_energy"][1:])
    given_up = walk["ended"] & nothing
    assert given_up[19].any()
    assert given_up[20:].any()
    point = walk["positions"][:-1].transpose(0, 3, 1, 2)[given_up]
    held = walk["current_positions"][1:].transpose(0, 3, 1, 2)[given_up]
    np.testing.assert_array_equal(held, point)
    # Once there is a minimum, what is given up is left.
    assert np.sum(walk["ended"] & ~nothing) > COUNT
    lowest = np.minimum.accumulate(walk["lowest"], axis=0)[-1]
    assert np.isfinite(lowest).mean() > 0.8


@pytest.mark.slow
def test_abandoned_quenches_would_nearly_all_have_been_rejected():
    """Relaxed to the end: of what Metropolis would accept, one in ten is lost at most.

    In return quenches that end too high cost less.
    """
    eager = replace(PLAIN, abandon=10.0, temperature=0.3)
    walk = trace(eager, 1200)
    dropped = np.diff(walk["abandoned"], axis=0) > 0
    assert dropped.sum() > 5
    np.testing.assert_array_equal(walk["quench_evaluations"][:-1][dropped] % 10, 9)
    # Given up above the acceptance_bound, and not accepted.
    acceptance_bound = walk["acceptance_bound"][:-1][dropped]
    assert np.all(walk["energy"][1:][dropped] > acceptance_bound)
    accepted = np.diff(walk["accepted"], axis=0) > 0
    assert not np.any(dropped & accepted)
    points = np.moveaxis(walk["positions"][:-1], -1, 1)[dropped]
    relaxed = quench(LJ7.potential, LJ7.system, np.moveaxis(points, 0, -1))
    lost = np.sum(relaxed.energy <= acceptance_bound)
    assert lost < 0.1 * (accepted.sum() + lost)
    patient = replace(eager, abandon=1e30)
    costs = []
    for optimizer in (eager, patient):
        rollout = run(optimizer)
        rollout.advance(1200)
        quenches = rollout.gather("inner.quenches").sum()
        costs.append(rollout.gather("evaluations").sum() / quenches)
    assert costs[0] < costs[1]


@pytest.mark.slow
def test_compression_pulls_first_and_ends_in_minima_of_the_energy_alone():
    walk = trace(replace(PLAIN, compression=Compression(strength=40.0, share=1.0)), 400)
    energy = walk["energy"][1:][walk["ended"]]
    away = np.min(np.abs(MINIMA[:, None] - energy), axis=0)
    assert np.mean(away < 5e-3) > 0.95
    # The pulled phase makes clusters smaller than any minimum is.
    radius = np.sqrt(np.mean(np.sum(walk["positions"] ** 2, axis=1), axis=1)) / LENGTH
    minimal = walk["positions"][:-1][..., :]
    ends = np.sqrt(np.mean(np.sum(minimal**2, axis=1), axis=1))[walk["ended"]] / LENGTH
    assert radius.min() < 0.95 * ends.min()


def test_the_pull_is_the_gradient_of_what_it_adds(x64, rng):
    positions = jnp.asarray(rng.normal(size=(3, 5, 2)) + 4.0)
    zero = jnp.zeros(2)
    seen = Observation(positions, jnp.zeros_like(positions), zero, None, LJ7.system)
    compression = Compression(strength=3.0, fmax=1e-9)
    pulling = jnp.asarray([True, False])

    def total(points: Any) -> Any:
        return compression.pulled(seen._replace(positions=points), pulling)[0].energy[0]

    pulled, still = compression.pulled(seen, pulling)
    away = positions - positions.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(total(positions), 3 * jnp.sum(away[..., 0] ** 2))
    np.testing.assert_allclose(
        jax.grad(total)(positions)[..., 0], pulled.gradient[..., 0], rtol=1e-10
    )
    np.testing.assert_array_equal(pulled.gradient[..., 1], 0)
    assert still.tolist() == [True, False]
    # Once the forces are small it ends, for good.
    gentle = Compression(strength=3.0, fmax=1e3)
    released, still = gentle.pulled(seen, pulling)
    assert still.tolist() == [False, False]
    np.testing.assert_array_equal(released.gradient, 0)


PAPER_STEPS = 60


@pytest.fixture(scope="module")
def paper() -> dict[str, np.ndarray]:
    return trace(paper_basin_hopping(sigma=0.3, steps=PAPER_STEPS), 6 * PAPER_STEPS)


def test_the_papers_defaults_are_those_of_its_appendix():
    """C.2: 5000 steps of Adam at 1e-2, step size from 0.2, 0.4, 0.6, 0.8."""
    paper = paper_basin_hopping()
    assert isinstance(paper.quench, Adam)
    assert paper.quench.rate == 0.01
    assert paper.max_quench == 5000
    assert paper.fixed_length
    assert (paper.moves.kick, paper.moves.size) == ("gaussian", 0.2)
    assert paper.temperature == 0
    extras = (paper.restarts, paper.compression, paper.abandon, paper.acceptance)
    assert extras == (None,) * 4
    moves = paper.moves
    assert (moves.surface, moves.swap, moves.container) == (None,) * 3


def test_the_papers_quenches_take_their_steps_whatever_happens(paper):
    step = np.flatnonzero(paper["ended"].all(axis=1)) + 1
    assert step.tolist() == [PAPER_STEPS * k for k in range(1, 7)]
    assert paper["ended"].sum() == 6 * COUNT
    # Not converged: these are ends of a schedule, not minima.
    assert paper["force"][step].max() * LENGTH > 0.1
    assert not paper["abandoned"].any()


def test_the_papers_quenches_are_adam_from_scratch(paper):
    """Also after a kick: its averages and its bias correction begin anew."""
    for hop in (0, 3):
        first = paper["positions"][hop * PAPER_STEPS]
        adam = run(RuleOptimizer(Adam(rate=0.01)), positions=first)
        adam.advance(PAPER_STEPS - 1)
        np.testing.assert_allclose(
            paper["positions"][(hop + 1) * PAPER_STEPS - 1],
            adam.gather("positions"),
            rtol=0,
            atol=1e-4,
        )


def test_the_paper_accepts_improvements_and_reverts_otherwise(paper):
    ends = PAPER_STEPS * np.arange(1, 7)
    energy, current = paper["energy"][ends], paper["current_energy"][ends]
    np.testing.assert_allclose(
        current, np.minimum.accumulate(energy, axis=0), rtol=1e-6
    )
    assert np.any(energy > current + 0.1)
    # Gaussian kicks of every coordinate of the accepted minimum; the centroid stays.
    kicks = (paper["positions"][ends] - paper["current_positions"][ends]) / LENGTH
    kicks = kicks - kicks.mean(axis=2, keepdims=True)
    count = kicks.size * 6 / 7
    spread = np.sqrt(np.sum(kicks**2) / count)
    np.testing.assert_allclose(spread, 0.3, rtol=4 / np.sqrt(2 * count))
    kurtosis = np.mean(kicks**4) / np.mean(kicks**2) ** 2
    np.testing.assert_allclose(kurtosis, 3.0, atol=4 * np.sqrt(24 / kicks.size))


@pytest.mark.slow
def test_fixed_atoms_stay_to_the_last_bit():
    """On the way, in hops and in new stages, which then start from where they are."""
    free = np.ones((3, 7), bool)
    free[:, :2] = False
    system = make_system(np.zeros(7, int), length_scale=LENGTH, free=free)
    positions = starts()
    rollout = Rollout(
        replace(PLAIN, restarts=Restarts(stall=1, reseed=True, n_known=2)),
        LJ7.potential,
        system,
        positions,
        jax.random.key(1),
    )
    rollout.advance(400)
    # Atoms fixed far from the others are reached late.
    assert np.median(rollout.gather("inner.quenches")) > 2
    for field in ("positions", "inner.current_positions", "best_positions"):
        found = rollout.gather(field)
        np.testing.assert_array_equal(found[:, :2], positions[:, :2].astype(np.float32))
        moved = np.max(np.abs(found - positions), axis=(0, 1))
        assert np.mean(moved > 1e-2) > 0.5


def test_a_target_is_met_as_closely_as_single_precision_can_tell():
    system = take_batch(LJ7.system, np.arange(2))
    aimed = PLAIN.towards(-173.928427, system)
    assert aimed.target_energy == -173.928427
    assert 1e-4 < aimed.hit < 3e-4


def test_what_cannot_hop_is_refused_with_a_sentence():
    key, positions = jax.random.key(0), jnp.asarray(starts())

    @pytree_dataclass
    class Total(LennardJones):
        """Tells the energy of the whole only."""

        def energy_and_gradient(self, positions: Any, system: Any) -> Any:
            """Without the energies of the atoms."""
            value = super().energy_and_gradient(positions, system)
            return value._replace(atom_energies=None)

    with pytest.raises(ValueError, match=r"leave them out: Moves\(surface=None\)"):
        PLAIN.init(key, positions, LJ7.system, Total())
    learned = BasinHopping(quench=EquivariantRule.create(key))
    state = learned.init(key, positions, LJ7.system, LennardJones())
    with pytest.raises(ValueError, match="EquivariantRule cannot quench in basin"):
        jax.eval_shape(
            lambda s: learned.step(key, s, LJ7.system, LennardJones()), state
        )
