"""Hull searches: homotops against brute force, folders, resumption, refusals."""

from __future__ import annotations

import errno
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron, Octahedron

import ase_l2h.search.hull.search as module
from ase_l2h.potentials.base import energy_and_gradient
from ase_l2h.search.hull.folder import read_state
from ase_l2h.search.hull.search import FolderError, HullSearch, find_hull
from ase_l2h.search.hull.system import hull_system
from ase_l2h.search.population.evaluator import (
    Candidate,
    Decorator,
    Pool,
    mark_of,
    transmuted,
)
from ase_l2h.search.population.rounds import (
    CompositionSearch,
    HullSettings,
    fragment,
)

SMALL: dict[str, Any] = {"n_atoms": 5, "budget": 1500, "method": "bh", "seed": 4}
LONGER: dict[str, Any] = SMALL | {"budget": 9000}


def octahedron(length: float) -> np.ndarray:
    """Positions ``(3, 6)`` with the bond length given."""
    return np.concatenate([np.eye(3), -np.eye(3)], axis=1) * length / np.sqrt(2)


@pytest.fixture(scope="module")
def decorator() -> Decorator:
    return Decorator(hull_system("PdPt", 6).potential, 6)


def candidate(decorator: Decorator, species: list[int]) -> Candidate:
    start = octahedron(2.6)[..., None]
    return decorator.relax(np.array(species)[:, None], start)[0]


def test_flips_are_differences_of_single_energies(decorator):
    """One atom turned into the other element, nothing moved."""
    structure = candidate(decorator, [0, 1, 0, 1, 1, 0])
    flips = decorator.flips([structure, structure])
    energy = jax.jit(lambda x, s: energy_and_gradient(decorator.potential, x, s).energy)
    for atom in range(6):
        species = structure.species.copy()
        species[atom] = 1 - species[atom]
        system = decorator.system(species[:, None])
        with jax.enable_x64(True):
            positions = jnp.asarray(structure.positions[..., None])
            turned = float(energy(positions, system)[0])
        np.testing.assert_allclose(
            flips[:, atom], turned - structure.energy, rtol=0, atol=2e-5
        )


def test_exchanges_descend_to_the_lowest_homotop(decorator):
    """Of all 20 ways to put three palladium atoms on an octahedron."""
    choices = [
        [1 if k in ones else 0 for k in range(6)]
        for ones in itertools.combinations(range(6), 3)
    ]
    relaxed = [candidate(decorator, species) for species in choices]
    lowest = min(c.energy for c in relaxed)
    highest = max(relaxed, key=lambda c: c.energy)
    assert highest.energy > lowest + 0.01
    before = decorator.charged.copy()
    (best,) = decorator.descend([highest])
    np.testing.assert_allclose(best.energy, lowest, atol=2e-4)
    assert best.composition() == 3
    # Flips are charged to the neighbours, exchanges and relaxations to itself.
    spent = decorator.charged - before
    assert spent[2] > 0
    assert spent[4] > 0
    assert spent[3] > 9
    assert spent[[0, 1, 5, 6]].sum() == 0


def test_every_evaluation_of_a_relaxation_is_charged(decorator):
    before = decorator.charged.copy()
    start = octahedron(2.6)[..., None]
    decorator.relax(np.array([0, 0, 1, 1, 1, 1])[:, None], start)
    loose = (decorator.charged - before)[4]
    assert 3 < loose < 151
    decorator.single_points(np.zeros((6, 3), int), np.repeat(start, 3, axis=-1))
    assert (decorator.charged - before)[0] == 3


def test_a_relaxation_does_not_depend_on_its_company(decorator):
    """Palladium and platinum differ in their units of force."""
    start = octahedron(2.7)[..., None]
    kinds = np.array([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]).T
    starts = np.repeat(start, 3, axis=-1) + np.linspace(0, 0.1, 18).reshape((1, 6, 3))
    together = decorator.relax(kinds, starts)
    exact = decorator.polish(together)
    for k in range(3):
        (alone,) = decorator.relax(kinds[:, [k]], starts[..., [k]])
        assert alone.energy == together[k].energy
        (polished,) = decorator.polish([alone])
        assert polished.energy == exact[k].energy


