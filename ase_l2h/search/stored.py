"""States of searches as named arrays and JSON, and back.

A state is made of dicts with string keys, lists, arrays, numbers, strings, booleans,
None, and states of rollouts, of which the leaves are kept.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jax
import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import SearchState

__all__ = ["from_arrays", "to_arrays"]

ARRAY, NUMBER = "array", "float"
REMEDY = "choose another folder"


def to_arrays(state: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a state by their path in it, and the rest, JSON-able."""
    arrays: dict[str, np.ndarray] = {}
    encoded = _encoded(state, "state", arrays)
    return arrays, {"state": encoded, "sha256": _digest(arrays, encoded)}


def _digest(arrays: dict[str, np.ndarray], encoded: Any) -> str:
    digest = hashlib.sha256(json.dumps(encoded, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _encoded(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, SearchState):
        value = [np.asarray(leaf) for leaf in jax.tree.leaves(value)]
    if isinstance(value, dict):
        return {k: _encoded(v, f"{place}/{k}", arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(v, f"{place}/{k}", arrays) for k, v in enumerate(value)]
    if isinstance(value, (np.ndarray, jax.Array)):
        arrays[place] = np.asarray(value, order="C")
        return {ARRAY: place}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # JSON has no infinity; the digits of hex() are exact.
        return {NUMBER: value.hex()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be kept in a state ({place})")


def from_arrays(arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> Any:
    """The state given to :func:`to_arrays`; rollout states become lists of leaves.

    Raises
    ------
    InputError
        When the data is not a stored state.
    """
    try:
        sound = metadata["sha256"] == _digest(arrays, metadata["state"])
    except (KeyError, TypeError) as error:
        raise InputError(f"state.safetensors is damaged ({error}); {REMEDY}") from error
    if not sound:
        raise InputError(
            f"state.safetensors is damaged (its checksum differs); {REMEDY}"
        )
    return _decoded(metadata["state"], arrays)


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {ARRAY}:
        return arrays[value[ARRAY]]
    if set(value) == {NUMBER}:
        return float.fromhex(value[NUMBER])
    return {k: _decoded(v, arrays) for k, v in value.items()}
