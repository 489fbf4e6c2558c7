"""A bar for work that is told of as ``(done, of, what)``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ase_l2h._internal.progress import progress_bar
from ase_l2h.reproduce.registry import Progress

__all__ = ["counted_progress"]


@contextlib.contextmanager
def counted_progress(name: str, enabled: bool = True) -> Iterator[Progress]:
    """A bar on standard error, as what it is to be called with."""
    with progress_bar(name, enabled=enabled) as bar:

        def show(done: int, of: int, what: str) -> None:
            bar.total = of
            bar.set_postfix_str(what, refresh=False)
            bar.update(done - bar.n)

        yield show
