"""Rollouts: blocks, chunks, precision, status, restart."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout import Rollout, Status, quench, relax_rollout, rollout
from ase_l2h.rollout.backends import available_backends, resolve_backend
from ase_l2h.rollout.chunks import chunk_shape
from ase_l2h.rollout.devices import resolve_device
from ase_l2h.rollout.kernels import native
from ase_l2h.rollout.status import BOND, fragmented
from ase_l2h.rules import Adam, GradientDescent, Lbfgs
from ase_l2h.system import make_system, take_batch

KEY = jax.random.key(1)
ADAM = RuleOptimizer(Adam(rate=0.02))
SYSTEM = make_system(np.zeros(7, int), length_scale=2 ** (1 / 6))
FASTEST = "scan" if native.compiler() is None else "native"
FIELDS = (
    "positions",
    "energy",
    "force",
    "best_positions",
    "best_energy",
    "evaluations",
    "status",
)


@pytree_dataclass
class Noise:
    """A rule that walks at random, to see which keys it gets."""

    size: Any = 0.05

    def init(self, system: Any, positions: Any) -> None:
        """No memory."""

    def update(self, key: Any, observation: Any, state: Any) -> Any:
        """Gaussian steps."""
        shape, dtype = observation.positions.shape, observation.positions.dtype
        return self.size * jax.random.normal(key, shape, dtype), None


@pytest.fixture(scope="module")
def starts() -> np.ndarray:
    """Seven atoms at distances near 1, ``(3, 7, 10)`` float32, not converged."""
    rng = np.random.default_rng(4)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    shape = 1.15 * corners[:7].T[:, :, None]
    starts = shape + rng.normal(size=(3, 7, 10), scale=0.08)
    return (starts - starts.mean(axis=1, keepdims=True)).astype(np.float32)


def same_bits(a: Any, b: Any) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


@pytest.mark.parametrize(
    "optimizer", [ADAM, RuleOptimizer(Noise())], ids=["adam", "noise"]
)
def test_cutting_a_run_into_blocks_does_not_change_a_bit(optimizer, starts):
    arguments = (optimizer, LennardJones(), SYSTEM, starts)
    go = lambda block: rollout(
        *arguments, key=KEY, n_steps=30, block=block, chunk=4, backend="scan"
    )
    whole, cut = go(30), go(7)
    same_bits(whole, cut)
    assert whole.trace_steps.tolist() == [30]
    assert cut.trace_steps.tolist() == [7, 14, 21, 28, 30]
    assert cut.trace.shape == (5, 10)
    np.testing.assert_array_equal(cut.trace[-1], whole.trace[-1])


def test_noise_differs_between_steps_chunks_and_structures(starts):
    """One key for each step of each chunk; within it, one draw for each structure."""
    still = np.repeat(starts[..., :1], 8, axis=2)
    free = make_system(np.zeros(7, int), free=np.ones((3, 7), bool))
    run = Rollout(
        RuleOptimizer(Noise()),
        LennardJones(),
        free,
        still,
        KEY,
        chunk=4,
        backend="scan",
    )
    places = [still]
    for _ in range(2):
        run.advance(1)
        places.append(run.gather("positions"))
    steps = np.concatenate(np.diff(places, axis=0), axis=-1)
    assert len(np.unique(np.round(steps[0, 0], 6))) == 16


@pytest.mark.parametrize(
    ("count", "largest", "wanted"),
    [
        (1, 64, (1, 1)),
        (5, 64, (1, 5)),
        (6, 64, (1, 32)),
        (32, 64, (1, 32)),
        (64, 64, (2, 32)),
        (150, 64, (4, 48)),
        (512, 64, (8, 64)),
        (10, 4, (4, 3)),
    ],
)
def test_chunks_are_even_in_number_and_fill_vectors(count, largest, wanted):
    chunks, size = chunk_shape(count, largest)
    assert (chunks, size) == wanted
    assert size <= largest
    assert chunks * size >= count


def test_chunks_change_results_by_rounding_only(starts):
    """Ten structures at once, and in four chunks of three of which one is padded."""
    double = starts.astype(np.float64)
    one, four = (
        rollout(
            ADAM,
            LennardJones(),
            SYSTEM,
            double,
            key=KEY,
            n_steps=25,
            chunk=chunk,
            backend="scan",
        )
        for chunk in (64, 4)
    )
    assert four.positions.shape == (3, 7, 10)
    np.testing.assert_allclose(one.positions, four.positions, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(one.evaluations, four.evaluations)


def test_the_same_chunk_shape_gives_the_same_bits(starts):
    """Whatever else is in the batch, and however far the last chunk is filled."""
    runs = [
        Rollout(
            ADAM,
            LennardJones(),
            SYSTEM,
            starts[..., :count],
            KEY,
            size=3,
            backend="scan",
        )
        for count in (10, 4)
    ]
    for run in runs:
        run.advance(25)
        run.evaluate()
    for name in ("positions", "energy", "best_energy", "evaluations"):
        np.testing.assert_array_equal(
            runs[0].gather(name)[..., :4], runs[1].gather(name)
        )


def test_several_optimizers_take_the_structures_in_turn(starts):
    """Structure i is what it is alone under optimizer i modulo three."""
    rates = (0.01, 0.03, 0.1)
    several = [RuleOptimizer(Adam(rate=rate)) for rate in rates]
    double = starts.astype(np.float64)
    run = Rollout(several, LennardJones(), SYSTEM, double, KEY, chunk=2, backend="scan")
    run.advance(20)
    run.evaluate()
    assert run.status().shape == (10,)
    moved = run.gather("positions")
    for k, rate in enumerate(rates):
        alone = Rollout(
            RuleOptimizer(Adam(rate=rate)), LennardJones(), SYSTEM, double, KEY
        )
        alone.advance(20)
        expected = alone.gather("positions")
        np.testing.assert_allclose(moved[..., k::3], expected[..., k::3], atol=1e-9)
        assert np.max(np.abs(moved - expected)[..., (k + 1) % 3 :: 3]) > 1e-3
    again = Rollout(
        several, LennardJones(), SYSTEM, double, KEY, chunk=2, backend="scan"
    )
    again.restore(run.leaves(), run.steps)
    np.testing.assert_array_equal(again.gather("positions"), moved)
    with pytest.raises(ValueError, match="no optimizer is given"):
        Rollout([], LennardJones(), SYSTEM, double, KEY)


@pytest.mark.parametrize(
    "backend", ["scan", pytest.param("native", marks=pytest.mark.compiler)]
)
def test_a_restored_run_continues_to_the_same_bits(backend, starts, tmp_path):
    new = lambda: Rollout(
        ADAM, LennardJones(), SYSTEM, starts, KEY, chunk=4, backend=backend
    )
    run = new()
    run.advance(9)
    np.savez(tmp_path / "leaves.npz", *run.leaves())
    run.advance(12)
    with np.load(tmp_path / "leaves.npz") as stored:
        leaves = [stored[name] for name in stored.files]
    again = new()
    again.restore(leaves, steps=9)
    again.advance(12)
    assert again.steps == run.steps == 21
    for a, b in zip(run.leaves(), again.leaves(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_state_of_another_run_is_refused(starts):
    run = Rollout(ADAM, LennardJones(), SYSTEM, starts, KEY, chunk=4, backend="scan")
    other = Rollout(
        ADAM, LennardJones(), SYSTEM, starts[..., :4], KEY, chunk=4, backend="scan"
    )
    with pytest.raises(ValueError, match="belongs to another structure"):
        run.restore(other.leaves(), steps=3)
    double = [leaf.astype(np.float64) for leaf in run.leaves()]
    with pytest.raises(ValueError, match="belongs to another structure"):
        run.restore(double, steps=3)


def test_every_status_is_told_from_the_others(starts):
    """Converged, still running, in two pieces, and two atoms at one place."""
    relaxed = quench(LennardJones(), SYSTEM, starts).positions[..., 0]
    pieces, merged = relaxed.copy(), relaxed.copy()
    pieces[:, 0] += 40.0
    merged[:, 0] = merged[:, 1]
    batch = np.stack([relaxed, starts[..., 1], pieces, merged], axis=-1)
    result = rollout(
        RuleOptimizer(GradientDescent(), fmax=1e-4),
        LennardJones(),
        SYSTEM,
        batch,
        key=KEY,
        n_steps=5,
    )
    assert [Status(s) for s in result.status] == [
        Status.CONVERGED,
        Status.RUNNING,
        Status.FRAGMENTED,
        Status.NON_FINITE,
    ]
    assert result.energy[3] == result.best_energy[3] == np.inf
    # One evaluation finds the converged one; the others are charged the last point too.
    assert result.evaluations.tolist() == [1, 6, 6, 6]


def test_pieces_are_those_of_the_bond_graph(rng):
    """Against scipy's connected components: clouds, and a chain of 40 links."""
    chain = np.zeros((3, 41))
    chain[0] = 0.9 * BOND * np.arange(41)
    broken = chain.copy()
    broken[0, 17:] += 0.3 * BOND
    clouds = rng.uniform(-1, 1, size=(3, 41, 30)) * np.linspace(1, 9, 30)
    batch = np.concatenate([chain[..., None], broken[..., None], clouds], axis=-1)
    wanted = []
    for k in range(batch.shape[-1]):
        difference = batch[:, :, None, k] - batch[:, None, :, k]
        bonds = np.sum(difference**2, axis=0) < BOND**2
        wanted.append(connected_components(bonds)[0] > 1)
    assert wanted[:2] == [False, True]
    assert 5 < sum(wanted[2:]) < 25
    found = fragmented(batch.astype(np.float32), 1.0)
    assert found.tolist() == wanted
    lengths = np.linspace(2.5, 4.0, len(wanted))
    scaled = fragmented(lengths * batch, lengths)
    assert scaled.tolist() == wanted
    pair = np.zeros((3, 2, 2))
    pair[0, 1] = 1.01 * BOND, 0.99 * BOND
    assert fragmented(pair, 1.0).tolist() == [True, False]


