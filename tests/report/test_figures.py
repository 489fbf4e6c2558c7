"""Pictures show what they are given, whatever that is."""

from __future__ import annotations

import json

import numpy as np

from ase_l2h.report.figures import (
    read_record,
    training_figure,
)


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
