"""One proposal of the learned potential: its record, its picture and its captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_l2h._internal.records import read_lines

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def line(benchmark_module):
    (line,) = read_lines(benchmark_module("hits.proposal").RECORDS)
    return line


def test_the_record_says_what_the_calculator_says(line):
    for name in ("before", "proposed", "after"):
        told = line[name]
        atoms = Atoms(line["symbols"], told["positions"], calculator=EMT())
        assert atoms.get_potential_energy() == pytest.approx(told["energy"], abs=1e-4)
    energies = [fall["learned_energy"] for fall in line["path"]]
    assert np.all(np.diff(energies) < 0)
    assert line["proposed"]["learned_energy"] == pytest.approx(energies[-1], abs=1e-3)
    calls = line["before"]["calls"] + line["after"]["calls"]
    assert [calls, line["after"]["energy"]] in line["course"]


def test_the_chosen_proposal_is_one_that_led_to_the_lowest(line):
    searches = {search["seed"]: search for search in line["searches"]}
    assert len(searches) == line["seeds"]
    fall = line["before"]["energy"] - line["after"]["energy"]
    assert searches[line["chosen"]]["fall"] == pytest.approx(fall, abs=1e-5)
    lowest = min(search["lowest"] for search in searches.values())
    assert line["after"]["energy"] == pytest.approx(lowest, abs=1e-4)


def test_the_picture_has_five_structures_and_their_energies(benchmark_module, line):
    drawn = benchmark_module("pages.proposal").figure(line)
    assert len(drawn.axes) == 8
    balls = [len(axes.patches) for axes in drawn.axes]
    # A ball and three spots of light for each atom.
    assert balls.count(4 * len(line["symbols"])) == 5
    said = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert f"{line['before']['energy']:.2f} eV" in said


def test_captions_have_the_numbers_of_the_record(line):
    page = " ".join((DOCS / "search.md").read_text().split())
    before, after = line["before"]["calls"], line["after"]["calls"]
    last = line["seed"] + line["seeds"] - 1
    missed = sum(search["fall"] == 0 for search in line["searches"])
    for words in (
        f"{line['cluster']} by ASE's EMT (seed {line['chosen']}). After {before} calls",
        f"took {after} calls to relax",
        f"searches of {line['calls']} calls (seeds {line['seed']} to {last})",
        f"of which the search held {line['learned_from']['minima']}",
        f"in {missed} no proposal lowered the energy",
    ):
        assert words in page
    gallery = " ".join((DOCS / "gallery.md").read_text().split())
    assert f"after {before} calls" in gallery
    assert f"takes {after} calls to confirm" in gallery
