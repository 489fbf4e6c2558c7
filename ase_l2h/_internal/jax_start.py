"""Before JAX is used: whether it starts in this process.

With some variables of the environment it does not, and in a forked child it never
answers, since it has threads, of which the child has none.
"""

from __future__ import annotations

import os

from ase_l2h.errors import InputError, RunError

__all__ = ["environment_fault", "start_jax"]

PREFIXES = ("JAX_", "XLA_")
# Set by the command line itself.
CACHES = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
# The process that has used JAX first, here or in the one that this was forked from.
_user: int | None = None


def start_jax() -> None:
    """To be called before JAX is used.

    Raises
    ------
    RunError
        In a process forked from one that had called this: it would wait for ever.
    InputError
        When JAX does not start.
    """
    global _user
    if _user is None:
        fault = environment_fault()
        if fault is not None:
            raise InputError(fault)
        _user = os.getpid()
    elif _user != os.getpid():
        raise RunError(
            "this process was forked after JAX had been used; it lacks JAX's threads "
            "and would hang; start processes with "
            "multiprocessing.get_context('spawn'), or fork before the first search"
        )


def environment_fault() -> str | None:
    """A sentence about variables that JAX cannot start with; None where it starts."""
    try:
        import jax

        jax.devices()
    # Whatever a variable makes it raise, or a library that it names.
    except Exception as error:
        said = str(error).splitlines()
        reason = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
        chosen = sorted(name for name in os.environ if name.startswith(PREFIXES))
        named = [name for name in chosen if name.lower() in reason.lower()]
        chosen = named or [name for name in chosen if not name.startswith(CACHES)]
        if not chosen:
            return f"JAX does not start here ({reason}); reinstall it"
        return (
            f"JAX does not start with {', '.join(chosen)} as set in the environment "
            f"({reason}); unset or correct that"
        )
    return None
