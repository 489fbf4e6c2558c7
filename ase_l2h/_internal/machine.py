"""What a record says of the machine and the software that made it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "core_count", "machine_class", "provenance", "versions"]

# What numbers depend on, and what they are compared with.
PACKAGES = (
    *("ase-l2h", "ase", "jax", "jaxlib", "flax", "numpy", "scipy"),
    *("jax-md", "torch", "torch-sim-atomistic"),
)


def core_count() -> int:
    """Cores that this process may use: what a scheduler or ``taskset`` leaves it."""
    allowed = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if allowed is None else len(allowed(0))


def machine_class() -> str:
    """Processor and usable cores, for example ``AMD EPYC, 2 cores``."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cores = core_count()
    return f"{model}, {cores} core{'' if cores == 1 else 's'}"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of those packages that are installed."""
    numbers = {}
    for name in packages:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            continue
    return numbers


def provenance(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """The entries ``machine`` and ``versions`` of a record, Python's among them."""
    python = {"python": platform.python_version()}
    return {"machine": machine_class(), "versions": python | versions(packages)}
