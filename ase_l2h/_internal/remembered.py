"""What follows from frozen objects, worked out once for each of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")


class Remembered(Generic[T]):
    """Results by the identity of the objects that they follow from.

    Parameters or weights have no cheap hash and no cheap comparison. The objects are
    kept, so that no other one can take the place of one in memory.

    Parameters
    ----------
    most
        Results that are kept; all are forgotten when there are more.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._known: dict[Hashable, tuple[tuple[Any, ...], T]] = {}

    def get(self, objects: tuple[Any, ...], case: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives for ``objects`` that never change, and a ``case``."""
        key = (*map(id, objects), case)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self._most:
                self._known.clear()
            found = self._known[key] = objects, make()
        return found[1]
