"""Hull searches: folders, resumption, refusals."""

from __future__ import annotations

import errno
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ase_l2h._internal.checkpoint import Checkpoint, CheckpointError
from ase_l2h.search.hull.rounds import HullSearch
from ase_l2h.search.hull.search import find_hull
from ase_l2h.search.hull.settings import HullSettings
from ase_l2h.search.hull.system import hull_system

# Without a learned optimizer.
PLAIN = ("learned-hops", "learned-starts")
SMALL: dict[str, Any] = {"n_atoms": 5, "budget": 1500, "without": PLAIN, "seed": 4}
LONGER: dict[str, Any] = SMALL | {"budget": 9000}


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


@pytest.mark.slow
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
        ({"name": "Ag"}, "not a pair of elements"),
        ({"name": "AgAg"}, "not a pair of elements"),
        ({"name": "agau"}, "not a pair of elements"),
        ({"name": "AgXe"}, "known pairs are .*AgAu.*CoNi.*FeCo.*FeNi"),
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
        (
            {"without": ["ga"]},
            "no part named 'ga'; choose one of uniform, .*neighbours",
        ),
        (
            {"without": ["uniform", "symmetric", "fragments", "learned-starts"]},
            "no source of structures is left; keep one of fragments, learned-starts",
        ),
        ({"weights": "universal"}, "both learned parts are left out"),
        ({"max_seconds": 0.0}, "give a time above 0"),
        ({"backend": "fast"}, "no backend named 'fast'"),
    ],
)
def test_searches_that_make_no_sense(arguments, said):
    with pytest.raises(ValueError, match=said):
        find_hull("AgAu", **SMALL | arguments)


