// FIRE; as ase_l2h/rules/fire.py.
//
// Included by trajectory.h as RULE_HEADER, like all rules. A rule keeps rows of state
// per atom and a Whole per structure, and works in three parts with barriers in between:
// `remember`, right after the gradient; `prepare`, once sums over the structure are
// known; `displace`. `recall` comes before the first step of a launch, and `forget` is
// what a new quench of basin hopping begins with.

#pragma once

#include "rules/parameters.h"

// Rows: velocity.
#define PART_ROWS(part) (part == 0 ? 3 : 0)
#define MOMENT_ROWS 3
#define POOLED_ROWS 3

struct Whole {
  real dt, alpha, downhill;
};
FUNCTION void load_whole(const Arguments& a, int b, int count, Whole& w) {
  w.dt = load(a.whole[0] + b, count);
  w.alpha = load(a.whole[1] + b, count);
  w.downhill = load(a.whole[2] + b, count);
}
FUNCTION void store_whole(const Arguments& a, int b, int count, const Whole& w) {
  store(a.whole[0] + b, w.dt, count);
  store(a.whole[1] + b, w.alpha, count);
  store(a.whole[2] + b, w.downhill, count);
}
FUNCTION void recall(const Observation&, Whole&, const real*) {}
FUNCTION void remember(const Observation& s, real* state, real* pooled) {
  const int n = s.n;
  EACH(i, n) {
    real power = real{}, speed = real{}, strength = real{};
    for (int c = 0; c < 3; ++c) {
      real g = s.gradient[c * n + i], v = state[c * n + i];
      power = power - g * v;
      speed = speed + v * v;
      strength = strength + g * g;
    }
    pooled[i] = power;
    pooled[n + i] = speed;
    pooled[2 * n + i] = strength;
  }
}
FUNCTION void prepare(const Observation& s, Whole& w, real* state, real* pooled, real* base) {
  const int n = s.n;
  const RuleParameters& p = parameters(s);
  const real one = real{} + 1.0f;
  mask downhill = sum_over(pooled, n) > 0.0f;
  real speed = square_root(sum_over(pooled + n, n));
  real strength = square_root(sum_over(pooled + 2 * n, n)) + 1e-30f;
  real keep = 1.0f - w.alpha, push = w.alpha * speed / strength;
  w.downhill = select(downhill, w.downhill + 1.0f, real{});
  mask faster = downhill & (w.downhill > p.n_min);
  real shrunk = select(speed == 0.0f, w.dt, w.dt * p.f_dec);
  w.dt = select(faster, smaller(w.dt * p.f_inc, one * p.dt_max), select(downhill, w.dt, shrunk));
  w.alpha = select(faster, w.alpha * p.f_alpha, select(downhill, w.alpha, one * p.alpha));
  // All threads must have read the sums before the velocities change them.
  barrier();
  EACH(i, n) {
    real longest = real{};
    for (int c = 0; c < 3; ++c) {
      real g = s.gradient[c * n + i], v = state[c * n + i];
      v = select(downhill, keep * v - push * g, real{}) - w.dt * g;
      state[c * n + i] = v;
      longest = longest + (w.dt * v) * (w.dt * v);
    }
    pooled[i] = longest;
  }
  (void)base;
}
FUNCTION void displace(const Observation& s, const Whole& w, const real* state,
                       const real* pooled, const real*, real* displacement) {
  const int n = s.n;
  real longest = square_root(largest_of(pooled, n));
  real scale = parameters(s).max_step / larger(longest, real{} + 1e-30f);
  scale = select(scale < 1.0f, scale, real{} + 1.0f);
  EACH(i, n)
  for (int c = 0; c < 3; ++c)
    displacement[c * n + i] = w.dt * state[c * n + i] * scale;
}
FUNCTION void forget(const Observation& s, Whole& w, real* state, mask where) {
  w.dt = select(where, parameters(s).dt, w.dt);
  w.alpha = select(where, parameters(s).alpha, w.alpha);
  w.downhill = select(where, real{}, w.downhill);
  EACH(i, s.n)
  for (int c = 0; c < 3; ++c)
    state[c * s.n + i] = select(where, real{}, state[c * s.n + i]);
}
