"""JAX devices by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from ase_l2h._internal.jax_start import start_jax
from ase_l2h.errors import InputError, InputTypeError

__all__ = ["Device", "resolve_device", "resolve_devices"]

# jax.Device: JAX's compiled classes come without types.
Device = Any


def resolve_device(device: str | Device | None) -> Device:
    """A JAX device from ``None`` (JAX's default), ``"cpu"``, ``"gpu"`` or itself.

    Raises
    ------
    InputError
        When JAX has no such device here, or does not start.
    RunError
        In a process forked from one that has used JAX.
    """
    start_jax()
    if isinstance(device, jax.Device):
        return device
    if device is not None and not isinstance(device, str):
        raise InputTypeError(
            f"device is of type {type(device).__name__}; give cpu, gpu or a JAX device"
        )
    try:
        # Each of several processes has its own devices.
        return jax.local_devices(backend=device)[0]
    except RuntimeError as error:
        found = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(
            f"JAX finds no '{device:.40}' device here; use {found}, or install JAX for "
            "it"
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
