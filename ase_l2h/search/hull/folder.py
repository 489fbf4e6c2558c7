"""The folder of a hull search, and what its processes tell each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load, save

from ase_l2h._internal.checkpoint import Checkpoint, load_jointly
from ase_l2h._internal.processes import is_first_process, joint
from ase_l2h.errors import InputError
from ase_l2h.search.stored import from_arrays, to_arrays

__all__ = ["HullFolder"]

Entries = dict[int, dict[str, Any]]


class HullFolder:
    """Where a hull search is kept; nothing is kept without a folder.

    Under ``jax.distributed`` every process has one and calls the same methods; the
    first alone reads and writes.

    Parameters
    ----------
    folder
        None keeps nothing.
    identity
        What the folder and a search must have in common.
    arguments
        What else all processes must have been started with alike.

    Raises
    ------
    InputError
        When processes were started with different arguments.
    """

    def __init__(
        self,
        folder: str | Path | None,
        identity: Mapping[str, Any],
        arguments: Sequence[Any],
    ) -> None:
        wanted = json.dumps([identity, arguments, str(folder)])
        digest = hashlib.sha256(wanted.encode()).digest()
        if len(set(joint(lambda: digest, bytes)[1])) > 1:
            raise InputError(
                "the processes were started with different arguments; give all the same"
            )
        self._kept = None if folder is None else Checkpoint(folder, identity)

    def load(self) -> dict[str, Any] | None:
        """What the folder holds, the same for every process; None for a new one.

        Raises
        ------
        InputError
            When it holds another search or damaged files, or cannot be written.
        """
        kept = self._kept
        if kept is None:
            return None
        stored = load_jointly(kept)
        joint(lambda: kept.claim() if is_first_process() else None)
        return None if stored is None else from_arrays(*stored)

    def save(self, state: Mapping[str, Any], line: Mapping[str, Any]) -> None:
        """Replace the state and add a line of progress.

        Raises
        ------
        CheckpointError
            When that cannot be written.
        """
        if self._kept is not None and is_first_process():
            arrays, metadata = to_arrays(dict(state))
            self._kept.save(arrays, metadata, line)

    @staticmethod
    def packed_entries(entries: Entries) -> bytes:
        """States of compositions as bytes."""
        arrays, metadata = to_arrays({str(m): e for m, e in entries.items()})
        return save(arrays, {"state": json.dumps(metadata)})

    @staticmethod
    def unpacked(messages: Sequence[bytes]) -> Entries:
        """The entries of all processes."""
        together: Entries = {}
        for message in messages:
            length = int.from_bytes(message[:8], "little")
            header = json.loads(message[8 : 8 + length])
            metadata = json.loads(header["__metadata__"]["state"])
            entries = from_arrays(load(message), metadata)
            together |= {int(m): entry for m, entry in entries.items()}
        return together
