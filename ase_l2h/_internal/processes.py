"""What the processes of one run (``jax.distributed``) tell each other.

All go on together or none: what one process fails with ends the others, too, so that
nobody waits for somebody who has left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from ase_l2h._internal.jax_start import start_jax
from ase_l2h.errors import InputError

__all__ = ["gathered", "is_first_process", "joint", "local_devices"]

# jax.Device: JAX's compiled classes come without types.
Device = Any
Value = TypeVar("Value")
# How a process fared, the first byte of its message.
DONE, INTERRUPTED, REFUSED, FAILED = b"dirf"
# Messages are as long as the next power of two, so that few shapes are compiled.
SHORTEST = 64


def is_first_process() -> bool:
    """Whether this process reads and writes the files; alone it does."""
    return jax.process_index() == 0


def local_devices(count: int) -> list[Device]:
    """The first JAX devices of this process.

    Raises
    ------
    InputError
        When there are fewer.
    """
    start_jax()
    present = jax.local_devices()
    if not 1 <= count <= len(present):
        raise InputError(
            f"{count} devices are asked for, and JAX finds {len(present)} "
            f"({present[0].platform}) here; give 1 to {len(present)}"
        )
    return present[:count]


def gathered(message: bytes) -> list[bytes]:
    """Every process's message, in the order of the processes; all must call this."""
    if jax.process_count() == 1:
        return [message]
    own = np.array([len(message)], np.int32)
    lengths = np.ravel(multihost_utils.process_allgather(own)).tolist()
    row = np.zeros(1 << (max(SHORTEST, *lengths) - 1).bit_length(), np.uint8)
    row[: len(message)] = np.frombuffer(message, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(row))
    return [r[:length].tobytes() for r, length in zip(rows, lengths, strict=True)]


def joint(
    work: Callable[[], Value], pack: Callable[[Value], bytes] = lambda _: b""
) -> tuple[Value, list[bytes]]:
    """``work()`` of this process, and ``pack(work())`` of all of them, in their order.

    All processes must call this, and none inside the ``work`` of another call.

    Raises
    ------
    KeyboardInterrupt
        When one of the processes was interrupted.
    InputError
        When one of them refused its input.
    RuntimeError
        When one of them failed otherwise; that one raises what it failed with.
    """
    if jax.process_count() == 1:
        value = work()
        return value, [pack(value)]
    try:
        value = work()
        message = bytes([DONE]) + pack(value)
    except KeyboardInterrupt:
        gathered(bytes([INTERRUPTED]))
        raise
    except InputError as error:
        gathered(bytes([REFUSED]) + str(error).encode())
        raise
    except Exception as error:
        gathered(bytes([FAILED]) + str(error).encode())
        raise
    messages = gathered(message)
    for process, other in enumerate(messages):
        said = other[1:].decode(errors="replace") if other[0] != DONE else ""
        if other[0] == INTERRUPTED:
            raise KeyboardInterrupt
        if other[0] == REFUSED:
            raise InputError(said)
        if other[0] == FAILED:
            raise RuntimeError(f"process {process} failed: {said}")
    return value, [other[1:] for other in messages]
