"""How C++ compilers are run, and what they know of the processor."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["SHORTEST", "Ended", "run_alone", "vector_bytes"]

# Bytes of the vectors of a processor, by what its compiler defines; else SHORTEST.
WIDTHS = {"__AVX512F__": 64, "__AVX__": 32}
SHORTEST = 16


class Ended(NamedTuple):
    """How a program has ended: exit code, what it wrote, and its seconds."""

    code: int
    output: str
    errors: str
    seconds: float


def run_alone(command: Sequence[str]) -> Ended:
    """Run a program that Ctrl-C at a terminal does not reach."""
    begun = time.monotonic()
    own: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    told = subprocess.run(command, capture_output=True, text=True, check=False, **own)
    seconds = time.monotonic() - begun
    return Ended(told.returncode, told.stdout, told.stderr, seconds)


def vector_bytes(command: Sequence[str]) -> int:
    """Bytes of a vector of the processor that a compiler makes code for."""
    told = run_alone([*command, "-dM", "-E", "-x", "c++", os.devnull])
    lines = told.output.splitlines()
    defined = {line.split()[1] for line in lines if " " in line}
    return next((w for name, w in WIDTHS.items() if name in defined), SHORTEST)
