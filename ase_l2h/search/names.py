"""Names of the search methods, for the command line, Python, comparisons and hulls.

Nothing here needs JAX.
"""

from __future__ import annotations

__all__ = ["DEFAULT_METHOD", "LEARNED", "METHODS", "PARTS", "WITH_WEIGHTS"]

METHODS = {
    "auto": "the best of all: symmetric and random structures, fragments of ordered "
    "packings, changes of what is held, learned hops; what pays gets the next turn",
    "learned": "the learned optimizer from many starts",
    "adam": "Adam from many starts",
    "fire": "FIRE from many starts",
    "gd": "gradient descent from many starts",
    "bh": "basin hopping",
    "bh-paper": "basin hopping as in the Learn2Hop paper",
}
DEFAULT_METHOD = "auto"
# Those that have weights to choose.
WITH_WEIGHTS = ("auto", "learned")

# What `auto` is made of, each of which can be left out.
PARTS = {
    "uniform": "atoms at random places",
    "symmetric": "random structures with point groups, or space groups of the cell",
    "fragments": "fragments of ordered packings",
    "learned-starts": "the learned optimizer from random structures",
    "learned-hops": "the learned optimizer from structures that are held",
    "hopping": "short basin hopping from structures that are held",
    "shakes": "all atoms displaced a little",
    "melts": "the atoms on one side displaced far",
    "twists": "one side turned against the other",
    "slides": "a cluster elsewhere on its surface, turned or not",
    "moves": "the loosest atoms put elsewhere outside",
    "shuffles": "loose atoms put at vacant sites drawn at random",
    "surrogate": "minima of a potential that is learned on the way, of calculators",
    "swaps": "a few unlike atoms exchanged at random",
    "molecules": "molecules that are kept: put elsewhere, turned, bent about bonds",
    "site-descent": "the loosest atom to the best vacant site, as long as that pays",
    "exchange-descent": "unlike atoms exchanged, as long as that pays",
    "learned-exchanges": "which atoms to exchange, from what the search has measured",
    "neighbours": "structures of other compositions, in hulls",
}
# Those that take weights.
LEARNED = frozenset({"learned-starts", "learned-hops"})
