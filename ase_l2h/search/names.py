"""Names of the search methods, for the command line, Python, comparisons and hulls.

Nothing here needs JAX.
"""

from __future__ import annotations

__all__ = ["DEFAULT_METHOD", "METHODS", "POPULATIONS", "WITH_WEIGHTS"]

METHODS = {
    "population": "a population of structures: learned hops, fragments of ordered "
    "packings, symmetric structures, loose atoms moved to vacant sites, unlike atoms "
    "exchanged",
    "population-fresh": "the same, but only what begins at random, without fragments, "
    "shakes and neighbours",
    "population-plain": "the same without a learned optimizer: random starts are "
    "relaxed instead",
    "learned": "the learned optimizer from many starts",
    "adam": "Adam from many starts",
    "fire": "FIRE from many starts",
    "gd": "gradient descent from many starts",
    "bh": "basin hopping",
    "bh-paper": "basin hopping as in the Learn2Hop paper",
}
DEFAULT_METHOD = "population"
POPULATIONS = ("population", "population-fresh", "population-plain")
# Those that have weights to choose.
WITH_WEIGHTS = ("population", "population-fresh", "learned")
