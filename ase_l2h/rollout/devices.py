"""JAX devices by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from ase_l2h.errors import InputError

__all__ = ["Device", "resolve_device", "resolve_devices"]

# jax.Device: JAX's compiled classes come without types.
Device = Any


def resolve_device(device: str | Device | None) -> Device:
    """A JAX device from ``None`` (JAX's default), ``"cpu"``, ``"gpu"`` or itself.

    Raises
    ------
    InputError
        When JAX has no such device here.
    """
    if isinstance(device, jax.Device):
        return device
    try:
        # Of several processes, each has its own.
        return jax.local_devices(backend=device)[0]
    except RuntimeError as error:
        found = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(
            f"JAX finds no '{device}' device here; use {found}, or install JAX for it"
        ) from error


def resolve_devices(device: str | Device | Sequence[Device] | None) -> list[Device]:
    """Several devices as they are, one as :func:`resolve_device` finds it.

    Raises
    ------
    InputError
        When JAX has no such device here, and for an empty list.
    """
    if device is None or isinstance(device, (str, jax.Device)):
        return [resolve_device(device)]
    devices = [resolve_device(each) for each in device]
    if not devices:
        raise InputError("the list of devices is empty; name one, or leave it out")
    return devices
