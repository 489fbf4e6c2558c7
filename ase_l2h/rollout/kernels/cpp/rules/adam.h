// Adam; as ase_l2h/rules/adam.py.
//
// Included by trajectory.h as RULE_HEADER, like all rules. A rule keeps rows of state
// per atom and a Whole per structure, and works in three parts with barriers in between:
// `remember`, right after the gradient; `prepare`, once sums over the structure are
// known; `displace`. `recall` comes before the first step of a launch, and `forget` is
// what a new quench of basin hopping begins with.

#pragma once

#include "rules/parameters.h"

// Rows: first and second moments.
#define PART_ROWS(part) (part < 2 ? 3 : 0)
#define MOMENT_ROWS 6
// For the pull of a compressed quench.
#define POOLED_ROWS (2 * HOPPING)

struct Whole {
  real steps;
};
FUNCTION void load_whole(const Arguments& a, int b, int count, Whole& w) {
  w.steps = load(a.whole[0] + b, count);
}
FUNCTION void store_whole(const Arguments& a, int b, int count, const Whole& w) {
  store(a.whole[0] + b, w.steps, count);
}
FUNCTION void recall(const Observation&, Whole&, const real*) {}
FUNCTION void remember(const Observation& s, real* state, real* pooled) {
  const int n = s.n;
  (void)pooled;
  const RuleParameters& p = parameters(s);
  const number b1 = p.b1, b2 = p.b2;
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    real g = s.gradient[c * n + i];
    real* first = state + c * n + i;
    real* second = state + (3 + c) * n + i;
    *first = *first * b1 + g * (1.0f - b1);
    *second = *second * b2 + g * g * (1.0f - b2);
  }
}
FUNCTION void prepare(const Observation&, Whole& w, real*, real*, real*) {
  w.steps = w.steps + 1.0f;
}
FUNCTION void forget(const Observation& s, Whole& w, real* state, mask where) {
  w.steps = select(where, real{}, w.steps);
  EACH(i, s.n)
  for (int row = 0; row < MOMENT_ROWS; ++row)
    state[row * s.n + i] = select(where, real{}, state[row * s.n + i]);
}
FUNCTION void displace(const Observation& s, const Whole& w, const real* state, const real*,
                       const real*, real* displacement) {
  const int n = s.n;
  const RuleParameters& p = parameters(s);
  real first = 1.0f - exponential(w.steps * logf(p.b1));
  real second = 1.0f - exponential(w.steps * logf(p.b2));
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    real m = state[c * n + i] / first, v = state[(3 + c) * n + i] / second;
    displacement[c * n + i] = -p.rate * (m / (square_root(v) + p.eps));
  }
}
