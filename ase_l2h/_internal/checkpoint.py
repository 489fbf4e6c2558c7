"""Checkpoints of a long run: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ase_l2h._internal.files import write_atomically
from ase_l2h.errors import InputError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: Any, metadata: dict[str, Any]) -> None:
    """Write the arrays of a pytree, in the order of its leaves, with JSON metadata."""
    # Not ascontiguousarray, which makes vectors of scalars.
    leaves = {
        f"leaf_{i}": np.asarray(leaf, order="C")
        for i, leaf in enumerate(jax.tree.leaves(state))
    }
    write_atomically(path, save(leaves, {"training": json.dumps(metadata)}))


def load_checkpoint(path: Path, template: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint into the structure of ``template``.

    Raises
    ------
    InputError
        When the file is damaged or belongs to another configuration.
    """
    leaves, structure = jax.tree.flatten(template)
    try:
        with safe_open(path, "numpy") as stream:
            metadata = json.loads(stream.metadata()["training"])
            names = [f"leaf_{i}" for i in range(len(leaves))]
            if set(stream.keys()) != set(names):
                raise InputError("it holds other arrays")
            stored = [stream.get_tensor(name) for name in names]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a checkpoint of this configuration ({error}); start in "
            "another folder"
        ) from error
    for old, new in zip(leaves, stored, strict=True):
        wanted = np.asarray(old)
        if wanted.shape != new.shape or wanted.dtype != new.dtype:
            raise InputError(
                f"{path} holds {new.dtype} arrays of shape {new.shape} where this "
                f"configuration needs {wanted.dtype} {wanted.shape}; start in another "
                "folder"
            )
    return jax.tree.unflatten(structure, stored), metadata
