"""The picture of a hull shows every structure, its motif, the vertices and the rest."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

from ase_l2h.analysis.hull import composition_hull
from ase_l2h.analysis.motif import MOTIFS
from ase_l2h.report.figures import save_figure
from ase_l2h.report.hull_figure import STYLES, hull_figure

# m Ag atoms of four, a tetrahedron; excess 0, -1, -0.5, -1, 0 eV.
COUNTS = [0, 1, 2, 3, 4]
ENERGIES = [-12.0, -12.0, -10.5, -10.0, -8.0]
NAMES = ["fcc", "icosahedral", "fcc", "decahedral", "other"]
TETRAHEDRON = 1.8 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def cluster(silver: int) -> Atoms:
    return Atoms(f"Ag{silver}Au{4 - silver}", TETRAHEDRON)


def drawn(
    counts=COUNTS, energies=ENERGIES, names=NAMES, n=4, structures=None, **options
):
    hull = composition_hull(counts, energies, n)
    if structures is None:
        structures = [cluster(m) for m in counts]
    return hull_figure(hull, names, structures, ("Ag", "Au"), **options)


def points(axes) -> dict[str, np.ndarray]:
    """Offsets of every set of markers, by its label."""
    return {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}


def bars(axes) -> dict[float, tuple[float, str]]:
    return {
        round(p.get_x() + p.get_width() / 2, 6): (
            p.get_height(),
            to_hex(p.get_facecolor()),
        )
        for p in axes.patches
    }


def test_every_structure_is_drawn_at_its_excess_per_atom():
    shown = points(drawn().axes[0])
    assert set(shown) == {"fcc", "icosahedral", "decahedral", "other", "vertex"}
    np.testing.assert_allclose(shown["fcc"], [[0, 0], [2, -125]], atol=1e-9)
    np.testing.assert_allclose(shown["decahedral"], [[3, -250]])


def test_vertices_are_ringed_and_joined_by_the_hull():
    axes = drawn().axes[0]
    corners = [[0, 0], [1, -250], [3, -250], [4, 0]]
    np.testing.assert_allclose(points(axes)["vertex"], corners, atol=1e-9)
    (line,) = [line for line in axes.lines if line.get_label() == "hull"]
    np.testing.assert_allclose(line.get_xydata(), corners, atol=1e-9)


def test_motifs_differ_in_colour_and_in_shape():
    assert set(STYLES) == set(MOTIFS)
    colours, shapes = zip(*STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(shapes)) == len(MOTIFS)
    labels = [text.get_text() for text in drawn().axes[0].get_legend().get_texts()]
    assert labels == ["hull", "icosahedral", "decahedral", "fcc", "other", "vertex"]


def test_second_differences_of_vertices_are_filled():
    shown = bars(drawn().axes[1])
    assert {m: height for m, (height, _) in shown.items()} == {1: 1.5, 2: -1.0, 3: 1.5}
    faces = [shown[m][1] for m in (1, 2, 3)]
    assert faces[0] == faces[2] != faces[1] == "#ffffff"


def test_vertices_are_pictured_lettered_and_named():
    figure = drawn(point_groups=["Td", "C3v", "C2v", "D*h", "Kh"])
    excess, pictures = figure.axes[0], figure.axes[2:]
    titles = [picture.get_title() for picture in pictures]
    assert titles == [
        "$\\bf{a}$  Au$_{4}$\n$T_{d}$",
        "$\\bf{b}$  AgAu$_{3}$\n$C_{3v}$",
        "$\\bf{c}$  Ag$_{3}$Au\n$D_{\\infty h}$",
        "$\\bf{d}$  Ag$_{4}$\n$K_{h}$",
    ]
    letters = {text.get_text(): text.xy for text in excess.texts}
    assert list(letters) == list("abcd")
    np.testing.assert_allclose(letters["c"], (3, -250))


def bodies(picture) -> list[str]:
    """Face colours of the atoms, nearest last; far ones are paler."""
    circles = [p for p in picture.patches if isinstance(p, Circle) and p.get_lw() > 0]
    return [to_hex(circle.get_facecolor()) for circle in circles]


def test_an_element_has_one_colour_in_all_pictures():
    figure = drawn()
    gold, _, _, silver = figure.axes[2:]
    assert len(bodies(gold)) == len(bodies(silver)) == 4
    handles = figure.legends[0].legend_handles
    colours = {h.get_label(): to_hex(h.get_color()) for h in handles}
    assert (colours["Au"], colours["Ag"]) == (bodies(gold)[-1], bodies(silver)[-1])
    assert colours["Au"] != colours["Ag"]
    assert all(picture.get_legend() is None for picture in figure.axes[2:])


def test_pictures_share_one_scale():
    small = [cluster(m) for m in COUNTS]
    small[1].positions *= 2
    pictures = drawn(structures=small).axes[2:]
    spans = [np.ptp(p.get_xlim()) for p in pictures] + [
        np.ptp(p.get_ylim()) for p in pictures
    ]
    np.testing.assert_allclose(spans, spans[0])


def test_at_most_eight_vertices_are_pictured_the_ends_among_them(rng):
    counts = np.arange(21)
    energies = 0.01 * (counts - 10.0) ** 2
    # The most stable of the middle ones must not be passed over.
    energies[13] -= 0.015
    structures = [
        Atoms(f"Ag{m}Au{20 - m}", 4 * rng.normal(size=(20, 3))) for m in counts
    ]
    figure = drawn(counts, energies, ["fcc"] * 21, 20, structures=structures)
    titles = [picture.get_title() for picture in figure.axes[2:]]
    assert len(titles) == 8
    assert titles[0].endswith("Au$_{20}$")
    assert titles[-1].endswith("Ag$_{20}$")
    shown = [text.xy[0] for text in figure.axes[0].texts]
    assert 13 in shown
    assert np.max(np.diff(shown)) <= 5
    missing = [
        None if m else atoms for m, atoms in zip(counts, structures, strict=True)
    ]
    only = drawn(counts, energies, ["fcc"] * 21, 20, structures=missing)
    assert len(only.axes) == 3


def test_without_pure_clusters_energies_are_drawn():
    axes = drawn([1, 2], [-12.0, -10.4], ["fcc", "fcc"]).axes
    np.testing.assert_allclose(points(axes[0])["fcc"], [[1, -3.0], [2, -2.6]])
    assert axes[0].get_ylabel() == "energy per atom (eV)"
    assert [text.get_text() for text in axes[1].texts] == [
        "no composition has both neighbours"
    ]


def test_other_units_are_said_and_not_converted():
    axes = drawn(unit="epsilon").axes
    assert axes[0].get_ylabel() == "excess energy per atom (epsilon)"
    assert "epsilon" in axes[1].get_ylabel()
    np.testing.assert_allclose(points(axes[0])["decahedral"], [[3, -0.25]])


@pytest.mark.parametrize("counts", [[2], [0, 4]], ids=["one", "pure"])
def test_few_compositions_can_be_drawn_and_saved(counts, tmp_path):
    energies = [0.0 for _ in counts]
    figure = drawn(counts, energies, ["fcc"] * len(counts), title="few")
    for name in ("a.png", "a.pdf"):
        save_figure(figure, tmp_path / name, name[2:])
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"names": NAMES[:4]}, "4 motifs for 5 energies"),
        ({"structures": [None]}, "1 structures for 5 energies"),
        ({"point_groups": ["C1"]}, "1 point groups for 5 energies"),
        ({"names": ["cubic", *NAMES[1:]]}, "no motif is named 'cubic'"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        drawn(**changed)
