// Lennard-Jones 12-6, uncut (CUT 0), truncated and shifted (1) or smoothly cut (2); as
// ase_l2h/potentials/lennard_jones.py.

#pragma once

#include "potentials/pairs.h"

#define SCRATCH_ROWS 0
#define PAIR_NUMBERS 0

// Lengths in units of sigma: energy is (2 epsilon) u per atom and pair, the gradient
// (48 epsilon / sigma) f d.
struct PotentialParameters {
  number POTENTIAL_PARAMETERS;
};

FUNCTION void pair(const PotentialParameters& p, real squared, real* u, real* f) {
  const real inverse = 1.0f / squared;
  const real s6 = inverse * inverse * inverse;
  *u = s6 * (s6 - 1.0f);
  *f = (0.5f - s6) * (s6 * inverse);
#if CUT == 1
  const mask inside = squared <= p.cut_squared;
  *u = select(inside, *u - p.shift, real{});
  *f = select(inside, *f, real{});
#elif CUT == 2
  // u times w; du/dx = 6 f.
  const mask inside = squared < p.cut_squared;
  real w, slope;
  const mask switching =
      switched(squared, p.cut_squared, p.onset_squared, p.switching, &w, &slope);
  *f = select(inside, select(switching, *f * w + *u * slope, *f), real{});
  *u = select(inside, select(switching, *u * w, *u), real{});
#else
  (void)p;
#endif
}

#include "potentials/pairwise.h"
