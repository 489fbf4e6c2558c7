"""Progress bars on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress_bar"]

# From here on a count is shown as 12.3k.
LARGE = 10_000


def progress_bar(
    name: str,
    total: int | None = None,
    unit: str = "it",
    enabled: bool = True,
    *,
    done: int = 0,
) -> tqdm:
    """A bar, to be used as a context; it is gone at the end.

    It is silent where standard error is no terminal, or without ``enabled``.

    Parameters
    ----------
    name
        What is going on.
    total
        How many units there are; None where nobody knows.
    unit
        What is counted.
    enabled
        Whether anybody wants to see it.
    done
        How many units were done before.
    """
    from tqdm import tqdm

    return tqdm(
        desc=name,
        total=total,
        unit=unit,
        initial=done,
        unit_scale=total is not None and total >= LARGE,
        leave=False,
        # None switches it off where standard error is no terminal.
        disable=None if enabled else True,
    )