def test_evaluations_count_every_step_and_the_last_point(starts):
    result = rollout(ADAM, LennardJones(), SYSTEM, starts, key=KEY, n_steps=4)
    assert result.evaluations.tolist() == [5] * 10
    none = rollout(ADAM, LennardJones(), SYSTEM, starts, key=KEY, n_steps=0)
    assert none.evaluations.tolist() == [1] * 10
    assert none.trace.shape == (0, 10)
    np.testing.assert_array_equal(none.positions, starts)
    assert np.all(none.energy < 0)


def test_steps_end_when_everything_has_converged(starts):
    result = rollout(
        RuleOptimizer(Lbfgs(), fmax=1e-3),
        LennardJones(),
        SYSTEM,
        starts,
        key=KEY,
        n_steps=100_000,
        block=100,
    )
    assert np.all(result.status == Status.CONVERGED)
    assert result.trace_steps[-1] < 1000
    assert result.evaluations.max() < 300
    assert len(set(result.evaluations)) > 3


def test_a_look_between_blocks_can_stop_a_run(starts):
    seen = []

    def look(run: Rollout) -> bool:
        assert run.gather("energy").shape == (10,)
        seen.append(run.steps)
        return run.steps >= 4

    result = rollout(
        ADAM,
        LennardJones(),
        SYSTEM,
        starts,
        key=KEY,
        n_steps=100,
        block=2,
        on_block=look,
    )
    assert seen == [2, 4]
    assert result.evaluations.tolist() == [5] * 10
    assert result.backend == FASTEST


