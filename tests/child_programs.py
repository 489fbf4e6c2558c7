"""What Python programs that tests start share with the tests: the compiled code."""

from __future__ import annotations

import json
import os

import jax

from ase_l2h.rollout.kernels import native

__all__ = ["PRELUDE", "arguments", "environment"]

# The first lines of a program: takes ``arguments()`` from those that it was given.
PRELUDE = """
import json, pathlib, sys
from ase_l2h.rollout.kernels import native
machine_code = pathlib.Path(sys.argv.pop(1))
native.cache_folder = lambda: machine_code
native.FLAGS = tuple(json.loads(sys.argv.pop(1)))
"""


def arguments() -> list[str]:
    """The folder of machine code, and the options of the C++ compiler."""
    return [str(native.cache_folder()), json.dumps(native.FLAGS)]


def environment() -> dict[str, str]:
    """JAX optimises in the program where it does in the tests."""
    quickly = str(jax.config.read("jax_disable_most_optimizations"))
    return os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": quickly}
