"""``ase-l2h reproduce``: the registry of tables and figures, and what is around it."""

from __future__ import annotations

import re

import pytest

from ase_l2h.cli import reproduce
from ase_l2h.reproduce import registry
from ase_l2h.reproduce.registry import BUDGETS, TABLES_AND_FIGURES, Reproduction


@pytest.fixture
def made(monkeypatch) -> list[tuple]:
    """A table and a figure that note how they were asked for."""
    calls: list[tuple] = []

    def make(folder, budget, seed, progress):
        calls.append((folder, budget, seed))
        progress(1, 2, "half")
        progress(2, 2, "all")
        return f"number {len(calls)}"

    monkeypatch.setattr(Reproduction, "load", lambda self: make)
    kept = {name: TABLES_AND_FIGURES[name] for name in ("fig5", "fig7")}
    foreign = Reproduction("another paper", "nowhere:nothing", "something else")
    for where in (registry, reproduce):
        monkeypatch.setattr(where, "TABLES_AND_FIGURES", {**kept, "other": foreign})
    return calls


@pytest.mark.parametrize("name", TABLES_AND_FIGURES)
def test_every_table_and_figure_is_there_to_be_made(name):
    assert callable(TABLES_AND_FIGURES[name].load())


def test_help_lists_what_there_is(run):
    text = run("reproduce", "--help").stdout
    for name, item in TABLES_AND_FIGURES.items():
        assert re.search(rf"{name} +{re.escape(item.shows)}", text)


def test_all_makes_everything_of_the_paper_and_an_index(run, made, tmp_path):
    out = tmp_path / "results"
    result = run("reproduce", "all", "--out", out, "--seed", 7)
    assert result.exit_code == 0, result.output
    assert made == [(out, "quick", 7)] * 2
    assert "number 1" in result.stdout
    assert "number 2" in result.stdout
    index = (out / "README.md").read_text()
    assert "[fig5](fig5.md)" in index
    assert "other" not in index


def test_the_folder_is_named_after_name_and_budget(run, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("reproduce", "fig5", "--budget", "paper").exit_code == 0
    assert (tmp_path / "fig5-paper").is_dir()
    assert [(budget, seed) for _, budget, seed in made] == [("paper", 2026)]


@pytest.mark.slow
@pytest.mark.compiler
def test_searches_run_on_the_backend_that_was_named(run, tmp_path, monkeypatch):
    from ase_l2h._internal.records import read_lines
    from ase_l2h.reproduce.learn2hop import table2

    small = table2.Budget({"LJ13": 2}, 20)
    monkeypatch.setitem(table2.BUDGETS, "quick", small)
    monkeypatch.setattr(table2, "METHODS", ("adam", "bh-paper"))
    for backend in ("native", "auto", "native"):
        asked = ("--out", tmp_path, "--backend", backend)
        result = run("reproduce", "table2", *asked)
        assert result.exit_code == 0, result.output
    lines = read_lines(tmp_path / "records.jsonl")
    assert [(line["method"], line.get("backend")) for line in lines] == [
        ("adam", "native"),
        ("bh-paper", "native"),
        ("adam", None),
        ("bh-paper", None),
    ]
    assert "native" in (tmp_path / "table2.md").read_text()


def test_an_interruption_says_how_to_go_on(run, monkeypatch, tmp_path):
    def make(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reproduction, "load", lambda self: make)
    result = run("reproduce", "fig5", "--out", tmp_path)
    assert result.exit_code == 130
    assert f"the same command continues in {tmp_path}" in result.stderr


def test_bad_input_is_refused(refused, tmp_path):
    assert "fig99" in refused("reproduce", "fig99")
    assert "--seed" in refused("reproduce", "fig5", "--seed", "-1")
    native = ("--backend", "native")
    assert "no backend to choose" in refused("reproduce", "fig3", *native)
    assert "choose one of" in refused("reproduce", "fig5", "--backend", "fast")
    refusal = refused("reproduce", "action-fig2", "--budget", "part")
    assert "action-fig2 has no budget 'part'; choose one of quick, paper" in refusal
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert "choose another" in refused("reproduce", "fig5", "--out", out)


def test_budgets_are_known_to_all_tables_and_figures():
    from ase_l2h.reproduce.learn2hop import fig3, fig6, sizes, table2, table3
    from ase_l2h.reproduce.learn2hop import fig7 as nanoalloys

    for module in (nanoalloys, fig3, fig6, sizes, table2, table3):
        assert tuple(module.BUDGETS) == BUDGETS