def test_precision_follows_the_positions_and_no_flag_is_touched(starts):
    def look(_: Rollout) -> None:
        flags.append(jax.config.read("jax_enable_x64"))

    flags = [jax.config.read("jax_enable_x64")]
    arguments: dict[str, Any] = dict(
        key=KEY, n_steps=6, on_block=look, chunk=4, backend="scan"
    )
    single = rollout(ADAM, LennardJones(), SYSTEM, starts, **arguments)
    double = rollout(
        ADAM, LennardJones(), SYSTEM, starts.astype(np.float64), **arguments
    )
    flags.append(jax.config.read("jax_enable_x64"))
    assert set(flags) == {False}
    assert single.positions.dtype == single.energy.dtype == np.float32
    assert double.positions.dtype == double.best_energy.dtype == np.float64
    np.testing.assert_allclose(single.energy, double.energy, rtol=1e-4)
    assert not np.array_equal(single.energy, double.energy)
    # What is not double precision already runs in single.
    whole = np.rint(3 * starts).astype(int)
    assert Rollout(ADAM, LennardJones(), SYSTEM, whole, KEY).leaves()[0].dtype == "f4"


def test_per_structure_scales_are_cut_with_the_batch(starts):
    """Steps are in units of each structure's own length, in whichever chunk it is."""
    lengths = np.linspace(0.8, 1.4, 10)
    system = make_system(np.zeros(7, int), length_scale=lengths, energy_scale=lengths)
    optimizer = RuleOptimizer(GradientDescent(rate=0.0005))
    arguments: dict[str, Any] = dict(key=KEY, n_steps=3, chunk=4, backend="scan")
    together = rollout(optimizer, LennardJones(), system, starts, **arguments)
    for b in (0, 4, 9):
        alone = take_batch(system, np.array([b]))
        single = rollout(
            optimizer, LennardJones(), alone, starts[..., b : b + 1], **arguments
        )
        np.testing.assert_allclose(
            together.positions[..., b], single.positions[..., 0], atol=2e-6
        )


