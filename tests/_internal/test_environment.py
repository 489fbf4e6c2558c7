"""Variables that JAX cannot start with are one sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import child_programs
import pytest

from ase_l2h._internal.jax_start import environment_fault

COMMAND = "from ase_l2h.cli.main import cli; cli()"
SCRIPT = """
from ase import Atoms
from ase_l2h import Learn2Hop, LennardJones
try:
    Learn2Hop(Atoms("Ar2", [[0, 0, 0], [1.1, 0, 0]], calculator=LennardJones()))
except ValueError as error:
    print(f"Error: {error}", file=__import__("sys").stderr)
    raise SystemExit(2)
"""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    return subprocess.run(
        [sys.executable, "-c", *arguments],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_here_it_starts():
    assert environment_fault() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("JAX_PLATFORMS", "abacus"), ("JAX_ENABLE_X64", "perhaps")],
)
def test_a_command_with_a_variable_that_makes_no_sense(name, value):
    result = run(COMMAND, "search", "LJ4", "--evaluations", "10", **{name: value})
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: JAX does not start with {name} as set in the ")
    assert line.endswith("unset or correct that")


@pytest.mark.slow
def test_a_script_with_a_variable_that_makes_no_sense():
    result = run(SCRIPT, JAX_PLATFORMS="abacus")
    assert result.returncode == 2, result.stderr
    assert "JAX does not start with JAX_PLATFORMS as set" in result.stderr


def test_strict_settings_of_jax_are_no_trouble():
    """Those of a user's own code."""
    strict = {
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    }
    command = ("search", "LJ4", "--method", "learned", "--evaluations", "300")
    words = (*child_programs.arguments(), *command)
    strict |= {"JAX_DEBUG_NANS": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    result = run(child_programs.PRELUDE + COMMAND, *words, **strict)
    assert result.returncode == 0, result.stderr
