"""The examples of the guides run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("search", "surfaces", "crystals")
TEXT = "".join((DOCS / f"{page}.md").read_text() for page in PAGES)
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
# Published: the truncated octahedron and the icosahedron of Lennard-Jones (Wales and
# Doye, 1997), the icosahedron of Morse with exponent 6 (Doye and Wales, 1997). The last
# digits of EMT are its own.
LOWEST = {
    "LJ38": (-173.928427, 1e-5),
    "Cu13": (9.3614, 1e-3),
    "morse": (-42.439863, 1e-5),
    "LJ13": (-44.326801, 1e-5),
    "fcc100": (9.1778, 1e-3),
    "diamond": (-4.3366, 1e-4),
}


@pytest.mark.parametrize(
    ("code", "name"), list(zip(EXAMPLES, LOWEST, strict=True)), ids=LOWEST
)
def test_an_example_finds_what_it_is_to_find(code, name, tmp_path):
    assert name in code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    energy, tolerance = LOWEST[name]
    assert float(done.stdout.split()[0]) == pytest.approx(energy, abs=tolerance)
