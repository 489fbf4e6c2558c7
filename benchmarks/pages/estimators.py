"""ES, ESMC and GA in ``docs/training.md``: table and picture, as Fig. 3 has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.figures import new_figure, save_figure
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.reproduce.learn2hop.fig3 import (
    ESTIMATORS,
    draw_trainings,
    half_hit,
    last_hits,
)
from benchmarks import paths
from benchmarks.hits.estimators import RECORDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write"]

Trainings = dict[str, dict[str, Lines]]


def by_rule(lines: Lines) -> Trainings:
    """Trainings by rule and estimator."""
    rules: Trainings = {}
    for line in lines:
        rule, estimator = (line["config"][k] for k in ("architecture", "estimator"))
        empty: dict[str, Lines] = {name: [] for name in ESTIMATORS}
        rules.setdefault(rule, empty)[estimator].append(line)
    return rules


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    rules = by_rule(lines)
    save_figure(picture(rules), paths.IMAGES / "estimators.png", "png", dpi=130)
    rows = [
        [
            rule,
            name.upper(),
            len(trainings),
            ", ".join(map(half_hit, trainings)),
            ", ".join(map(last_hits, trainings)),
        ]
        for rule, estimators in rules.items()
        for name, trainings in estimators.items()
        if trainings
    ]
    header = ["rule", "estimator", "seeds"]
    header.append("update from which half of the starts hit")
    header.append("hits, mean of the last 10 updates")
    config = lines[0]["config"]
    horizons = {line["config"]["architecture"]: line["config"] for line in lines}
    instead = " and ".join(f"{c['horizon']} ({rule})" for rule, c in horizons.items())
    seeds = sorted({str(line["config"]["seed"]) for line in lines})
    text = [
        markdown_table(header, rows, numbers=False),
        "",
        "![Meta-loss and hits of ES, ESMC and GA](images/estimators.png)",
        "",
        "This is the paper's Fig. 3 at a smaller scale. All estimators have the same "
        f"number of unrolls per update: {config['directions']} directions with two "
        f"arms, or twice as many mutants, and {config['starts']} starts. Horizons "
        f"are {instead} instead of 50,000. Made by `python -m "
        f"benchmarks.hits.estimators --architecture RULE` (seeds {', '.join(seeds)}) "
        f"on {lines[0]['machine']}, which other work shared.",
    ]
    replace_block(paths.DOCS / "training.md", "estimators", "\n".join(text))


def picture(rules: Trainings) -> Figure:
    """Meta-loss and hits, a column per rule."""
    figure = new_figure(4.6 * len(rules), 5.6)
    panels = figure.subplots(2, len(rules), squeeze=False)
    for (losses, hits), (rule, trainings) in zip(panels.T, rules.items(), strict=True):
        draw_trainings(losses, hits, trainings)
        losses.set_title(f"{rule}, LJ13")
    return figure
