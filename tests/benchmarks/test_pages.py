"""Pages say what the committed records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ase_l2h.reproduce.learn2hop.paper import paper_numbers

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def pages(benchmark_module):
    """Modules of ``benchmarks.pages``."""
    return lambda name: benchmark_module(f"pages.{name}")


def test_the_comparison_page_has_the_record_of_peers(pages):
    peers = pages("peers")
    assert "\n".join(peers.section()).rstrip() in (DOCS / "comparison.md").read_text()


def test_the_table_of_the_readme_is_that_of_the_records(pages):
    table = pages("calls").readme_table()
    assert table in (ROOT / "README.md").read_text()
    assert table.count("\n|") == 7


def test_the_table_of_workers_is_that_of_the_records(pages):
    page = pages("workers")
    lines = page.read_lines(page.RECORDS)
    assert page.table(lines) in (DOCS / "calculators.md").read_text()
    # With four workers a search is settled in less than half of the time.
    for target in page.TARGETS:
        mean = [
            sum(line["time"] for line in lines if line["target"] == target
                and line["workers"] == workers)
            for workers in (1, 4)
        ]  # fmt: skip
        assert mean[1] < mean[0] / 2


@pytest.mark.parametrize("section", ["aims", "native", "waiting", "gpu"])
def test_the_speed_page_has_the_last_run_of_every_section(pages, section):
    text = getattr(pages("speed"), section)()
    assert len(text) > 100
    assert text in (DOCS / "speed.md").read_text()


def test_shares_of_the_peak_are_those_of_the_same_run(pages):
    speed = pages("speed_records")
    (*_, record) = speed.latest("throughput")
    peak = speed.beside("peak", record)["operations_per_second"] / 1e9
    assert f"Peak: {peak:.0f} GFLOP/s" in (DOCS / "speed.md").read_text()


def test_the_results_page_has_every_horizon(pages):
    text = (DOCS / "results.md").read_text()
    assert "\n".join(pages("results").long_runs()) in text
    assert pages("aims").aims() in text


def test_the_page_of_the_learned_rules_is_of_its_records(pages):
    text = (DOCS / "learned-rules.md").read_text()
    for name, make in pages("alone").BLOCKS.items():
        assert f"<!-- {name}:begin -->\n{make()}\n<!-- {name}:end -->" in text


def test_every_released_weight_file_has_a_card_of_its_records(pages):
    summaries = pages("summaries")
    rows = summaries.result_rows()
    for name, entry in summaries.manifest()["weights"].items():
        card = (ROOT / "pretrained" / f"{name}.md").read_text()
        assert entry["sha256"] in card
        measured = [row for row in rows if row["sha256"] == entry["sha256"]]
        # Weights that hop from minima are measured as they are used.
        assert measured or f"`{name}`" in (DOCS / "learned-rules.md").read_text()
        for row in measured:
            shown = f"| {row['hits']}/{row['starts']} | {row['low']:.3f}-"
            assert f"| {row['target']} | " in card
            assert shown in card, (name, row["target"])


def test_horizons_stand_side_by_side_with_the_paper_below(pages):
    horizons = pages("horizons")
    row = {
        "target": "LJ13",
        "method": "`lj`",
        "steps": 1000,
        "mean": -44.0,
        "lowest": -44.3268,
        "hits": 3,
        "starts": 4,
        "to_minimum": 1400.0,
    }
    other = row | {"steps": 50_000, "hits": 0, "to_minimum": None}
    ignored = row | {"steps": 300}
    lines = horizons.table([row, ignored, other]).split("\n")
    assert lines[2] == (
        "| LJ13 | `lj` | -44.00 / -44.33; 3/4, 1,400 per hit | - | "
        "-44.00 / -44.33; 0/4 |"
    )
    published = paper_numbers()["table2"]
    assert len(lines) == 3 + len(published["columns"])
    assert lines[3] == "| LJ13 | *the paper's Adam* | - | - | -40.58 / -44.33 |"
    assert horizons.table([row | {"target": "LJ19"}]).count("\n") == 2


def test_a_loss_is_named_and_a_tie_said_to_be_one(pages):
    peers, estimates = pages("peers"), pages("peers").Estimate
    means = {
        ("scipy", "LJ13"): estimates(100.0, 80.0, 130.0),
        ("anneal", "LJ13"): estimates(180.0, 150.0, 220.0),
        ("ase_l2h bh", "LJ13"): estimates(200.0, 160.0, 260.0),
        ("ase_l2h learned", "LJ13"): estimates(60.0, 40.0, 70.0),
        # The verdict is on the default, not on the best of ours.
        ("ase_l2h auto", "LJ13"): estimates(90.0, 70.0, 110.0),
    }
    means |= {(m, "LJ13"): None for m in peers.NAMES if (m, "LJ13") not in means}
    (line,) = peers._losses(["LJ13"], means)
    assert line.startswith("* LJ13, **ours**, `bh`: SciPy")
    assert "(2.00 times fewer)" in line
    assert "(1.11 times fewer, intervals overlap)" in line
    verdict = peers._verdict("LJ13", means)
    assert "the default (`auto`) needs 90.0 (70.0-110)" in verdict
    assert verdict.endswith("1.11 times as many; the intervals overlap.")


def test_the_training_page_has_every_estimator(pages):
    estimators = pages("estimators")
    lines = estimators.read_lines(estimators.RECORDS)
    text = (DOCS / "training.md").read_text()
    for rule, trainings in estimators.by_rule(lines).items():
        for name, runs in trainings.items():
            jumps = ", ".join(map(estimators.half_hit, runs))
            assert f"| {rule} | {name.upper()} | {len(runs)} | {jumps} |" in text


def test_every_page_that_the_command_names_is_there_to_be_written(benchmark_module):
    main = benchmark_module("pages.__main__")
    for name in main.PAGES:
        assert callable(benchmark_module(f"pages.{name}").write)


PAGES = [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page):
    for name in re.findall(r"python -m (benchmarks[\w.]*\w)", page.read_text()):
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
