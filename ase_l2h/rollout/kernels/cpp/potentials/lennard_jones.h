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
  // u times w = (c - x)^2 (c + 2 x - 3 o) / (c - o)^3 between the onset o and the end c,
  // x = r^2; dw/dx = 6 (c - x) (o - x) / (c - o)^3, and du/dx = 6 f.
  const mask inside = squared < p.cut_squared;
  const real x = select(inside, squared, real{} + p.cut_squared);
  const real left = p.cut_squared - x, past = p.onset_squared - x;
  const mask switching = past <= 0.0f;
  const real w = left * left * (left - 3.0f * past) * p.switching;
  const real slope = left * past * p.switching;
  *f = select(inside, select(switching, *f * w + *u * slope, *f), real{});
  *u = select(inside, select(switching, *u * w, *u), real{});
#else
  (void)p;
#endif
}

#include "potentials/pairwise.h"
