"""When an attempt has tried for long enough, and the next begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["CALLS", "EVALUATIONS", "Patience", "UnderWay", "jointly_over"]


class UnderWay(NamedTuple):
    """An attempt that has not ended: lowest energy, evaluations, those at its fall."""

    energy: float
    spent: int
    fall: int


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long an attempt waits for its lowest energy to fall.

    Parameters
    ----------
    factor
        An attempt ends after this many times the evaluations that it had used when its
        lowest energy last fell.
    first
        The same of the first attempt: those that follow go on for longer until they
        have met its lowest minimum, or a lower one.
    least, most
        Bounds of this number, in evaluations per atom.
    again, least_again
        Factor and least number where its lowest minimum is that of an earlier attempt:
        meeting it again was the aim, and the earlier attempt has already searched for
        lower ones.
    joint
        Whether attempts of several searches that are under way count together, see
        :func:`jointly_over`.
    """

    factor: float = 4.0
    first: float = 1.0
    again: float = 1.0
    least: int = 100
    least_again: int = 100
    most: int | None = None
    joint: bool = False

    def over(
        self,
        spent: int,
        fall: int,
        atoms: int,
        *,
        first: bool = False,
        again: bool = False,
    ) -> bool:
        """Whether an attempt ends.

        Parameters
        ----------
        spent, fall
            Its evaluations, and how many it had when its lowest energy last fell.
        atoms
            How many there are to be placed.
        first
            Whether no attempt has ended before.
        again
            Whether its lowest minimum is the lowest of an earlier attempt.
        """
        factor = self.first if first else self.factor
        factor = min(factor, self.again) if again else factor
        least = min(self.least, self.least_again) if again else self.least
        quiet = max(least * atoms, factor * fall)
        if self.most is not None:
            quiet = min(quiet, self.most * atoms)
        return spent - fall >= quiet


EVALUATIONS = Patience()
# Calls are expensive: attempts are shorter, so more is asked of the first. That others
# meet its minimum is soon seen.
CALLS = Patience(first=4.0, least=30, least_again=10, most=100, joint=True)


def jointly_over(
    patience: Patience, attempts: Sequence[UnderWay], level: float, atoms: int
) -> list[UnderWay]:
    """Attempts of searches side by side that count although they have not ended.

    Side by side, all first attempts would wait as long as one that is alone. Those that
    have met the same lowest minimum wait together instead: each as long as one that has
    met it again, and all of them together as long as a first one. They count if they
    are at least half of all attempts.

    Parameters
    ----------
    patience
        Of each.
    attempts
        One for each search.
    level
        The highest energy that counts as the lowest minimum.
    atoms
        How many there are to be placed.
    """
    if not patience.joint:
        return []
    met = [each for each in attempts if each.energy <= level]
    met = [x for x in met if patience.over(x.spent, x.fall, atoms, again=True)]
    if not met or 2 * len(met) < len(attempts):
        return []
    quiet = sum(each.spent - each.fall for each in met)
    latest = max(each.fall for each in met)
    whole = patience.over(latest + quiet, latest, atoms, first=True)
    return met if whole else []
