"""The hybrid search of one cluster: what it finds, what it says, what it refuses."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.search.cluster import cluster_weights, find_cluster
from ase_l2h.search.multistart import quench
from ase_l2h.system import make_system
from ase_l2h.targets import named_target

LJ = named_target("LJ26")
ALLOY = named_target("Ag4Au3")
ONE_RULE = "lj-icosahedral"


@pytest.fixture(scope="module")
def found():
    """LJ26 is in reach of one or two rounds."""
    return find_cluster(
        LJ.potential,
        LJ.system,
        weights=ONE_RULE,
        n_searches=2,
        budget=30_000,
        seed=5,
        target_energy=LJ.reference,
    )


def test_the_published_minimum_is_found_and_the_search_stops_there(found):
    assert found.stopped == "target"
    assert found.best_energy == pytest.approx(LJ.reference, abs=1e-4)
    assert found.energies.shape == found.evaluations.shape == found.status.shape
    assert found.positions.shape == (3, 26, len(found.energies))
    assert 0 < found.evaluations[-1] < 30_000


def test_minima_are_distinct_relaxed_and_sorted(found):
    energies = [minimum.energy for minimum in found.minima]
    assert energies == sorted(energies)
    assert len(energies) > 1
    assert np.min(np.diff(energies)) > 1e-6
    again = quench(
        LJ.potential,
        LJ.system,
        np.stack([minimum.positions.T for minimum in found.minima], axis=-1),
    )
    np.testing.assert_allclose(again.energy, energies, atol=1e-9)


def test_the_trace_never_climbs_and_ends_at_the_best(found):
    assert found.trace.shape == (len(found.trace_steps), len(found.energies))
    assert np.all(np.diff(found.trace, axis=0) <= 0)
    assert np.all(np.isfinite(found.trace))
    np.testing.assert_array_equal(found.trace[-1], found.energies)
    assert found.trace_steps[-1] == found.evaluations.max()


def test_seeds_decide_and_searches_are_their_own():
    """Search 1 is what it is, whether search 0 comes to its end or not."""
    options = {"weights": ONE_RULE, "budget": 1, "seed": 3}
    both = find_cluster(LJ.potential, LJ.system, n_searches=2, **options)
    alone = find_cluster(LJ.potential, LJ.system, n_searches=1, **options)
    assert both.energies[0] == alone.energies[0]
    assert both.energies[1] != both.energies[0]
    np.testing.assert_array_equal(both.positions[..., 0], alone.positions[..., 0])


def test_atoms_come_back_in_the_order_of_the_system():
    """Silver and gold in turns; the energy is that of the positions as returned."""
    species = np.array([0, 1, 0, 1, 0, 1, 0])
    system = make_system(
        species,
        length_scale=ALLOY.system.length_scale,
        energy_scale=ALLOY.system.energy_scale,
    )
    result = find_cluster(
        ALLOY.potential, system, weights="gupta-alloys", budget=1, seed=1
    )
    places = jnp.asarray(result.positions, jnp.float32)
    energy = ALLOY.potential.energy_and_gradient(places, system).energy
    np.testing.assert_allclose(energy, result.energies, rtol=1e-5)
    # Put the other way round it would be another cluster.
    other = dataclasses.replace(system, species=1 - species)
    wrong = ALLOY.potential.energy_and_gradient(places, other).energy
    assert np.all(np.abs(wrong - result.energies) > 0.01)


def test_a_population_that_falls_no_more_gives_way_to_another(monkeypatch):
    """Three atoms have one minimum: every population settles at once."""
    from ase_l2h.search import cluster as module

    seeds = []

    class Watched(module.CompositionSearch):
        def __init__(self, potential, n_atoms, settings, *args, **options):
            seeds.append(settings.seed)
            super().__init__(potential, n_atoms, settings, *args, **options)

    monkeypatch.setattr(module, "CompositionSearch", Watched)
    monkeypatch.setattr(module, "PATIENCE", 1)
    target = named_target("LJ3")
    result = find_cluster(
        target.potential, target.system, weights=ONE_RULE, budget=30_000
    )
    assert result.best_energy == pytest.approx(-3.0, abs=1e-6)
    assert len(seeds) > 1
    assert len(set(seeds)) == len(seeds)


def test_ctrl_c_returns_what_was_found():
    def stop(_):
        raise KeyboardInterrupt

    result = find_cluster(
        LJ.potential, LJ.system, weights=ONE_RULE, budget=10**6, progress=stop
    )
    assert result.stopped == "interrupted"
    assert np.isfinite(result.best_energy)
    assert result.charged_evaluations < 10**6


def test_ctrl_c_before_anything_is_found_is_raised(monkeypatch):
    from ase_l2h.search import cluster as module

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.CompositionSearch, "advance", stop)
    with pytest.raises(KeyboardInterrupt):
        find_cluster(LJ.potential, LJ.system, weights=ONE_RULE)


def test_alloys_get_rules_that_place_the_elements():
    assert "gupta-alloys" in cluster_weights(ALLOY.potential).name
    assert "gupta" not in cluster_weights(LJ.potential).name


FIXED = dataclasses.replace(LJ.system, free=np.ones((3, 26), bool))
MANY = dataclasses.replace(LJ.system, species=np.arange(26) % 3)
PAIR = named_target("LJ2").system


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (named_target("Si8").system, {}, "free clusters without fixed atoms"),
        (FIXED, {}, "free clusters without fixed atoms"),
        (MANY, {}, "one or two elements"),
        (PAIR, {}, "has 2 atoms"),
        (LJ.system, {"n_searches": 0}, "0 searches are asked for"),
        (LJ.system, {"budget": 0}, "the budget is 0 evaluations"),
        (LJ.system, {"seed": -1}, "the seed is -1"),
        (LJ.system, {"target_energy": np.nan}, "is not a number"),
        (LJ.system, {"max_seconds": 0.0}, "max_seconds is 0.0"),
        (LJ.system, {"weights": "nothing"}, "nothing"),
    ],
)
def test_what_cannot_be_searched_is_refused(system, options, message):
    with pytest.raises(ValueError, match=message):
        find_cluster(LJ.potential, system, **options)
