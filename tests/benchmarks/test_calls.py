"""Searches by calls: one ledger, a compiled potential, and what the record says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.optimize import LBFGS


@pytest.fixture
def peers(benchmark_module, monkeypatch):
    """Modules of the searchers' environment, run as the Python that they are."""
    for name in ("ledger", "emt", "quench", "metals"):
        monkeypatch.delitem(sys.modules, f"benchmarks.peers.{name}", raising=False)
    return lambda name: benchmark_module(f"peers.{name}")


@pytest.fixture
def reading(benchmark_module):
    return benchmark_module("peers.reading")


def spring(positions):
    """Energy and gradient of atoms that are drawn to the origin."""
    return float(np.sum(positions**2)), 2 * positions


@pytest.mark.parametrize("symbols", ["Cu7", "Ni3Cu4", "Cu2Ag3Au2"])
def test_the_compiled_potential_is_that_of_ase(peers, symbols):
    compiled = peers("emt").compiled_emt(symbols)
    atoms = peers("clusters").random_metal(symbols, np.random.default_rng(3))
    # Far from the others an atom feels a part of the cutoff only.
    atoms.positions[0] += 4.0
    energy, gradient = compiled(atoms.positions)
    atoms.calc = EMT()
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(gradient, -atoms.get_forces(), atol=1e-9)


def test_an_atom_alone_has_no_energy_but_its_own(peers):
    compiled = peers("emt").compiled_emt("Cu2")
    apart = np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]])
    energy, gradient = compiled(apart)
    expected = Atoms("Cu2", apart, calculator=EMT()).get_potential_energy()
    assert energy == pytest.approx(expected, abs=1e-12)
    assert not np.any(gradient)


def test_a_quench_asks_for_the_points_of_ase(peers):
    ledger, quench = peers("ledger"), peers("quench")
    atoms = peers("clusters").random_metal("Cu6", np.random.default_rng(1))
    seen = []
    for optimizer in (quench.Quench, LBFGS):
        known = ledger.Ledger(-np.inf, 10**6, peers("emt").compiled_emt("Cu6"))
        copy = atoms.copy()
        copy.calc = ledger.LedgerCalculator(known)
        optimizer(copy, logfile=None).run(fmax=0.02, steps=300)
        seen.append((known.evaluations, copy.get_positions()))
    assert seen[0][0] == seen[1][0]
    np.testing.assert_allclose(seen[0][1], seen[1][1], atol=1e-8)


def test_a_point_is_charged_once_whatever_is_asked_of_it(peers):
    module = peers("ledger")
    ledger = module.Ledger(-1.0, 10, spring)
    atoms = Atoms("H2", [[0, 0, 1.0], [0, 0, 0]])
    atoms.calc = module.LedgerCalculator(ledger)
    forces, energy = atoms.get_forces(), atoms.get_potential_energy()
    assert ledger.evaluations == 1
    assert energy == 1.0
    np.testing.assert_array_equal(forces, [[0, 0, -2.0], [0, 0, 0]])
    atoms.positions[0, 2] = 0.5
    assert atoms.get_potential_energy() == 0.25
    assert ledger.evaluations == 2
    assert ledger.course == [(1, 1.0), (2, 0.25)]


def test_atoms_in_another_order_are_the_same_point(peers):
    module = peers("ledger")
    places = np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]])
    ledger = module.Ledger(-1.0, 10, lambda x: (float(x[0, 0]), 1.0 * x))
    atoms = Atoms("NiCu2", places, calculator=module.LedgerCalculator(ledger))
    turned = atoms[[1, 0, 2]]
    turned.calc = atoms.calc
    assert atoms.get_potential_energy() == turned.get_potential_energy() == 1.0
    np.testing.assert_array_equal(turned.get_forces(), -turned.positions)
    assert ledger.evaluations == 1


def test_a_ledger_has_energy_and_forces_only(peers):
    module = peers("ledger")
    calculator = module.LedgerCalculator(module.Ledger(-1.0, 10, spring))
    with pytest.raises(PropertyNotImplementedError):
        calculator.get_property("stress", Atoms("H"))
    assert calculator.get_property("energy", Atoms("H"), False) is None
    assert calculator.ledger.evaluations == 0


@pytest.mark.parametrize(("target", "calls"), [(0.31, 2), (-1.0, 3)])
def test_a_search_ends_at_its_target_or_its_last_call(peers, target, calls):
    module = peers("ledger")
    ledger = module.Ledger(target, 3, spring, hit=1e-3, near=0.1)

    def search():
        for z in (1.0, 0.55, 0.4, 0.3):
            ledger.evaluate(np.array([[0.0, 0.0, z]]))

    with pytest.raises(module.Finished):
        search()
    assert ledger.evaluations == calls
    assert ledger.found is (calls == 2)
    # What catches every failure of a call does not catch the end.
    assert not issubclass(module.Finished, Exception)


def test_a_near_miss_is_told_apart_from_a_hit(peers):
    module = peers("ledger")
    ledger = module.Ledger(0.0, 10, spring, hit=1e-3, near=0.1)
    for z in (1.0, 0.3, 0.2):
        ledger.evaluate(np.array([[0.0, 0.0, z]]))
    assert ledger.near == 2
    assert not ledger.found


