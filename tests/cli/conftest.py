"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner, Result

from ase_l2h.cli.main import cli


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Call the program in this process, as ``run("search", "LJ7", ...)``."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments])

    return call


@pytest.fixture(scope="session")
def refused(run) -> Callable[..., str]:
    """Call the program with bad input: exit code 2, one sentence, nothing printed."""

    def call(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 2, (result.output, result.exception)
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "Traceback" not in line
        return line.removeprefix("Error: ")

    return call


@pytest.fixture
def lj7() -> Atoms:
    """Seven distorted atoms of a cube, nowhere near the origin."""
    corners = np.argwhere(np.ones((2, 2, 2)))[:7]
    noise = np.random.default_rng(5).normal(0, 0.03, (7, 3))
    return Atoms("Ar7", positions=1.15 * corners + noise + [30.0, -20.0, 10.0])
