"""When an attempt has tried for long enough, and the next begins."""

from __future__ import annotations

import dataclasses

__all__ = ["CALLS", "EVALUATIONS", "Patience"]


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long an attempt waits for its lowest energy to fall.

    Parameters
    ----------
    factor
        An attempt ends after this many times the evaluations that it had used when its
        lowest energy last fell.
    again
        The same where its lowest minimum is that of an earlier attempt: meeting it
        again was the aim, and the earlier attempt has already searched for lower ones.
    least, most
        Bounds of this number, in evaluations per atom.
    """

    factor: float = 4.0
    again: float = 1.0
    least: int = 100
    most: int | None = None

    def over(self, spent: int, fall: int, atoms: int, *, again: bool) -> bool:
        """Whether an attempt ends.

        Parameters
        ----------
        spent, fall
            Its evaluations, and how many it had when its lowest energy last fell.
        atoms
            How many there are to be placed.
        again
            Whether its lowest minimum is the lowest of an earlier attempt.
        """
        factor = min(self.factor, self.again) if again else self.factor
        quiet = max(self.least * atoms, factor * fall)
        if self.most is not None:
            quiet = min(quiet, self.most * atoms)
        return spent - fall >= quiet


EVALUATIONS = Patience()
# Calls are expensive: attempts are shorter, so more is asked before they agree.
CALLS = Patience(again=4.0, least=30, most=100)