def progress_lines(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def kept(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and numbers of a folder's state, without the seconds it took."""
    identity = json.loads((folder / "run.json").read_text())
    arrays, metadata = Checkpoint(folder, identity).load()
    state = metadata["state"]
    del state["seconds"]
    return arrays, state


def assert_same_state(folder: Path, other: Path) -> None:
    """All pools and counts, to the bit; and the record."""
    (first, numbers), (second, others) = kept(folder), kept(other)
    assert numbers == others
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name
    assert progress_lines(folder) == progress_lines(other)


def rounds_of(folder: Path) -> int:
    return kept(folder)[1]["rounds"]


def test_an_interrupted_search_continues_to_the_same_bits(tmp_path):
    """Stopped after every round; and killed between the record and nothing else."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    find_hull("AgAu", folder=whole, **LONGER)
    rounds = rounds_of(whole)
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


@pytest.mark.slow
def test_an_interruption_within_a_round_is_as_if_it_never_was(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    find_hull("AgAu", folder=whole, **LONGER)
    calls = itertools.count(1)
    for _ in range(1000):
        asked: list[int] = []

        def now(asked=asked) -> bool:
            asked.append(next(calls))
            return len(asked) > 1500

        result = find_hull("AgAu", folder=parts, interrupted=now, **LONGER)
        if result.ended != "interrupted":
            break
        assert result.structures or len(asked) <= 1501
    assert result.ended in ("budget", "settled")
    assert_same_state(whole, parts)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    """No room for the record, or for the state; then there is again."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    find_hull("AgAu", folder=whole, **LONGER)
    rounds = rounds_of(whole)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    places = ("ase_l2h._internal.checkpoint.write_atomically", "os.fsync")
    for k, name in enumerate(places):

        def after_round(search, fallen, name=name):
            context.setattr(name, full)

        with (
            monkeypatch.context() as context,
            pytest.raises(CheckpointError, match=r"No space left .* free some space"),
        ):
            find_hull("AgAu", folder=parts, progress=after_round, **LONGER)
        assert rounds_of(parts) == k + 1 < rounds
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
        content[:-3] + b"abc",
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
    assert again.charged == first.charged
    for count, atoms in again.structures.items():
        energy = first.structures[count].get_potential_energy()
        assert atoms.get_potential_energy() == energy
    more = find_hull("AgAu", folder=folder, update=True, **SMALL)
    assert more.settings["budget"] == 3000
    assert more.rounds > first.rounds
    assert all(1500 < charged <= 3000 for charged in more.charged.values())
    for count, atoms in more.structures.items():
        before = first.structures[count].get_potential_energy()
        assert atoms.get_potential_energy() <= before + 1e-9


def test_a_folder_of_another_search_is_left_alone(tmp_path):
    folder = tmp_path / "hull"
    find_hull("AgAu", folder=folder, **SMALL)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for change, said in (
        ({"seed": 5}, "with another seed"),
        ({"n_atoms": 6}, "with another number of atoms; use"),
        ({"without": ()}, "other parts left out; use"),
        ({"compositions": [1]}, "with other compositions; use"),
        ({"parameters": "AgAu", "system": "AuAg"}, "with another system; use"),
    ):
        arguments = {"system": "AgAu", **SMALL, **change}
        with pytest.raises(ValueError, match=said):
            find_hull(folder=folder, **arguments)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match="json is damaged"):
        find_hull("AgAu", folder=folder, **SMALL)


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        find_hull("AgAu", folder=tmp_path, **SMALL)
    with pytest.raises(ValueError, match="is a file"):
        find_hull("AgAu", folder=tmp_path / "notes.txt", **SMALL)
    with pytest.raises(ValueError, match="cannot write in the folder"):
        find_hull("AgAu", folder=tmp_path / "notes.txt" / "hull", **SMALL)


def test_a_time_limit_ends_a_search_with_what_it_has():
    result = find_hull("AgAu", max_seconds=1e-6, **LONGER)
    assert result.ended == "time"
    assert max(result.charged.values()) < 9000


def test_no_composition_is_charged_more_than_its_budget():
    result = find_hull("AgAu", **SMALL)
    assert result.ended == "budget"
    assert all(0 < charged <= 1500 for charged in result.charged.values())


@pytest.mark.slow
def test_every_way_of_searching_finds_the_lowest_bipyramid():
    """Seven atoms: all parts, what begins at random only, no learned optimizer."""
    settings = {"n_atoms": 7, "budget": 6000, "seed": 2, "compositions": [3]}
    fresh = ("fragments", "shakes", "melts", "twists", "neighbours")
    found = [
        find_hull("AgAu", without=without, **settings)
        .structures[3]
        .get_potential_energy()
        for without in ((), fresh, PLAIN)
    ]
    assert all(energy < min(found) + 1e-5 for energy in found)


@pytest.mark.slow
def test_neighbours_in_composition_learn_from_each_other():
    """Eleven atoms, where neighbours share their packing: same budget, lower sum."""
    settings = {"n_atoms": 11, "budget": 3000, "without": PLAIN, "seed": 0}
    together = find_hull("PdPt", **settings)
    total = sum(a.get_potential_energy() for a in together.structures.values())
    alone = sum(
        find_hull("PdPt", compositions=[m], **settings)
        .structures[m]
        .get_potential_energy()
        for m in range(12)
    )
    assert total < alone + 1e-6


@pytest.mark.slow
def test_the_record_has_a_line_per_round(tmp_path):
    find_hull("AgAu", folder=tmp_path / "hull", **LONGER)
    rows = progress_lines(tmp_path / "hull")
    assert [row["round"] for row in rows] == list(range(1, len(rows) + 1))
    charged = [row["charged_evaluations"] for row in rows]
    # In the last round there may be too little left for anything.
    assert np.all(np.diff(charged[:-1]) > 0)
    assert charged[-1] >= charged[-2]
    for row, following in itertools.pairwise(rows):
        for count, energy in row["energies"].items():
            assert following["energies"][count] <= energy


def test_the_search_keeps_its_best_in_memory_without_a_folder():
    system = hull_system("AgAu", 5)
    settings = HullSettings((2,), without=PLAIN, budget=500)
    search = HullSearch(system, settings, None)
    search.advance()
    assert list(search.result("budget").structures) == [3]