def test_two_devices_share_the_work_and_find_the_same():
    """JAX has two processors here, see conftest."""
    # One round of 72 starts, two chunks.
    round_: dict[str, Any] = SMALL | {"budget": 100}
    first, second = (find_hull("AgAu", devices=count, **round_) for count in (1, 2))
    assert first.charged == second.charged
    for count, atoms in first.structures.items():
        other = second.structures[count]
        assert atoms.get_potential_energy() == other.get_potential_energy()
    system = hull_system("AgAu", 5)
    both = Decorator(system.potential, 5, jax.local_devices()[:2])
    one = Decorator(system.potential, 5)
    rng = np.random.default_rng(0)
    species = rng.integers(0, 2, (5, 130))
    positions = 2.7 * rng.normal(size=(3, 5, 130))
    seen: set[Any] = set()
    energy = both._energy
    noted: Any = lambda p, x, s: (seen.add(x.device), energy(p, x, s))[1]
    both._energy = noted
    np.testing.assert_array_equal(
        both.single_points(species, positions), one.single_points(species, positions)
    )
    assert seen == set(jax.local_devices()[:2])
    assert both.charged.tolist() == one.charged.tolist()


def test_the_cheapest_atoms_are_turned():
    structure = Candidate(-1.0, np.array([0, 0, 0, 1, 1, 0]), np.zeros((3, 6)))
    costs = np.array([3.0, 1.0, 50.0, -9.0, 7.0, 40.0])
    counts = np.zeros(6)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        species = transmuted(structure, costs, 4, rng)
        assert species.sum() == 4
        assert species[[3, 4]].tolist() == [1, 1]
        counts += species
    assert counts[[0, 1]].min() > 30
    assert counts[2] < 10
    back = transmuted(structure, costs, 1, np.random.default_rng(1))
    assert back.tolist() == [0, 0, 0, 0, 1, 0]


def test_a_pool_keeps_the_lowest_distinct_structures():
    pool = Pool(size=3, same=1e-3, per_shape=2)
    rng = np.random.default_rng(0)
    shapes = [rng.normal(size=(3, 9)) * 2.0 for _ in range(4)]
    entry = lambda energy, shape: Candidate(energy, np.zeros(9, int), shapes[shape])
    assert pool.add(entry(-1.0, 0), 1.0)
    assert not pool.add(entry(-1.0004, 0), 1.0)
    assert pool.add(entry(-2.0, 0), 1.0)
    # The third homotop of one geometry goes, the highest.
    assert not pool.add(entry(-1.5, 0), 1.0)
    assert [e.energy for e in pool.entries] == [-2.0, -1.5]
    for shape, energy in ((1, -1.2), (2, -0.5), (3, -3.0)):
        pool.add(entry(energy, shape), 1.0)
    assert [e.energy for e in pool.entries] == [-3.0, -2.0, -1.5]
    assert not pool.add(entry(float("inf"), 1), 1.0)


