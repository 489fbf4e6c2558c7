"""When an attempt has tried for long enough, and the next begins."""

from __future__ import annotations

__all__ = ["attempt_over"]

# Patience of an attempt that has met what an earlier one has ended with: that it is met
# again is what it was for, and the earlier one has looked for less with all patience.
AGAIN = 1.0


def attempt_over(
    spent: int, fall: int, least: int, patience: float | None, again: bool
) -> bool:
    """Whether an attempt ends.

    Parameters
    ----------
    spent, fall
        Its evaluations, and how many they were when its lowest energy last fell.
    least, patience
        It ends after ``least`` evaluations without a fall, or ``patience * fall`` if
        those are more; None: never.
    again
        Whether its lowest minimum is the lowest of an earlier attempt.
    """
    if patience is None:
        return False
    patience = min(patience, AGAIN) if again else patience
    return spent - fall >= max(least, patience * fall)
