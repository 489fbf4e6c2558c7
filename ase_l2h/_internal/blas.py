"""Linear algebra of small matrices, in one thread.

A second thread gains nothing below some hundred rows. Where other work keeps the cores
busy, the threads of BLAS wait for each other a hundred times as long as the work takes.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]

# The number of threads is the process's: whoever changes it must be alone.
_LOCK = threading.Lock()


@cache
def _controller() -> ThreadpoolController:
    """Finds the libraries that are loaded, which takes milliseconds."""
    return ThreadpoolController()


@contextmanager
def one_thread() -> Generator[None]:
    """BLAS and LAPACK of NumPy and SciPy run in the thread that calls them."""
    with _LOCK, _controller().limit(limits=1, user_api="blas"):
        yield