def packed(positions: np.ndarray) -> np.ndarray:
    """Positions ``(3, n)`` with nearest neighbours 1 apart on average."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    return positions.T / distances.min(axis=1).mean()


@pytest.mark.parametrize(
    ("positions", "niche", "bonds"),
    [
        (Octahedron("Au", 4, 1).positions, 0, 0),
        # The axis of a decahedron.
        (Decahedron("Au", 3, 2, 0).positions, 1, 3),
        # Twelve bonds from the centre; thirty axes more with the second shell.
        (Icosahedron("Au", 2).positions, 2, 12),
        (Icosahedron("Au", 3).positions, 3, 24),
    ],
)
def test_a_niche_counts_bonds_with_five_common_neighbours(positions, niche, bonds):
    places = packed(positions)
    assert mark_of(places, 1.0).niche == niche
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=0)
    near = (apart < 1.25) & (apart > 0)
    counted = [
        np.sum(near[i] & near[j]) == 5
        for i, j in itertools.combinations(range(len(near)), 2)
        if near[i, j]
    ]
    assert sum(counted) == bonds


def test_a_pool_keeps_every_packing_until_it_lies_too_high():
    pool = Pool(size=2, same=1e-3, per_shape=2, window=1.0)
    close, centred = (
        packed(Octahedron("Au", 3, 0).positions)[:, :13],
        packed(Icosahedron("Au", 2).positions),
    )
    entry = lambda energy, places: Candidate(energy, np.zeros(13, int), places)
    assert pool.add(entry(-1.0, close), 1.0)
    assert pool.add(entry(-1.1, close), 1.0)
    assert not pool.add(entry(-0.3, centred), 1.0)
    # A third of a packing goes, however much lower than those of another one.
    assert not pool.add(entry(-0.9, close), 1.0)
    assert pool.wants(entry(-0.2, centred), 1.0)
    assert not pool.wants(entry(-0.2, close), 1.0)
    assert not pool.wants(entry(-0.0, centred), 1.0)
    assert [e.energy for e in pool.entries] == [-1.1, -1.0, -0.3]
    assert [[e.energy for e in n] for n in pool.niches().values()] == [
        [-1.1, -1.0],
        [-0.3],
    ]
    # The other packing falls: the first one is given up when it lies too far above.
    assert pool.add(entry(-2.05, centred), 1.0)
    assert [e.energy for e in pool.entries] == [-2.05, -1.1, -1.0, -0.3]
    assert pool.add(entry(-2.2, centred), 1.0)
    assert [e.energy for e in pool.entries] == [-2.2, -2.05]


def test_the_elements_are_counted_as_the_user_names_them():
    """Gold before silver in the name, silver first in the potential."""
    forward, reverse = hull_system("AgAu", 5), hull_system("AuAg", 5)
    assert forward.order == reverse.order == ("Ag", "Au")
    assert (forward.ones(2), reverse.ones(2)) == (3, 2)
    first = find_hull("AgAu", compositions=[2], **SMALL)
    second = find_hull("AuAg", compositions=[3], **SMALL)
    assert first.structures[2].get_chemical_formula() == "Ag2Au3"
    assert second.structures[3].get_chemical_formula() == "Ag2Au3"
    assert second.structures[3].get_chemical_symbols() == ["Au"] * 3 + ["Ag"] * 2
    np.testing.assert_allclose(
        first.structures[2].get_potential_energy(),
        second.structures[3].get_potential_energy(),
        rtol=1e-6,
    )


def test_stored_energies_are_those_of_the_stored_structures():
    from ase_l2h.ase_adapter.calculators import Gupta

    result = find_hull("AgAu", compositions=[0, 2, 5], **SMALL)
    for atoms in result.structures.values():
        copy = atoms.copy()
        copy.calc = Gupta("AgAu")
        np.testing.assert_allclose(
            copy.get_potential_energy(), atoms.get_potential_energy(), rtol=1e-9
        )
        assert np.max(np.abs(copy.get_forces())) < 1e-4
    assert list(result.structures) == [0, 2, 5]


def test_parameters_of_ones_own(tmp_path):
    """The Gupta file gives the set's energies; Lennard-Jones rows mix argon pairs."""
    path = tmp_path / "mine.toml"
    path.write_text(
        '"Au-Ag" = [10.494, 3.607, 2.8885, 1.4874, 0.1488]\n'
        '"Ag-Ag" = [10.85, 3.18, 2.8921, 1.1895, 0.1031]\n'
        '"Au-Au" = [10.139, 4.033, 2.885, 1.8153, 0.2096]\n'
    )
    own = hull_system("AgAu", 5, parameters=path).potential
    named = hull_system("AgAu", 5).potential
    for ours, theirs in zip(jax.tree.leaves(own), jax.tree.leaves(named), strict=True):
        np.testing.assert_allclose(ours, theirs)
    path.write_text('"Ar-Ar"=[1, 1]\n"Ar-Kr"=[1, 1]\n"Kr-Kr"=[1, 1.0]\n')
    seven: dict[str, Any] = SMALL | {"n_atoms": 7}
    alike = find_hull(
        "ArKr", potential="lj", parameters=path, compositions=[2, 5], **seven
    )
    for atoms in alike.structures.values():
        np.testing.assert_allclose(atoms.get_potential_energy(), -16.505384, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "Ag"}, "no pair of elements"),
        ({"name": "AgAg"}, "no pair of elements"),
        ({"name": "agau"}, "no pair of elements"),
        ({"name": "AgXe"}, "known pairs are .*AgAu"),
        ({"name": "AgAu", "n_atoms": 2}, "a hull takes 3 to 2000"),
        ({"name": "AgAu", "n_atoms": 2001}, "a hull takes 3 to 2000"),
        ({"name": "AgAu", "parameters": "PdPt"}, "do not know Ag, Au"),
        ({"name": "AgAu", "parameters": "none.toml"}, "neither a Gupta parameter set"),
        ({"name": "ArKr", "potential": "lj"}, "give them with --parameters FILE"),
        ({"name": "AgAu", "potential": "eam"}, "choose one of gupta, lj"),
    ],
)
def test_systems_that_make_no_sense(arguments, said):
    arguments = {"n_atoms": 5, **arguments}
    name, n = arguments.pop("name"), arguments.pop("n_atoms")
    with pytest.raises(ValueError, match=said):
        hull_system(name, n, **arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "is not a TOML file"),
        ('"Ag-Ag" = [1,1,1,1,1]', "one row for Ag-Au"),
        ('"Ag-Ag" = [1,1,1,1]', "5 positive numbers"),
        ('"Ag-Ag" = [1,1,1,1,-1]', "5 positive numbers"),
        ('"Ag-Ag" = [1,1,1,1,true]', "5 positive numbers"),
        ('"Ag-Ag" = "x"', "5 positive numbers"),
    ],
)
def test_parameter_files_that_make_no_sense(tmp_path, text, said):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        hull_system("AgAu", 5, parameters=tmp_path / "p.toml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"compositions": [6]}, "give 0 to 5"),
        ({"compositions": []}, "no composition"),
        ({"budget": 0}, "budget is 0"),
        ({"seed": -1}, "the seed is -1"),
        ({"method": "ga"}, "choose one of hybrid, learned, bh"),
        ({"weights": "universal"}, "uses no weights"),
        ({"max_seconds": 0.0}, "give a time above 0"),
        ({"devices": 3}, r"3 devices .* JAX finds 2 \(cpu\) here; give 1 to 2"),
        ({"devices": 0}, "give 1 to 2"),
    ],
)
def test_searches_that_make_no_sense(arguments, said):
    with pytest.raises(ValueError, match=said):
        find_hull("AgAu", **SMALL | arguments)


