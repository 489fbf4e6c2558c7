"""Which parts the default method has for a problem, and what cannot be left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ase_l2h.errors import InputError
from ase_l2h.search import names
from ase_l2h.search.auto.method import make_auto
from ase_l2h.search.auto.parts import (
    PARTS,
    checked_parts,
    first_shares,
    parts_for,
    uses_weights,
)
from ase_l2h.search.driver import search_problem
from ase_l2h.search.hull.search import find_hull
from ase_l2h.search.problem import Problem
from ase_l2h.weights.load import load_weights

ALL = {part.name for part in PARTS}
# What problems have that no machine code knows, see test_surrogate.py.
DEAR = {"surrogate", "molecules"}
SOURCES = ("uniform", "symmetric", "fragments", "learned-starts")


def lacking(problem: Problem, without=(), learned: bool = True) -> set[str]:
    """Parts that a problem does not have."""
    left = {part.name for part in parts_for(problem, without, learned)}
    return ALL - left - DEAR


def with_fixed(*atoms: int, name: str = "LJ7") -> Problem:
    known = Problem.of(name)
    n = known.n_atoms
    free = np.ones((3, n), bool)
    free[:, list(atoms)] = False
    given = np.random.default_rng(2).normal(size=(3, n, 1))
    system = dataclasses.replace(known.system, free=free)
    return dataclasses.replace(known, system=system, given=given)


def test_every_part_has_a_name_that_users_know():
    others = {"site-descent", "exchange-descent", "surrogate-descent"}
    others |= {"learned-exchanges", "neighbours"}
    assert set(names.PARTS) - ALL == others
    assert set(names.PARTS) >= ALL
    assert names.LEARNED <= ALL
    assert len(ALL) == len(PARTS)
    assert {part.name for part in PARTS if part.kind == "source"} == set(SOURCES)


def test_clusters_have_all_parts_and_only_alloys_swap():
    assert lacking(Problem.of("Ag3Au4")) == {"slides"}
    assert lacking(Problem.of("LJ7")) == {"swaps", "slides"}


def test_crystals_have_no_outside_no_sides_and_no_fragments():
    some = {"swaps", "fragments", "twists", "moves", "slides"}
    assert lacking(Problem.of("Si8")) == some


def test_fixed_atoms_leave_out_what_would_move_them():
    some = {"swaps", "symmetric", "fragments", "twists", "learned-starts", "slides"}
    assert lacking(with_fixed(0, 1)) == some
    # Three atoms that move have no side, and places to go to all the same.
    assert lacking(with_fixed(0, 1, 2, 3)) == some | {"melts", "moves"}


def test_swaps_need_unlike_atoms_that_move():
    assert "swaps" not in lacking(with_fixed(0, name="Ag3Au4"))
    assert "swaps" in lacking(with_fixed(0, 1, 2, name="Ag3Au4"))


@pytest.mark.parametrize("name", ["LJ2", "LJ3"])
def test_few_atoms_have_random_places_hops_and_shakes(name):
    left = ALL - lacking(Problem.of(name)) - DEAR
    assert left == {*("uniform", "learned-starts", "learned-hops", "hopping", "shakes")}


def test_without_weights_nothing_is_learned():
    assert lacking(Problem.of("LJ7"), learned=False) == {
        *("swaps", "slides"),
        *names.LEARNED,
    }
    assert make_auto(Problem.of("LJ7"), without=tuple(names.LEARNED)).weights is None
    one = make_auto(Problem.of("LJ7"), without=("learned-hops",))
    assert one.weights is not None


def test_what_is_left_out_is_left_out():
    lacks = lacking(Problem.of("LJ7"), ("twists", "hopping", "site-descent"))
    assert lacks == {"slides", "swaps", "twists", "hopping"}


def test_what_leaves_a_problem_without_a_source_is_refused():
    """Crystals have no fragments, and nothing else is kept."""
    without = checked_parts(["uniform", "symmetric", "learned-starts"])
    method = make_auto(Problem.of("LJ7"), without=without)
    assert method.refuse(Problem.of("LJ7")) is None
    with pytest.raises(InputError, match=r"no source of structures without .*keep"):
        search_problem(Problem.of("Si8"), without=without)


@pytest.mark.parametrize("given", [True, False])
def test_weights_without_a_learned_part_are_refused_everywhere(given):
    without = tuple(names.LEARNED)
    if not given:
        assert not uses_weights(without, given)
        return
    for search in (
        lambda: search_problem(Problem.of("LJ7"), without=without, weights="lj"),
        lambda: find_hull("AgAu", 3, without=without, weights="lj"),
        lambda: make_auto(Problem.of("LJ7"), load_weights("lj"), without=without),
    ):
        with pytest.raises(InputError, match="leave the weights out, too"):
            search()


def test_names_are_put_in_order_and_given_once():
    assert checked_parts(["twists", "melts", "twists"]) == ("melts", "twists")
    assert checked_parts(()) == ()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (["genetic"], "no part named 'genetic'; choose one of uniform, .*neighbours"),
        (["melts", ""], "no part named ''"),
        (SOURCES, "no source of structures is left; keep one of fragments, learned"),
        ([*SOURCES, "swaps"], "no source of structures is left"),
    ],
)
def test_parts_that_cannot_be_left_out_are_refused(without, said):
    with pytest.raises(InputError, match=said):
        checked_parts(without)


def test_three_of_four_sources_can_be_left_out():
    for kept in SOURCES:
        without = checked_parts([name for name in SOURCES if name != kept])
        assert kept not in lacking(Problem.of("LJ7"), without)


def shares_of(name: str, attempt: int, held: bool = True, without=()) -> dict:
    parts = parts_for(Problem.of(name), without, True)
    return dict(
        zip([p.name for p in parts], first_shares(parts, attempt, held), strict=True)
    )


def test_every_second_attempt_takes_its_structures_from_symmetry():
    usual, other = shares_of("LJ38", 0), shares_of("LJ38", 1)
    assert usual == {p.name: p.share for p in PARTS if p.name in usual}
    assert shares_of("LJ38", 2) == usual
    sources = [name for name in SOURCES if name != "symmetric"]
    assert all(other[name] < 0.2 * usual[name] for name in sources)
    assert other["symmetric"] > 10 * sum(other[name] for name in sources)
    # Sources and improvers share the evaluations as before.
    total = lambda shares: sum(shares[name] for name in SOURCES)
    assert total(other) == pytest.approx(total(usual))
    improvers = set(usual) - set(SOURCES)
    assert {n: other[n] for n in improvers} == {n: usual[n] for n in improvers}


def test_where_bonds_are_unlike_those_of_metals_basin_hopping_gets_most():
    parts = parts_for(Problem.of("LJ38"), (), True)
    names = [part.name for part in parts]
    usual, other = (
        dict(zip(names, first_shares(parts, 0, True, unlike), strict=True))
        for unlike in (False, True)
    )
    assert max(other, key=lambda name: other[name]) == "hopping"
    assert {name for name in names if other[name] < usual[name]} == {"fragments"}


def test_without_symmetry_all_attempts_are_alike():
    without = ("symmetric",)
    assert shares_of("LJ38", 1, without=without) == shares_of(
        "LJ38", 0, without=without
    )


def test_nothing_is_improved_before_something_is_held():
    for attempt in (0, 1):
        shares = shares_of("Ag3Au4", attempt, held=False)
        assert {name for name, share in shares.items() if share} == set(SOURCES)
