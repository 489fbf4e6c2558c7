"""The picture of a search shows what it is given, whatever that is."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matplotlib.patches import Circle

from ase_l2h.report.figures import picture_format, save_figure
from ase_l2h.report.search_figure import search_figure

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
COURSES = [
    ([(100, -40.0), (2000, -44.3)], 5000),
    ([(50, 1e5), (80, -41.0), (900, -44.3268)], 3000),
    ([], 200),
    ([(70, -43.0), (600, -44.3268013)], 3000),
]


def figure(atoms, **changed):
    given = {
        "title": "title",
        "courses": COURSES,
        "minima": [(-44.3268013, 3), (-41.4, 1), (-41.0, 2)],
        "reference": -44.326801,
        "tolerance": 1e-4,
        "unit": "epsilon",
        "scale": 1.0,
        "structure": lambda k: atoms,
    }
    return search_figure(**given | changed)


@pytest.fixture
def cluster() -> Atoms:
    return Atoms("Ag6Au7", ICOSAHEDRON)


def line(axes, colour):
    (found,) = [x for x in axes.lines if x.get_color() == colour and len(x.get_xdata())
                > 2]  # fmt: skip
    return found


def test_the_first_search_to_reach_the_lowest_stands_out(cluster):
    """That is the last one: as low as the second within the tolerance, and sooner."""
    falls = figure(cluster).axes[0]
    best = line(falls, "#0072B2")
    np.testing.assert_allclose(best.get_xdata(), [70, 70, 600, 3000])
    np.testing.assert_allclose(best.get_ydata()[1:], [-43, -44.3268013, -44.3268013])
    assert falls.get_xscale() == "log"
    assert best.get_drawstyle() == "steps-post"


def test_hot_structures_do_not_set_the_scale(cluster):
    bottom, top = figure(cluster).axes[0].get_ylim()
    assert bottom < -44.3268013
    assert -40 < top < -38


def test_the_scale_is_that_of_bonds_whatever_zero_of_energy_a_code_has(cluster):
    """Total energies of DFT lie thousands of eV below separated atoms."""
    far = 1e5
    courses = [([(1, -far + 90.0), (20, -far)], 50)]
    minima = [(-far, 2), (-far + 0.3, 1), (-far + 90.0, 1)]
    changed = {"courses": courses, "minima": minima, "reference": None}
    falls, ladder = figure(cluster, **changed).axes[:2]
    assert ladder.get_ylim()[1] < 0.5
    assert falls.get_ylim()[1] < -far + 0.5
    assert ladder.get_title() == "the lowest 2 of 3 distinct minima"


def rungs(axes):
    return sorted(
        segment[0, 1]
        for collection in axes.collections
        for segment in collection.get_segments()
    )


def test_the_ladder_has_a_rung_for_every_minimum(cluster):
    ladder = figure(cluster).axes[1]
    heights = [0, -41.4 + 44.3268013, -41.0 + 44.3268013]
    np.testing.assert_allclose(rungs(ladder), heights)
    assert ladder.get_title() == "3 distinct minima"
    many = [(-44.0 + 0.01 * k, 1) for k in range(90)]
    ladder = figure(cluster, minima=many).axes[1]
    assert "lowest 60 of 90" in ladder.get_title()
    assert len(rungs(ladder)) == 60


def test_structures_stand_along_the_ladder_and_say_how_often_they_were_met(cluster):
    """Only minima that lie apart are drawn: the third is close above the second."""
    drawn = figure(cluster)
    panels = drawn.axes[2:]
    bodies = [
        [p for p in panel.patches if isinstance(p, Circle) and p.get_lw() > 0]
        for panel in panels
    ]
    assert [len(body) for body in bodies] == [13, 13]
    said = sorted(panel.texts[0].get_text() for panel in panels)
    assert said == ["+2.93 epsilon\nonce", "-44.3268 epsilon\n3 times"]
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels == ["Ag", "Au"]


def test_a_published_minimum_that_was_missed_is_seen_below_the_ladder(cluster):
    missed = figure(cluster, minima=[(-41.4, 1), (-41.0, 2)])
    for axes, height in zip(missed.axes[:2], (-44.326801, -2.926801), strict=True):
        bottom, top = axes.get_ylim()
        (dashed,) = [x for x in axes.lines if x.get_linestyle() == "--"]
        assert dashed.get_ydata()[0] == pytest.approx(height)
        assert bottom < height < top


@pytest.mark.often("1_0-crystal", "1_1-dimer")
@pytest.mark.parametrize(
    "atoms",
    [Atoms("Ar2", [[0, 0, 0], [0, 0, 1.1]]), bulk("Si", cubic=True)],
    ids=["dimer", "crystal"],
)
@pytest.mark.parametrize("courses", [[([(1, -1.0)], 1)], [([], 0)]], ids=len)
def test_the_least_that_a_search_can_find_is_drawn_and_saved(atoms, courses, tmp_path):
    least = {"courses": courses, "minima": [(-1.0, 1)], "reference": None}
    drawn = figure(atoms, **least)
    for axes in drawn.axes[:2]:
        bottom, top = axes.get_ylim()
        assert top - bottom >= 0.01
    for name in ("a.png", "a.pdf", "a.SVG"):
        path = tmp_path / name
        save_figure(drawn, path, picture_format(path))
        assert path.stat().st_size > 1000