def test_random_clusters_have_room_and_follow_from_the_seed(peers):
    clusters = peers("clusters")
    atoms = clusters.random_metal("Ni10Cu10", np.random.default_rng(5))
    again = clusters.random_metal("Ni10Cu10", np.random.default_rng(5))
    np.testing.assert_array_equal(atoms.positions, again.positions)
    distances = atoms.get_all_distances()[np.triu_indices(20, 1)]
    assert distances.min() > clusters.CLOSEST * clusters.bond("Ni10Cu10")
    assert clusters.bond("Cu") < clusters.bond("CuAg") < clusters.bond("Ag")


def line_of(course, *, budget=100, found=False, target_energy=1.0, seed=1):
    return {
        "kind": "calls",
        "target": "Cu13",
        "method": "anneal",
        "seed": seed,
        "budget": budget,
        "found": found,
        "target_energy": target_energy,
        "course": course,
    }


def test_a_course_keeps_what_matters_near_the_target(reading):
    close = 1.0 + reading.CLOSE
    course = [(1, 9.0), (2, 2.9), (3, 2.89), (4, close), (5, close - 0.001), (6, 1.0)]
    kept = reading.thinned(course, 1.0)
    assert [calls for calls, _ in kept] == [2, 4, 5, 6]
    # The last fall is kept, however small.
    assert reading.thinned([*course[:3]], 1.0) == [[2, 2.9], [3, 2.89]]


def test_first_encounters_follow_from_the_course(reading):
    line = line_of([[5, 2.0], [8, 1.001], [9, 0.5]])
    assert reading.first_within(line, 1.0, 1e-2) == 8
    assert reading.first_within(line, 0.5, 1e-4) == 9
    assert reading.first_within(line, 0.4, 1e-2) is None


def test_a_search_is_run_again_only_where_a_lower_minimum_asks_for_it(
    reading, monkeypatch
):
    monkeypatch.setitem(reading.METALS, "Cu13", 0.5)
    done = lambda line, calls=100: reading.is_done([line], "Cu13", "anneal", 1, calls)
    # It had stopped at what was the lowest then.
    assert not done(line_of([[7, 1.0]], found=True))
    # It had gone on to its last call, or has passed the lower one already.
    assert done(line_of([[7, 1.2]]))
    assert done(line_of([[7, 0.5]], found=True))
    assert not done(line_of([[7, 1.2]]), calls=200)
    assert not done(line_of([[7, 1.2]], seed=2))


@pytest.fixture
def calls_page(benchmark_module):
    return benchmark_module("pages.calls")


def test_a_median_counts_searches_that_were_cut_off_as_late(calls_page):
    lines = [line_of([[count, 1.0]]) for count in (10, 20, 30)]
    missed = [line_of([[50, 1.5]], budget=80), line_of([[60, 1.5]])]
    median = calls_page.median_of([*lines, missed[0]], 1.0)
    assert median.value == 30
    assert (median.hits, median.searches, median.cut) == (3, 4, 80)
    assert median.low <= 30 <= median.high
    never = calls_page.median_of([lines[0], *missed], 1.0)
    assert never.text() == "> 80, 1/3"
    assert calls_page.median_of([], 1.0) is None


def test_a_verdict_says_who_is_ahead_and_whether_the_intervals_part(calls_page):
    ours = calls_page.Median(100.0, 80.0, 120.0, 24, 24, 10_000)
    other = calls_page.Median(550.0, 300.0, 700.0, 24, 24, 10_000)
    assert "5.50 times as many." in calls_page._verdict(ours, other, "NAME")
    tied = other._replace(low=110.0)
    assert calls_page._verdict(ours, tied, "NAME").endswith("the intervals overlap.")
    ahead = calls_page._verdict(other, ours, "NAME")
    assert "0.182 times as many." in ahead
    never = other._replace(value=np.inf, high=np.inf, hits=3)
    assert "above 100 times" in calls_page._verdict(ours, never, "NAME")
    assert "in 3 of 24" in calls_page._verdict(never, ours, "NAME")


def test_the_picture_says_when_half_of_the_searches_are_there(calls_page):
    lowest = calls_page.METALS["Cu38"]
    lines = [
        line_of([[20, lowest + 1.0], [50 * k, lowest]], seed=k)
        | {"target": "Cu38", "method": "learn2hop"}
        for k in (1, 2, 3)
    ]
    (axes,) = calls_page.course_figure(lines, "Cu38").axes
    assert axes.get_title().endswith("after 100 calls")
    (curve, floor) = axes.get_lines()
    counts, above = curve.get_data()
    # Nothing is drawn beyond the calls that the searches had.
    assert counts.max() <= 100
    np.testing.assert_allclose(above[counts < 100], 1.0)
    assert floor.get_ydata()[0] == 0.0


def test_the_page_has_the_record_of_calls(calls_page, benchmark_module):
    text = (benchmark_module("paths").DOCS / "comparison.md").read_text()
    assert "\n".join(calls_page.section()).rstrip() in text
