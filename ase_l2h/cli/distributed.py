"""Several processes that share the work of one command."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

__all__ = ["distributed_options", "is_first", "join"]

# Seconds after which a process no longer waits at its end for one that is lost.
PATIENCE = 60

_flag = click.option(
    "--distributed",
    is_flag=True,
    help=(
        "Share work and folder with the other processes that srun or mpirun has "
        "started."
    ),
)
_address = click.option(
    "--coordinator",
    metavar="HOST:PORT,COUNT,INDEX",
    help="With --distributed and no SLURM or MPI: address of process 0, how many "
    "processes, and which of them (from 0) this is.",
)


def distributed_options(command: Any) -> Any:
    """``--distributed`` and ``--coordinator``."""
    return _flag(_address(command))


def join(distributed: bool, coordinator: str | None) -> None:
    """Meet the other processes, if there are any, before anything else uses JAX.

    Raises
    ------
    click.UsageError
        For a coordinator that is none, or that nobody asked for.
    click.ClickException
        When the processes do not meet.
    """
    if not distributed:
        if coordinator is not None:
            raise click.UsageError("--coordinator needs --distributed")
        return
    arguments = {} if coordinator is None else _address_of(coordinator)

    import jax

    from ase_l2h._internal.processes import gathered

    try:
        with _results_only():
            jax.distributed.initialize(**arguments, shutdown_timeout_seconds=PATIENCE)
            # Of what runs at exit, the first: an interrupted process leaves at once
            # after its own part of that, and the others would be aborted.
            atexit.register(jax.distributed.shutdown)
            gathered(b"")
    except (ValueError, RuntimeError) as error:
        raise click.ClickException(
            f"the processes did not find each other ({error}); start them with srun "
            "or mpirun, or give --coordinator to each"
        ) from error


@contextlib.contextmanager
def _results_only() -> Iterator[None]:
    """Send what libraries print to standard error: they greet when processes meet."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _address_of(coordinator: str) -> dict[str, Any]:
    parts = coordinator.split(",")
    try:
        address, count, index = parts[0], int(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        count = index = 0
        address = ""
    if len(parts) != 3 or ":" not in address or not 0 <= index < count:
        raise click.UsageError(
            f"--coordinator is '{coordinator}'; give HOST:PORT,COUNT,INDEX with INDEX "
            "from 0 to COUNT - 1"
        )
    return {
        "coordinator_address": address,
        "num_processes": count,
        "process_id": index,
    }


def is_first(distributed: bool) -> bool:
    """Whether this process speaks and writes for all."""
    if not distributed:
        return True
    import jax

    return jax.process_index() == 0
