"""What a record says of the machine and the software that made it."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["machine_class", "versions"]


def machine_class() -> str:
    """Processor and core count, for example ``AMD EPYC, 2 cores``."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Versions that numbers depend on, and of what they are compared with."""
    found = {"python": platform.python_version()}
    found |= {n: version(n) for n in ("ase-l2h", "jax", "jaxlib", "numpy")}
    for name in ("jax-md", "torch", "torch-sim-atomistic"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