def test_a_relaxed_rollout_never_loses_a_lower_energy(starts):
    """Kicked out of their minima, structures end in others, of which some are worse."""
    minima = quench(LennardJones(), SYSTEM, starts)
    kicked = minima.positions.astype(np.float32)
    run = Rollout(RuleOptimizer(Noise(size=0.3)), LennardJones(), SYSTEM, kicked, KEY)
    run.advance(15)
    run.evaluate()
    best = run.gather("best_energy")
    from_last = quench(LennardJones(), SYSTEM, run.gather("positions"))
    worse = from_last.energy > best + 1e-3
    assert 0 < worse.sum() < 10
    relaxed = relax_rollout(run, LennardJones(), SYSTEM)
    assert np.all(relaxed.energy <= best + 1e-5 * (1 + np.abs(best)))
    assert np.all(relaxed.status == Status.CONVERGED)
    np.testing.assert_array_equal(relaxed.energy[~worse], from_last.energy[~worse])
    np.testing.assert_allclose(relaxed.energy[worse], minima.energy[worse], atol=1e-9)
    # The second relaxation is charged to those that needed it, and to them alone.
    assert np.array_equal(relaxed.evaluations > from_last.evaluations, worse)


def test_fixed_coordinates_are_relaxed_from_their_exact_places(starts):
    """A rollout in single precision must not shift what the user has fixed."""
    free = np.ones((3, 7), bool)
    free[:, :2] = False
    system = make_system(np.zeros(7, int), free=free)
    exact = starts[..., :3].astype(np.float64) + 1 / 3
    run = Rollout(ADAM, LennardJones(), system, exact.astype(np.float32), KEY)
    run.advance(3)
    relaxed = relax_rollout(run, LennardJones(), system, start=exact)
    np.testing.assert_array_equal(relaxed.positions[:, :2], exact[:, :2])
    assert np.all(relaxed.positions[:, 2:] != exact[:, 2:])


def test_a_quench_that_runs_out_of_steps_gives_its_lowest_point(starts):
    """L-BFGS takes uphill steps back later: what is returned is never uphill."""
    energies = [
        quench(LennardJones(), SYSTEM, starts, max_steps=steps).energy
        for steps in (0, 1, 2, 5, 9)
    ]
    assert np.all(np.diff(energies, axis=0) <= 0)
    few = quench(LennardJones(), SYSTEM, starts, max_steps=5)
    assert np.all(few.status == Status.RUNNING)
    assert np.all(few.evaluations == 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "cuda9"}, "no backend named 'cuda9'; choose one of auto"),
        ({"device": "tpu"}, "JAX finds no 'tpu' device here; use cpu"),
        ({"chunk": 0}, "chunk is 0"),
        ({"block": 0}, "block is 0"),
        ({"n_steps": -1}, "-1 steps"),
        ({"positions": np.zeros((7, 3, 4))}, r"takes \(3, n, batch\)"),
        ({"positions": np.zeros((3, 7, 0))}, r"takes \(3, n, batch\)"),
        ({"positions": np.zeros((3, 6, 4))}, "hold 6 atoms, the system 7"),
        (
            {"system": make_system(np.zeros(7, int), length_scale=np.ones(4))},
            "length_scale has shape",
        ),
    ],
)
def test_impossible_requests_say_what_to_do(change, message, starts):
    request: dict[str, Any] = {"positions": starts, "n_steps": 3, "system": SYSTEM}
    request |= change
    with pytest.raises(ValueError, match=message):
        rollout(ADAM, LennardJones(), key=KEY, **request)


def test_backends_and_devices_that_exist_are_found(starts):
    assert available_backends()[0] == "scan"
    assert resolve_backend("auto") == "auto"
    result = rollout(ADAM, LennardJones(), SYSTEM, starts, key=KEY, n_steps=1)
    assert result.backend == FASTEST
    cpu = jax.devices("cpu")[1]
    assert resolve_device(cpu) is cpu
    assert resolve_device("cpu").platform == "cpu"
    assert resolve_device(None) == jax.devices()[0]


def test_a_run_stays_on_the_device_it_was_given(starts):
    second = jax.devices("cpu")[1]
    run = Rollout(
        ADAM, LennardJones(), SYSTEM, starts, KEY, device=second, backend="scan"
    )
    run.advance(2)
    assert {leaf.device for leaf in jax.tree.leaves(run._states)} == {second}


def test_chunks_take_the_devices_in_turn(starts):
    """Same bits as on one device, also after storing and restoring."""
    devices = jax.devices("cpu")[:2]
    arguments = (ADAM, LennardJones(), SYSTEM, starts, KEY)
    one = Rollout(*arguments, chunk=4, backend="scan")
    two = Rollout(*arguments, chunk=4, backend="scan", device=devices)
    for run in (one, two):
        run.advance(3)
    again = Rollout(*arguments, chunk=4, backend="scan", device=devices)
    again.restore(two.leaves(), two.steps)
    for run in (one, two, again):
        run.advance(2)
        run.evaluate()
    for run in (two, again):
        places = [{x.device for x in jax.tree.leaves(s)} for s in run._states]
        assert places == [{devices[0]}, {devices[1]}] * 2
        for field in ("positions", "energy", "evaluations"):
            np.testing.assert_array_equal(run.gather(field), one.gather(field))
        np.testing.assert_array_equal(run.status(), one.status())
