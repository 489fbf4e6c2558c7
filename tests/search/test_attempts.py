"""How sure a lowest minimum is, and searches that end when it is sure enough."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.search.attempts import Attempts, confidence_of, no_attempts
from ase_l2h.search.driver import limited, search_problem, start_run
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import SearchRun, run
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import make_method
from ase_l2h.search.stored import from_arrays, to_arrays

LJ5 = -9.103852
FIRE = {"method": "fire", "steps": 200, "width": 1, "seed": 2}


def attempts(*energies: float) -> Attempts:
    return Attempts(np.array(energies), np.full(len(energies), 1000))


def test_attempts_of_all_searches_count_within_the_tolerance():
    parts = [attempts(-9.0, -8.0), attempts(-8.9999, -8.9), no_attempts()]
    found = confidence_of(parts, -9.0, 1e-3, 2)
    assert (found.met, found.attempts, found.evaluations) == (2, 4, 1000.0)
    assert found.settled
    assert not confidence_of(parts, -9.0, 1e-3, 3).settled
    # A lower minimum that no attempt has ended in is met by none.
    assert confidence_of(parts, -9.5, 1e-3, 2).met == 0


def test_nothing_wanted_is_never_settled():
    assert not confidence_of([attempts(-9.0)] * 5, -9.0, 1e-3, 0).settled


def test_attempts_that_found_nothing_meet_nothing():
    found = confidence_of([attempts(np.inf, np.inf)], np.inf, 1e-3, 1)
    assert (found.met, found.attempts, found.settled) == (0, 2, False)


@pytest.mark.parametrize(
    ("energies", "wanted", "said"),
    [
        ((), 3, "not known: no independent attempt has ended"),
        (
            (-9.0, -9.0, -8.0),
            3,
            "not settled: met by 2 of 3 independent attempts of 1,000 evaluations",
        ),
        (
            (-9.0, -9.0, -8.0),
            2,
            "met by 2 of 3 independent attempts of 1,000 evaluations",
        ),
        (
            (-9.0, -9.0, -8.0),
            0,
            "met by 2 of 3 independent attempts of 1,000 evaluations",
        ),
        ((-9.0,), 1, "met by 1 of 1 attempt of 1,000 evaluations"),
        (
            (-7.0,),
            1,
            "not settled: the one attempt of 1,000 evaluations did not end in this "
            "minimum. It was given, or an attempt that has not ended yet found it",
        ),
        (
            (-7.0, -7.0),
            0,
            "none of the 2 independent attempts of 1,000 evaluations ended in this "
            "minimum. It was given, or an attempt that has not ended yet found it",
        ),
    ],
)
def test_it_is_said_in_a_sentence(energies, wanted, said):
    assert str(confidence_of([attempts(*energies)], -9.0, 1e-3, wanted)) == said


def test_a_search_ends_when_it_is_settled_and_no_earlier():
    """Starts one after the other: the last one made it as many as asked for."""
    for wanted in (1, 2, 4):
        limits = Limits(evaluations=50_000, settled=wanted)
        result = search_problem(Problem.of("LJ5"), limits=limits, **FIRE)
        assert result.stopped == "settled"
        assert {trace.stopped for trace in result.searches} == {"settled"}
        assert result.best_energy == pytest.approx(LJ5, abs=1e-6)
        assert (result.confidence.met, result.confidence.settled) == (wanted, True)


def test_attempts_of_searches_side_by_side_count_together():
    limits = Limits(evaluations=50_000, settled=4)
    alone = search_problem(Problem.of("LJ5"), limits=limits, **FIRE)
    four = search_problem(Problem.of("LJ5"), limits=limits, searches=4, **FIRE)
    assert four.stopped == "settled"
    assert four.confidence.met >= 4
    each = max(trace.charged for trace in four.searches)
    assert each < alone.charged_evaluations


@pytest.mark.slow
def test_settled_0_never_ends_a_search():
    limits = Limits(evaluations=20_000, settled=0)
    result = search_problem(Problem.of("LJ5"), limits=limits)
    assert result.stopped == "evaluations"
    assert result.confidence.met >= 2
    assert not result.confidence.settled
    assert str(result.confidence).startswith("met by")


def test_only_the_default_method_without_a_target_settles_unasked():
    problem = Problem.of("LJ5")
    assert limited(Limits(), problem, "auto").settled == 3
    assert limited(Limits(seconds=1.0), problem, "auto").settled == 3
    assert limited(Limits(settled=1), problem, "auto").settled == 1
    assert limited(Limits(settled=0), problem, "auto").settled == 0
    assert limited(Limits(settled=5), problem, "fire").settled == 5
    assert not limited(Limits(), problem, "fire").settled
    assert not limited(Limits(target_energy=-9.0), problem, "auto").settled


def test_a_settled_search_goes_on_where_more_is_asked_for():
    """From what is stored: with the same wish it has ended, with more it has not."""
    problem = Problem.of("LJ5")
    method = make_method("fire", problem, steps=200, width=1)

    def started(settled: int) -> SearchRun:
        limits = Limits(evaluations=50_000, settled=settled)
        return start_run(problem, method, limits, seed=2)

    first = run(started(2))
    stored = from_arrays(*to_arrays(first.stored()))
    same = started(2)
    same.restore(stored)
    assert same.stopped == "settled"
    more, whole = started(4), run(started(4))
    more.restore(stored)
    assert more.stopped is None
    run(more)
    assert more.stopped == "settled"
    assert more.confidence == whole.confidence
    assert more.charged == whole.charged > first.charged
    never = started(0)
    never.restore(stored)
    assert never.stopped is None


def test_attempts_of_the_default_method_know_nothing_of_each_other():
    """Restarts: each begins with nothing held, and the lowest minima are kept."""
    problem = Problem.of("LJ5")
    method = make_method("auto", problem)
    progress = start_run(problem, method, Limits(evaluations=30_000, settled=3))
    (search,) = progress.searches
    ended, held = 0, []
    while progress.stopped is None:
        progress.advance()
        if len(method.attempts(search.state).energies) > ended:
            ended += 1
            held.append(search.state["pool"]["energies"].size)
            assert method.minima(search.state).energies.min() <= progress.energy + 1e-5
    assert progress.stopped == "settled"
    assert held == [0, 0, 0]
    ends = method.attempts(search.state)
    np.testing.assert_allclose(ends.energies, LJ5, atol=1e-6)
    assert np.sum(ends.evaluations) == progress.charged
