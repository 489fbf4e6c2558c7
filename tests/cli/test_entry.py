"""The program as it is installed: Ctrl-C while it is loaded is no traceback."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ase_l2h._internal.stopping import INTERRUPTED

ROOT = Path(__file__).resolve().parents[2]
# SIGINT at the import of a module, as Ctrl-C sends it.
PROGRAM = """
import os, signal, sys
at = sys.argv.pop(1)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == at:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from {module} import {function}
{function}()
"""


@pytest.mark.parametrize("at", ["click", "ase_l2h.cli.common", "ase_l2h.cli.reproduce"])
def test_ctrl_c_while_the_program_is_loaded(at):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["ase-l2h"].split(":")
    code = PROGRAM.format(module=module, function=function)
    done = subprocess.run(
        [sys.executable, "-c", code, at, "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "Error: interrupted\n"
    assert done.returncode == INTERRUPTED
    assert done.stdout == ""


def test_the_program_runs():
    code = "from ase_l2h.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("ase-l2h ")
