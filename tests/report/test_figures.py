"""Pictures show what they are given, whatever that is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matplotlib.patches import Circle

from ase_l2h.report.figures import (
    picture_format,
    read_record,
    save_figure,
    search_figure,
    training_figure,
)

ICOSAHEDRON = np.vstack(
    [
        np.zeros((1, 3)),
        [
            np.roll([0, s, t * (1 + 5**0.5) / 2], k)
            for k in range(3)
            for s in (-1, 1)
            for t in (-1, 1)
        ],
    ]
)


def figure(atoms, **changed):
    given = {
        "title": "title",
        "steps": np.array([10, 20, 30]),
        "traces": np.array([[1e5, 3.0], [-20.0, np.inf], [-43.0, np.nan]]),
        "energies": np.array([-44.3, -41.0]),
        "reference": -44.326801,
        "tolerance": 1e-4,
        "unit": "epsilon",
        "best": atoms,
    }
    return search_figure(**given | changed)


@pytest.fixture
def cluster() -> Atoms:
    return Atoms("Ag6Au7", ICOSAHEDRON)


def test_traces_are_drawn_above_the_published_minimum(cluster):
    curves = figure(cluster).axes[0]
    (best,) = [line for line in curves.lines if line.get_label() == "ends lowest"]
    # The first start relaxed lowest.
    expected = np.array([1e5, -20.0, -43.0]) + 44.326801
    np.testing.assert_allclose(best.get_ydata(), expected)
    assert "published minimum (epsilon)" in curves.get_ylabel()


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        ({"reference": None}, "above the lowest found (epsilon)"),
        ({"reference": -44.0}, "the lowest found, below the published minimum"),
    ],
)
def test_the_axis_says_what_zero_is(cluster, changed, label):
    assert label in figure(cluster, **changed).axes[0].get_ylabel()


def test_every_relaxed_energy_is_in_the_histogram(cluster):
    energies = np.array([-44.326801, -44.3268, -40.0, -3.0, 70.0, np.inf])
    traces = np.zeros((3, 6))
    column = figure(cluster, energies=energies, traces=traces).axes[1]
    assert sum(bar.get_width() for bar in column.patches) == 5


def test_every_atom_is_drawn_once_and_species_differ(cluster):
    picture = figure(cluster).axes[2]
    bodies = [p for p in picture.patches if isinstance(p, Circle) and p.get_lw() > 0]
    assert len(bodies) == 13
    labels = [text.get_text() for text in picture.get_legend().get_texts()]
    assert labels == ["Ag", "Au"]


@pytest.mark.parametrize(
    "atoms",
    [Atoms("Ar2", [[0, 0, 0], [0, 0, 1.1]]), bulk("Si", cubic=True)],
    ids=["dimer", "crystal"],
)
def test_any_shape_can_be_drawn_and_saved(atoms, tmp_path):
    one = {"traces": np.zeros((0, 1)), "steps": np.zeros(0), "reference": None}
    drawn = figure(atoms, energies=np.array([-1.0]), **one)
    for name in ("a.png", "a.pdf", "a.SVG"):
        path = tmp_path / name
        save_figure(drawn, path, picture_format(path))
        assert path.stat().st_size > 1000


def test_training_is_drawn_with_every_task(tmp_path):
    rows = [
        {"update": 1, "loss": -0.9, "hits": {"LJ13": 0.5}},
        {"update": 2, "loss": -0.95, "hits": {"LJ13": 1.0, "LJ19": 0.0}},
    ]
    path = tmp_path / "record.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses, hits = training_figure(read_record(path)).axes
    np.testing.assert_allclose(losses.lines[0].get_ydata(), [-0.9, -0.95])
    lines = {line.get_label(): line.get_ydata() for line in hits.lines}
    assert list(lines) == ["LJ13", "LJ19"]
    np.testing.assert_allclose(lines["LJ13"], [50.0, 75.0])