def stored(folder: Path) -> dict:
    state = read_state(folder / "state.safetensors")
    assert state is not None
    return state


def assert_same_state(folder: Path, other: Path) -> None:
    """All pools and counts, to the bit; and the record."""
    first, second = stored(folder), stored(other)
    assert first["rounds"] == second["rounds"]
    assert first["quiet"] == second["quiet"]
    assert first["charged"].tolist() == second["charged"].tolist()
    for a, b in zip(first["candidates"], second["candidates"], strict=True):
        assert a.energy == b.energy
        assert a.species.tolist() == b.species.tolist()
        assert a.positions.tobytes() == b.positions.tobytes()
    text = [(f / "progress.jsonl").read_text() for f in (folder, other)]
    assert text[0] == text[1]


def test_an_interrupted_search_continues_to_the_same_bits(tmp_path):
    """Stopped after every round; and killed between the record and nothing else."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    find_hull("AgAu", folder=whole, **LONGER)
    rounds = stored(whole)["rounds"]
    assert rounds > 2

    def stop(search, fallen):
        raise KeyboardInterrupt

    for k in range(rounds + 2):
        result = find_hull("AgAu", folder=parts, progress=stop, **LONGER)
        if result.ended != "interrupted":
            break
        if k == 1:
            # What a kill between two files leaves behind.
            with (parts / "progress.jsonl").open("a") as stream:
                stream.write('{"round": 3, "fal')
            (parts / "state.safetensors.partial").write_bytes(b"half")
    assert result.ended in ("budget", "settled")
    assert_same_state(whole, parts)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    """No room for the record, for the state, or for half of it; then there is again."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    find_hull("AgAu", folder=whole, **LONGER)
    rounds = stored(whole)["rounds"]

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for k, name in enumerate(("append_line", "write_state", "os.fsync")):

        def after_round(search, fallen, name=name):
            target = f"ase_l2h.search.hull.search.{name}" if "." not in name else name
            context.setattr(target, full)

        with (
            monkeypatch.context() as context,
            pytest.raises(FolderError, match=r"No space left .* make room and run"),
        ):
            find_hull("AgAu", folder=parts, progress=after_round, **LONGER)
        assert stored(parts)["rounds"] == k + 1 < rounds
    find_hull("AgAu", folder=parts, **LONGER)
    assert_same_state(whole, parts)


