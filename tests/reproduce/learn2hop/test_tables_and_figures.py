"""Tables and figures: quoted numbers, basins and hops, tables from records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_l2h.optimizers import BasinHopping
from ase_l2h.reproduce.action.methods import WEIGHTS
from ase_l2h.reproduce.learn2hop import fig3, fig6, fig7, sizes, table2, table3, table6
from ase_l2h.reproduce.learn2hop.behaviour import (
    _displacements,
    basin_kinds,
    frozen_updates,
    vertex_cosines,
)
from ase_l2h.reproduce.learn2hop.paper import paper_numbers, paper_target
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    PAPER_HOPS,
    SearchOutcome,
    SearchSpec,
    _optimizer,
    learned_style,
    step_count,
)
from ase_l2h.reproduce.learn2hop.trainings import training_folder
from ase_l2h.rules import Adam
from ase_l2h.targets import named_target
from ase_l2h.weights.files import manifest

GOLDEN = (1 + 5**0.5) / 2
VERTICES = np.array(
    [v for a in (1, -1) for v in ((0, a, GOLDEN), (a, GOLDEN, 0), (GOLDEN, 0, a))]
)
ICOSAHEDRON = 1.08 * np.vstack([np.zeros(3), VERTICES, -VERTICES]) / 1.902


def found(energies, reference=-10.0, within=1e-4) -> SearchOutcome:
    line = {
        "energies": energies,
        "reference": reference,
        "within": within,
        "n_starts": len(energies),
        "n_steps": 5,
        "charged_evaluations": 100 * len(energies),
    }
    return SearchOutcome(line)


def test_every_quoted_number_has_its_row_and_column():
    numbers = paper_numbers()
    table = numbers["table2"]
    for kind in ("mean", "min"):
        assert set(table[kind]) == set(table["minima"])
        for target, row in table[kind].items():
            assert len(row) == len(table["columns"])
            assert all(value >= table["minima"][target] for value in row)
    for target, row in table["mean"].items():
        assert all(np.array(row) >= table["min"][target])
    for estimator in ("ESMC", "GA"):
        assert len(numbers["table3"][estimator]) == len(table3.GROUPS)
    # Both tables of the paper tell of the same runs, one with fewer digits.
    for target, column in (("LJ13", 0), ("LJ75", 1), ("Si64", 2)):
        for k, method in enumerate(("Adam", "FIRE")):
            short = numbers["table6"][method][column]
            assert short == pytest.approx(table["mean"][target][k], abs=0.051)


def test_silicon_is_in_the_cell_that_the_papers_minimum_belongs_to():
    silicon = paper_target("Si64")
    minimum = paper_numbers()["table2"]["minima"]["Si64"]
    assert silicon.reference == pytest.approx(minimum, abs=0.005)
    np.testing.assert_allclose(np.asarray(silicon.system.cell), 10.76 * np.eye(3))
    assert paper_target("Au55").reference == paper_numbers()["table2"]["minima"]["Au55"]


def test_a_start_without_energy_is_no_hit_and_not_in_the_mean():
    one = found([-10.0, -9.0, None, -10.00005, -9.9998])
    assert one.hits == 2
    assert one.mean == pytest.approx((-10 - 9 - 10.00005 - 9.9998) / 4)
    assert one.lowest == -10.00005
    assert one.per_start == 100
    assert found([-10.0], reference=None).hits is None


def test_the_papers_basin_hopping_makes_ten_hops_however_long():
    spec = SearchSpec(named_target("LJ13"), METHOD_STYLES["bh-paper"], 2000, 4, 0)
    optimizer = _optimizer(spec)
    assert isinstance(optimizer, BasinHopping)
    assert isinstance(optimizer.quench, Adam)
    assert optimizer.max_quench * PAPER_HOPS == 2000
    assert step_count(spec._replace(style=METHOD_STYLES["paper"], steps=None)) == 1000


def test_table_2_puts_the_papers_number_beside_each_of_ours():
    methods = (*table2.METHODS, *table2.BUDGETS["paper"].more)
    outcomes = {name: found([-44.326801, -41.0]) for name in methods}
    text = table2._target_table("LJ13", outcomes)
    rows = {row.split(" | ")[0]: row.split(" | ") for row in text.splitlines()[2:]}
    assert rows["| Adam"][2] == "-40.58"
    assert rows["| FIRE"][4] == "-44.33"
    learned = next(row for name, row in rows.items() if "paper's rule" in name)
    assert learned[2] == "-44.26 / -44.31"
    by_esmc = next(row for name, row in rows.items() if "rule, ESMC" in name)
    assert by_esmc[2] == "-44.26"
    strong = next(row for name, row in rows.items() if "strong" in name)
    assert strong[2] == "-"


def test_basins_are_told_apart_per_start():
    """Each column is a start: the minimum, somewhere new, there again."""
    basins = [[-5.0, -3.0], [-3.0, -5.00001], [-3.0, -2.0], [-2.5, -3.0]]
    shares = basin_kinds(basins, reference=-5.0, scale=1.0)
    assert list(shares.values()) == [2 / 8, 2 / 8, 4 / 8]


def test_a_turned_structure_has_not_hopped_and_a_moved_atom_has():
    turn = Rotation.from_euler("xyz", [0.3, -1.1, 2.0]).as_matrix()
    moved = ICOSAHEDRON.copy()
    moved[3] += [0.0, 0.5, 0.2]
    snapshots = np.stack([ICOSAHEDRON, ICOSAHEDRON @ turn.T + 2.0, moved])
    positions = np.transpose(snapshots, (2, 1, 0))[..., None]
    distances = _displacements(positions, named_target("LJ13"))[:, 0]
    length = 2 ** (1 / 6)
    assert distances[0] == pytest.approx(0, abs=1e-6)
    # An atom moved by 0.54 of thirteen, about the new centroid, perhaps turned back.
    most = math.sqrt(0.29 * 12 / 13) / math.sqrt(13) / length
    assert 0.5 * most < distances[1] <= most


def test_alignment_is_that_of_the_vertex_nearest_to_an_axis():
    target = named_target("LJ13")
    upright = VERTICES[0] / np.linalg.norm(VERTICES[0])
    turn = Rotation.align_vectors([[0, 0, 1]], [upright])[0].as_matrix()
    both = np.stack([ICOSAHEDRON, ICOSAHEDRON @ turn.T, ICOSAHEDRON])
    energies = np.array([-44.326801, -44.326801, -41.0])
    cosines = vertex_cosines(target, energies, np.transpose(both, (2, 1, 0)))
    # The third is no minimum.
    assert cosines == pytest.approx([GOLDEN / math.sqrt(1 + GOLDEN**2), 1.0], abs=1e-5)


def test_a_rule_that_follows_the_gradient_stands_still_at_a_frozen_minimum():
    style = METHOD_STYLES["adam"]._replace(method="gd")
    sizes = frozen_updates(named_target("LJ13"), style, ICOSAHEDRON.T, 7, 0)
    assert sizes == [0.0] * 7


def test_trainings_of_another_configuration_have_another_folder(tmp_path):
    size = fig3.BUDGETS["quick"]
    one = fig3.configuration(size, "esmc", 1)
    assert training_folder(tmp_path, one) == training_folder(tmp_path, one)
    longer = fig3.configuration(size._replace(updates=41), "esmc", 1)
    assert training_folder(tmp_path, one) != training_folder(tmp_path, longer)


def test_estimators_unroll_the_same_number_of_structures():
    size = fig3.BUDGETS["quick"]
    counts = {}
    for name in fig3.ESTIMATORS:
        config = fig3.configuration(size, name, 1)
        arms = 1 if name == "ga" else 2
        counts[name] = config.directions * arms * config.starts
    assert len(set(counts.values())) == 1


def test_the_jump_is_where_half_of_the_starts_hit_for_some_updates():
    hits = [0.0] * 10 + [1.0] + [0.0] * 9 + [1.0] * 10
    run = {"updates": [{"hits": {"LJ13": h}, "loss": -h} for h in hits]}
    # A single good update is none; the third of five in a row is.
    assert fig3.half_hit(run) == "23"
    assert fig3.half_hit({"updates": run["updates"][:15]}) == "never"


def test_inputs_are_added_in_the_papers_order():
    size = table3.BUDGETS["quick"]
    config = table3.configuration(size, "ga", "decays", 1)
    on = [name for name, switch in config.features.items() if switch]
    assert on == ["gradients", "positions", "decays"]
    assert set(config.features) == set(table3.GROUPS)


def test_sizes_that_weights_were_trained_on_are_those_of_the_manifest():
    assert sizes.trained_sizes(learned_style("lj", 0)) == {13, 19, 31, 38, 55, 75}
    assert sizes.trained_sizes(learned_style("paper-lj13", 0)) == {13}
    # A portfolio has been trained on what any of its rules has.
    assert sizes.trained_sizes(METHOD_STYLES["default"]) >= {13, 26, 75}
    quick = sizes.BUDGETS["quick"].sizes
    assert len(quick) >= 10
    assert (quick[0], quick[-1]) == (13, 100)


def test_what_is_loaded_is_installed_and_what_has_the_role_is_loaded():
    styles = [
        *METHOD_STYLES.values(),
        *fig6.STYLES,
        *fig7.METHODS.values(),
        *sizes._training_sets(),
        *(style for style, _ in table6.styles_and_rows()),
    ]
    loaded = {WEIGHTS, *(style.weights for style in styles)} - {None}
    roles = {name: entry["role"] for name, entry in manifest()["weights"].items()}
    assert {roles[name] for name in loaded} == {"default", "paper"}
    assert {name for name, role in roles.items() if role == "paper"} <= loaded
