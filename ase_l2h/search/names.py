"""Names of the search methods, for the command line, Python, comparisons and hulls.

Nothing here needs JAX.
"""

from __future__ import annotations

__all__ = ["DEFAULT_METHOD", "HOP", "LEARNED", "METHODS", "PARTS", "WITH_WEIGHTS"]

METHODS = {
    "auto": "recommended: symmetric and random structures, fragments of ordered "
    "packings, changes of held structures, learned hops; what pays gets the next turn",
    "learned": "the learned optimizer from many starts",
    "hops": "the learned optimizer from random starts and from the minima it finds",
    "adam": "Adam from many starts",
    "fire": "FIRE from many starts",
    "gd": "gradient descent from many starts",
    "bh": "basin hopping",
    "bh-paper": "basin hopping as in the Learn2Hop paper",
}
DEFAULT_METHOD = "auto"
# Methods whose weights can be chosen.
WITH_WEIGHTS = ("auto", "learned", "hops")
# The weights of `hops`, which were trained to leave minima.
HOP = "hop"

# The parts of `auto`; each can be left out.
PARTS = {
    "uniform": "atoms at random places",
    "symmetric": "random structures with point groups, or space groups of the cell",
    "fragments": "fragments of ordered packings",
    "learned-starts": "the learned optimizer from random structures",
    "learned-hops": "the learned optimizer from held structures",
    "hopping": "short basin hopping from held structures",
    "shakes": "all atoms displaced a little",
    "melts": "the atoms on one side displaced far",
    "twists": "one side turned against the other",
    "slides": "a cluster moved along its surface, turned or not",
    "moves": "the loosest atoms put elsewhere on the outside",
    "shuffles": "loose atoms put at vacant sites drawn at random",
    "surrogate": "minima of a potential learned during the search (calculators)",
    "swaps": "a few unlike atoms exchanged at random",
    "molecules": "whole molecules put elsewhere, turned, or bent about bonds",
    "surrogate-descent": "descent in the learned potential, before the first call",
    "site-descent": "the loosest atom to the best vacant site, while the energy falls",
    "exchange-descent": "unlike atoms exchanged, while the energy falls",
    "learned-exchanges": "which atoms to exchange, learned from measured energies",
    "neighbours": "structures of other compositions, in hulls",
}
# Parts that take weights.
LEARNED = frozenset({"learned-starts", "learned-hops"})
