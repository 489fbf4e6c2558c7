"""The benchmark command runs, records what it prints, and its page follows from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = {"peak", "throughput", "native", "start", "process", "devices", "gpu"}


def records(output: Path, *arguments: str) -> list[dict]:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
    result = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in output.read_text().splitlines()]


@pytest.mark.slow
def test_what_cannot_be_measured_says_why(tmp_path):
    found = records(tmp_path / "speed.jsonl", "--only", "gpu")
    assert {r["section"] for r in found} <= {"peak", "gpu", "gpu-training"}
    peak = found[0]
    assert peak["operations_per_second"] > 1e8
    assert peak["exponentials_per_second"] > 1e6
    assert all("missing" in r or "seconds" in r for r in found if r["section"] == "gpu")
    assert len({r["run"] for r in found}) == 1
    assert found[0]["versions"]["jax"]


@pytest.mark.slow
def test_a_quick_run_has_every_section(tmp_path):
    found = records(tmp_path / "speed.jsonl")
    assert {r["section"] for r in found} >= SECTIONS
    for record in found:
        if record["section"] != "throughput":
            continue
        rates = record["evaluations_per_second"]
        assert record["ratio"]["ase_l2h"] == 1
        assert all(r["worst"] <= r["median"] <= r["best"] for r in rates.values())
        assert 0 < record["fraction_of_peak"]["evaluations"] < 1
    native = next(r for r in found if r["section"] == "native")
    assert "missing" in native or native["bh"]["native"]["median"] > 0
    start = next(r for r in found if r["section"] == "start")
    assert start["cache_bytes"] > 0


@pytest.mark.slow
def test_an_unknown_section_is_refused(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "everything"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "no section everything; there are throughput" in result.stderr
