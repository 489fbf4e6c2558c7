"""The shell completes verbs, options and names of methods, at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("ase-l2h")


def completed(*words: str) -> set[str]:
    """What bash is offered for the last of the words."""
    asked = {
        "_ASE_L2H_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["ase-l2h", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [PROGRAM], capture_output=True, text=True, check=True, env=os.environ | asked
    )
    return {line.partition(",")[2] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sea"], {"search"}),
        (["search", "LJ38", "--method", "bh"], {"bh", "bh-paper"}),
        (["search", "LJ38", "--settl"], {"--settled"}),
    ],
    ids=["verb", "method", "option"],
)
def test_what_is_begun_is_completed(words, offered):
    assert completed(*words) == offered
