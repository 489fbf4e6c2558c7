"""In what two runs differ is said in words of the user."""

from __future__ import annotations

import pytest

from ase_l2h._internal.differences import described, differences


def test_only_what_differs_is_named_with_its_place():
    known = {"a": {"b": 1, "c": [1, 2]}, "d": float("nan"), "e": 3}
    wanted = {"a": {"b": 2, "c": [1, 2]}, "d": float("nan"), "f": 3}
    assert differences(known, wanted) == ["a.b", "e", "f"]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["seed"], "another seed"),
        (["settings.weights", "settings.weights_sha256"], "other weights"),
        (["seed", "weights_sha256"], "another seed and other weights"),
        (["settings.without"], "other parts left out"),
        (["settings.steps"], "another number of steps"),
        (["method", "settings.width", "settings.patience"], "another method"),
        (["settings.patience.factor", "settings.patience.least"], "another patience"),
        (
            ["problem.n_atoms", "problem.identity.numbers", "seed"],
            "other atoms and another seed",
        ),
        (["problem.numbers_sha256"], "another structure, potential or scale"),
        (
            ["problem.identity.parameters.epsilon", "problem.numbers_sha256"],
            "other parameters of the calculator (epsilon)",
        ),
        (
            [
                "problem.identity.calculator",
                "problem.identity.energy",
                "problem.identity.parameters.r0",
                "problem.identity.parameters.rc",
                "problem.numbers_sha256",
                "problem.potential",
                "settings.patience.factor",
                "settings.width",
                "searches",
                "seed",
            ],
            "another calculator, another number of searches and another seed",
        ),
        (["problem.identity.named.arguments"], "other arguments of the calculator"),
        (["problem.identity.energy"], "a calculator that gives another energy"),
        (["problem.identity.fixed_coordinates"], "other fixed coordinates"),
        (["compositions", "n", "potential"], "another number of atoms"),
        (["parameters"], "other parameters"),
        (["features.step"], "other features"),
        (["loss", "targets.LJ13"], "another loss and other targets"),
        (["kind", "seed", "settings"], "another kind of run"),
    ],
)
def test_what_is_other_is_said_in_words(places, said):
    assert described(places) == said
