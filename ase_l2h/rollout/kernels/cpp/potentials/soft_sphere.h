// Harmonic spheres that overlap; as ase_l2h/potentials/soft_sphere.py.

#pragma once

#include "potentials/pairs.h"

#define SCRATCH_ROWS 0
#define PAIR_NUMBERS 0

// Lengths in units of sigma: half of epsilon (1 - r)^2 / 2 belongs to each atom.
struct PotentialParameters {
  number POTENTIAL_PARAMETERS;
};

FUNCTION void pair(const PotentialParameters&, real squared, real* u, real* f) {
  // Coincident atoms have no direction, and feel no force.
  const real r = square_root(larger(squared, real{} + 1e-30f));
  const real overlap = larger(1.0f - r, real{});
  *u = 0.25f * overlap * overlap;
  *f = real{} - overlap / r;
}

#include "potentials/pairwise.h"
