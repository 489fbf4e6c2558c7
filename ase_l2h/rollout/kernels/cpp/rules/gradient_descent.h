// Gradient descent; as ase_l2h/rules/gradient_descent.py.
//
// It remembers nothing.

#pragma once

#include "rules/parameters.h"

#define PART_ROWS(part) 0
#define MOMENT_ROWS 0
// For the pull of a compressed quench.
#define POOLED_ROWS (2 * HOPPING)

struct Whole {};
FUNCTION void load_whole(const Arguments&, int, int, Whole&) {}
FUNCTION void store_whole(const Arguments&, int, int, const Whole&) {}
FUNCTION void recall(const Observation&, Whole&, const real*) {}
FUNCTION void remember(const Observation&, real*, real*) {}
FUNCTION void prepare(const Observation&, Whole&, real*, real*, real*) {}
FUNCTION void forget(const Observation&, Whole&, real*, mask) {}
FUNCTION void displace(const Observation& s, const Whole&, const real*, const real*,
                       const real*, real* displacement) {
  const number rate = parameters(s).rate, most = parameters(s).max_step;
  EACH(i, s.n)
  for (int c = 0; c < 3; ++c) {
    const real step = s.gradient[c * s.n + i] * -rate;
    displacement[c * s.n + i] = larger(smaller(step, real{} + most), real{} - most);
  }
}
