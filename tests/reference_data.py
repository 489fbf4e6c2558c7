"""The files of ``tests/data``, and one compiled evaluation for all tests."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import ase.io
import jax
from ase import Atoms

from ase_l2h.potentials.base import energy_and_gradient

DATA = Path(__file__).parent / "data"

evaluate = jax.jit(energy_and_gradient)


@lru_cache
def structures(name: str) -> dict[str, Atoms]:
    """Frames of an extended-XYZ file by their ``config``."""
    frames = ase.io.read(DATA / f"{name}.extxyz", ":")
    return {atoms.info["config"]: atoms for atoms in frames}


@lru_cache
def gradient_references() -> dict[str, dict[str, Any]]:
    """Energies and gradients of small distorted clusters, by name."""
    text = (DATA / "gradient_references_computed.json").read_text(encoding="utf-8")
    return {c["name"]: c for c in json.loads(text)["configurations"]}
