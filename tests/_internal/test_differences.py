"""In what two runs differ is said in words of the user."""

from __future__ import annotations

import pytest

from ase_l2h._internal.differences import described, differences


def test_only_what_differs_is_named_with_its_place():
    known = {"a": {"b": 1, "c": [1, 2]}, "d": float("nan"), "e": 3}
    wanted = {"a": {"b": 2, "c": [1, 2]}, "d": float("nan"), "f": 3}
    assert differences(known, wanted) == ["a.b", "e", "f"]


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["settings.weights", "settings.weights_sha256"], ["weights"]),
        (["method", "settings.width", "settings.patience"], ["method"]),
        (["problem.n_atoms", "problem.identity.numbers", "seed"], ["atoms", "seed"]),
        (["problem.numbers_sha256"], ["problem"]),
        (["problem.identity.parameters.epsilon"], ["epsilon"]),
        (["problem.identity.fixed_coordinates"], ["fixed coordinates"]),
        (["features.step"], ["features.step"]),
    ],
)
def test_names_are_those_of_options_and_none_follows_from_another(places, names):
    assert described(places) == names
