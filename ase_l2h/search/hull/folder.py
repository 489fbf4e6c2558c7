"""The folder of a hull search: who it belongs to, its state, its record.

``run.json`` says which search it is, ``state.safetensors`` holds the pools after the
last round, and ``progress.jsonl`` a line per round. Each is whole or not there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ase_l2h._internal.files import write_atomically
from ase_l2h.search.population.evaluator import Candidate

__all__ = [
    "FORMAT",
    "STATE",
    "FolderError",
    "append_line",
    "open_folder",
    "parse_state",
    "write_state",
]

IDENTITY, STATE, PROGRESS = "run.json", "state.safetensors", "progress.jsonl"
# Written from the state once a search has ended.
RESULT = "hull.csv"
FORMAT = "ase_l2h-hull-run-1"
NUMBERS = ("rounds", "quiet", "budget", "seconds")


class FolderError(RuntimeError):
    """What was found cannot be kept; nothing that was kept before is lost."""


def open_folder(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The state in a folder; None for a new one, which is made.

    Raises
    ------
    ValueError
        When it belongs to another search, is damaged, or cannot be written.
    """
    path = folder / IDENTITY
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give the name of a folder")
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            wrong = sorted(k for k in identity if known.get(k) != identity[k])
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); search in another folder"
            ) from error
        if wrong:
            raise ValueError(
                f"{folder} holds another search, with other {', '.join(wrong)}; search "
                "in another folder, or with the same arguments"
            )
        # Found out now, not after the first round.
        _write_identity(path, path.read_bytes())
        state = read_state(folder / STATE)
        if state is None and (folder / RESULT).exists():
            raise ValueError(
                f"{folder} holds results, but {STATE} is missing; search in another "
                "folder"
            )
        return state
    if folder.exists() and any(
        not entry.name.endswith(".partial") for entry in folder.iterdir()
    ):
        raise ValueError(
            f"{folder} is not empty and holds no hull search; choose another folder"
        )
    _write_identity(path, (json.dumps(identity, indent=2) + "\n").encode())
    return None


def _write_identity(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise ValueError(
            f"cannot write in the folder {path.parent} ({error.strerror}); make room "
            "or choose another one"
        ) from error


def write_state(
    folder: Path,
    entries: Sequence[Candidate],
    charged: np.ndarray,
    numbers: dict[str, Any],
) -> None:
    """Replace the state by these structures, charges and numbers."""
    arrays = {
        "energies": np.array([e.energy for e in entries]),
        "species": np.stack([e.species for e in entries]).astype(np.int8),
        "positions": np.ascontiguousarray(np.stack([e.positions for e in entries])),
        "charged": np.asarray(charged, np.int64),
    }
    write_atomically(folder / STATE, save(arrays, {"hull": json.dumps(numbers)}))


def read_state(path: Path) -> dict[str, Any] | None:
    """Stored pools; None where the search was killed before its first round ended."""
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); search in another folder"
        ) from error
    return parse_state(content, path)


def parse_state(content: bytes, path: Path) -> dict[str, Any]:
    """What :func:`write_state` wrote, from its bytes.

    Raises
    ------
    ValueError
        When it is damaged.
    """
    try:
        arrays = load(content)
        # The header is JSON after its length in eight bytes.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        state = json.loads(header["__metadata__"]["hull"])
        state = {name: state[name] for name in NUMBERS}
        state["candidates"] = [
            Candidate(float(energy), species.astype(int), positions)
            for energy, species, positions in zip(
                arrays["energies"], arrays["species"], arrays["positions"], strict=True
            )
        ]
        return state | {"charged": arrays["charged"].astype(np.int64)}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); search in another folder"
        ) from error


def append_line(folder: Path, line: dict[str, Any], rounds: int) -> None:
    """Line ``rounds`` of the record; what a killed run wrote after its state goes."""
    path = folder / PROGRESS
    kept = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    text = json.dumps(line) + "\n"
    if len(kept) == rounds - 1 and (not kept or kept[-1].endswith(b"\n")):
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_atomically(path, b"".join(kept[: rounds - 1]) + text.encode())