def test_results_without_their_state_are_not_begun_anew(tmp_path):
    """The new ones might lie higher."""
    folder = tmp_path / "hull"
    find_hull("AgAu", folder=folder, **SMALL)
    (folder / "hull.csv").write_text("results")
    (folder / "state.safetensors").unlink()
    with pytest.raises(ValueError, match=r"state.safetensors is missing"):
        find_hull("AgAu", folder=folder, **SMALL)


def test_states_that_are_cut_or_changed_are_damaged(tmp_path):
    folder = tmp_path / "hull"
    find_hull("AgAu", folder=folder, **SMALL)
    path = folder / "state.safetensors"
    content = path.read_bytes()
    broken = [content[:k] for k in (0, 7, 8, 100, len(content) - 1)]
    broken += [
        content.replace(b"rounds", b"rounbs"),
        content.replace(b"energies", b"enorgies"),
        b"\xff" * 8 + content[8:],
        content + b"x",
    ]
    for damaged in broken:
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="safetensors is damaged"):
            find_hull("AgAu", folder=folder, **SMALL)


def test_an_update_adds_budget_and_loses_nothing(tmp_path):
    """More is charged, nothing rises, and the sum of budgets is what counts."""
    folder = tmp_path / "hull"
    first = find_hull("AgAu", folder=folder, **SMALL)
    again = find_hull("AgAu", folder=folder, **SMALL)
    assert again.rounds == first.rounds
    more = find_hull("AgAu", folder=folder, update=True, **SMALL)
    assert more.settings["budget"] == 3000
    assert more.rounds > first.rounds
    for count, atoms in more.structures.items():
        before = first.structures[count].get_potential_energy()
        assert atoms.get_potential_energy() <= before + 1e-9


def test_a_folder_of_another_search_is_left_alone(tmp_path):
    folder = tmp_path / "hull"
    find_hull("AgAu", folder=folder, **SMALL)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for change, said in (
        ({"seed": 5}, "with other seed"),
        ({"n_atoms": 6}, "with other .*n"),
        ({"method": "hybrid"}, "with other method"),
        ({"compositions": [1]}, "with other compositions"),
        ({"parameters": "AgAu", "system": "AuAg"}, "with other system"),
    ):
        arguments = {"system": "AgAu", **SMALL, **change}
        with pytest.raises(ValueError, match=said):
            find_hull(folder=folder, **arguments)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    (folder / "state.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="safetensors is damaged"):
        find_hull("AgAu", folder=folder, **SMALL)
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match="json is damaged"):
        find_hull("AgAu", folder=folder, **SMALL)


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no hull search"):
        find_hull("AgAu", folder=tmp_path, **SMALL)
    with pytest.raises(ValueError, match="is a file"):
        find_hull("AgAu", folder=tmp_path / "notes.txt", **SMALL)
    with pytest.raises(ValueError, match="cannot write in the folder"):
        find_hull("AgAu", folder=tmp_path / "notes.txt" / "hull", **SMALL)


def test_a_time_limit_ends_a_search(tmp_path):
    result = find_hull("AgAu", max_seconds=1e-6, **LONGER)
    assert (result.ended, result.rounds) == ("time", 1)


def test_the_learned_optimizer_takes_part():
    """Both ways of using it find the lowest bipyramid of seven atoms."""
    settings = {"n_atoms": 7, "budget": 6000, "seed": 2, "compositions": [3]}
    found = {
        method: find_hull("AgAu", method=method, **settings)
        .structures[3]
        .get_potential_energy()
        for method in ("learned", "hybrid", "bh")
    }
    lowest = min(found.values())
    assert all(energy < lowest + 1e-5 for energy in found.values())


def test_shares_of_the_compositions_make_the_whole():
    """Two processes by hand: each works on its share, and both know everything."""
    system = hull_system("AgAu", 5)
    settings = HullSettings(tuple(range(6)), method="bh", budget=900, seed=1)
    alone = CompositionSearch(system.potential, 5, settings, None)
    posts: list = []
    pair = [
        CompositionSearch(
            system.potential,
            5,
            settings,
            None,
            share=(p, 2),
            exchange=lambda work: (posts.append(work()), posts[-1])[1],
        )
        for p in range(2)
    ]
    for _ in range(2):
        alone.advance()
        posts.clear()
        for search in pair:
            search.advance()
        # Hand each the other's share, as an exchange would have.
        (first, spent), (second, others) = posts
        for search, missing, charges in zip(
            pair, (second, first), (others, spent), strict=True
        ):
            for c in sorted(missing, key=lambda c: (c.composition(), c.energy)):
                search.pools[c.composition()].add(c, 2.8)
            search.charged = search.charged + charges
    for search in pair:
        for m, pool in alone.pools.items():
            assert search.pools[m].energy == pool.energy
        assert search.charged.tolist() == alone.charged.tolist()


def test_the_record_has_a_line_per_round(tmp_path):
    find_hull("AgAu", folder=tmp_path / "hull", **LONGER)
    lines = (tmp_path / "hull" / "progress.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["round"] for row in rows] == list(range(1, len(rows) + 1))
    for row, following in itertools.pairwise(rows):
        assert following["charged_evaluations"] > row["charged_evaluations"]
        for count, energy in row["energies"].items():
            assert following["energies"][count] <= energy


def test_the_search_keeps_its_best_in_memory_without_a_folder():
    system = hull_system("AgAu", 5)
    settings = HullSettings((2,), method="bh", budget=500)
    search = HullSearch(system, settings, None)
    search.advance()
    assert list(search.result("budget").structures) == [3]
    assert module.DEFAULT_BUDGET > 0


@pytest.mark.parametrize("n", [6, 38, 150])
def test_fragments_are_compact_pieces_of_ordered_packings(n):
    """As many atoms as asked for, none closer than neighbours, all touching another."""
    templates = module.ordered_packings(n)
    assert len(templates) == 3
    rng = np.random.default_rng(3)
    radii = []
    for template in templates * 4:
        assert len(template) >= 4 * n
        piece = fragment(template, n, rng)
        assert piece.shape == (3, n)
        np.testing.assert_allclose(piece.mean(axis=1), 0, atol=1e-12)
        distances = np.linalg.norm(piece[:, :, None] - piece[:, None], axis=0)
        distances[np.diag_indices(n)] = np.inf
        assert distances.min() > 0.94
        assert np.max(distances.min(axis=1)) < 1.1
        radii.append(np.linalg.norm(piece, axis=0).max())
    # A ball of n atoms at the density of close packing, and not twice as wide.
    assert max(radii) < 2 * (3 * n / (4 * np.pi * np.sqrt(2))) ** (1 / 3)
    first, second = (fragment(templates[0], n, rng) for _ in range(2))
    assert not np.allclose(first, second)
