// L-BFGS without a line search; as ase_l2h/rules/lbfgs.py.
//
// Included by trajectory.h as RULE_HEADER, like all rules. A rule keeps rows of state
// per atom and a Whole per structure, and works in three parts with barriers in between:
// `remember`, right after the gradient; `prepare`, once sums over the structure are
// known; `displace`. `recall` comes before the first step of a launch, and `forget` is
// what a new quench of basin hopping begins with.

#pragma once

#include "rules/parameters.h"

// Rows: gradient and step of the last accepted point, then the pairs s and y, the newest
// last.
#define PART_ROWS(part) (part < 2 ? 3 : 3 * HISTORY)
#define MOMENT_ROWS (6 + 6 * HISTORY)
#define POOLED_ROWS 2

struct Whole {
  real energy, rejections;
  real started;   // 1 where there was a point before
  mask accepted;  // the present one is
  real rho[HISTORY];
  // Products of the pairs: s_i y_j and y_i y_j, i <= j; they follow from the pairs.
  real sy[HISTORY][HISTORY], yy[HISTORY][HISTORY];
};
FUNCTION void load_whole(const Arguments& a, int b, int count, Whole& w) {
  w.energy = load(a.whole[0] + b, count);
  w.rejections = load(a.whole[1] + b, count);
  w.started = load(a.whole[2] + b, count);
  for (int k = 0; k < HISTORY; ++k)
    w.rho[k] = load(a.whole[3] + k * a.batch + b, count);
}
FUNCTION void store_whole(const Arguments& a, int b, int count, const Whole& w) {
  store(a.whole[0] + b, w.energy, count);
  store(a.whole[1] + b, w.rejections, count);
  store(a.whole[2] + b, w.started, count);
  for (int k = 0; k < HISTORY; ++k)
    store(a.whole[3] + k * a.batch + b, w.rho[k], count);
}

// Scalar products of the pairs with the gradient g and with its change y.
struct Products {
  real s_g[HISTORY], y_g[HISTORY], s_y[HISTORY], y_y[HISTORY];
  real step_g, step_y, g_y, y_square;
};

// One visit of all that is remembered: the recursion over the pairs needs nothing but
// these sums. All threads work them out for themselves.
FUNCTION Products multiply(const real* gradient, const real* last, const real* step,
                           const real* pairs, int count) {
  Products p = {};
  const real* others = pairs + HISTORY * count;
  OVER_ALL(e, count) {
    const real g = gradient[e], y = g - last[e], d = step[e];
    UNROLL
    for (int k = 0; k < HISTORY; ++k) {
      const real s_k = pairs[k * count + e], y_k = others[k * count + e];
      p.s_g[k] = p.s_g[k] + s_k * g;
      p.y_g[k] = p.y_g[k] + y_k * g;
      p.s_y[k] = p.s_y[k] + s_k * y;
      p.y_y[k] = p.y_y[k] + y_k * y;
    }
    p.step_g = p.step_g + d * g;
    p.step_y = p.step_y + d * y;
    p.g_y = p.g_y + y * g;
    p.y_square = p.y_square + y * y;
  }
  real* sums = reinterpret_cast<real*>(&p);
  UNROLL
  for (int k = 0; k < 4 * HISTORY + 4; ++k) sums[k] = joined(sums[k]);
  return p;
}

// Products of the pairs with each other, which a search that continues has not kept. The
// same sums in the same order as on the way: the bits do not tell where a run was cut.
FUNCTION void recall(const Observation& s, Whole& w, const real* state) {
  const int count = 3 * s.n;
  const real* pairs = state + 2 * count;
  ROLLED
  for (int j = 0; j < HISTORY; ++j) {
    const real* y = pairs + (HISTORY + j) * count;
    const Products p = multiply(y, y, y, pairs, count);
    for (int i = 0; i < HISTORY; ++i) {
      w.sy[i][j] = p.s_g[i];
      w.yy[i][j] = p.y_g[i];
    }
  }
}

FUNCTION void remember(const Observation& s, real*, real* pooled) {
  const int n = s.n;
  EACH(i, n) {
    real square = real{};
    for (int c = 0; c < 3; ++c)
      square = square + s.gradient[c * n + i] * s.gradient[c * n + i];
    pooled[i] = square;
  }
}

// Takes the new pair into the memory where it is `useful`; `p` then belongs to the pairs
// as they are afterwards.
FUNCTION void renew(Whole& w, Products& p, mask useful, real rho) {
  const int last = HISTORY - 1;
  UNROLL
  for (int i = 0; i < last; ++i) {
    UNROLL
    for (int j = i; j < last; ++j) {
      w.sy[i][j] = select(useful, w.sy[i + 1][j + 1], w.sy[i][j]);
      w.yy[i][j] = select(useful, w.yy[i + 1][j + 1], w.yy[i][j]);
    }
    w.sy[i][last] = select(useful, p.s_y[i + 1], w.sy[i][last]);
    w.yy[i][last] = select(useful, p.y_y[i + 1], w.yy[i][last]);
    w.rho[i] = select(useful, w.rho[i + 1], w.rho[i]);
    p.s_g[i] = select(useful, p.s_g[i + 1], p.s_g[i]);
    p.y_g[i] = select(useful, p.y_g[i + 1], p.y_g[i]);
  }
  w.sy[last][last] = select(useful, p.step_y, w.sy[last][last]);
  w.yy[last][last] = select(useful, p.y_square, w.yy[last][last]);
  w.rho[last] = select(useful, rho, w.rho[last]);
  p.s_g[last] = select(useful, p.step_g, p.s_g[last]);
  p.y_g[last] = select(useful, p.g_y, p.y_g[last]);
}

// The direction goes to the rows of the step, to be scaled in `displace`.
FUNCTION void prepare(const Observation& s, Whole& w, real* state, real* pooled, real*) {
  const int n = s.n, count = 3 * s.n;
  const RuleParameters& told = parameters(s);
  const real one = real{} + 1.0f;
  real* last = state;
  real* step = last + count;
  real* pairs = step + count;
  real* others = pairs + HISTORY * count;

  Products p = multiply(s.gradient, last, step, pairs, count);
  real steepest = square_root(largest_of(pooled, n));
  real highest = w.energy + told.rise * absolute(w.energy);
  mask started = w.started > 0.0f, exhausted = w.rejections >= told.max_rejections;
  mask lower = (s.energy <= highest) | opposite(is_finite(highest));
  w.accepted = opposite(started) | lower | exhausted;
  mask useful = w.accepted & started & (p.step_y > (number)1e-12) & opposite(exhausted);
  real rho = 1.0f / select(useful, p.step_y, one);
  renew(w, p, useful, rho);
  for (int k = 0; k < HISTORY; ++k) w.rho[k] = select(exhausted, real{}, w.rho[k]);
  w.energy = select(w.accepted, s.energy, w.energy);
  w.rejections = select(w.accepted, real{}, w.rejections + 1.0f);
  w.started = one;

  // The two loops of the recursion, on scalar products instead of vectors.
  real weights[HISTORY], along[HISTORY];
  UNROLL
  for (int i = HISTORY - 1; i >= 0; --i) {
    real product = p.s_g[i];
    for (int j = i + 1; j < HISTORY; ++j) product = product - weights[j] * w.sy[i][j];
    weights[i] = w.rho[i] * product;
  }
  const real newest = w.rho[HISTORY - 1] * w.yy[HISTORY - 1][HISTORY - 1];
  mask known = w.rho[HISTORY - 1] > 0.0f;
  real scale = select(known, 1.0f / select(known, newest, one),
                      smaller(one * told.first_step, (number)0.1 / (steepest + (number)1e-30)));
  UNROLL
  for (int i = 0; i < HISTORY; ++i) {
    real product = p.y_g[i];
    for (int j = 0; j < HISTORY; ++j)
      product = product - weights[j] * (j < i ? w.yy[j][i] : w.yy[i][j]);
    product = product * scale;
    for (int j = 0; j < i; ++j) product = product + along[j] * w.sy[j][i];
    along[i] = weights[i] - w.rho[i] * product;
  }
  for (int i = 0; i < HISTORY; ++i) weights[i] = real{} - scale * weights[i];

  // All threads must have read the pairs before they change.
  barrier();
  EACH(i, n) {
    real length = real{}, rise = real{};
    for (int c = 0; c < 3; ++c) {
      const int e = c * n + i;
      const real g = s.gradient[e], y = g - last[e], d = step[e];
      real direction = scale * g;
      UNROLL
      for (int k = 0; k < HISTORY; ++k) {
        real* s_k = pairs + k * count + e;
        real* y_k = others + k * count + e;
        *s_k = select(useful, k + 1 < HISTORY ? s_k[count] : d, *s_k);
        *y_k = select(useful, k + 1 < HISTORY ? y_k[count] : y, *y_k);
        direction = direction + along[k] * *s_k + weights[k] * *y_k;
      }
      last[e] = select(w.accepted, g, last[e]);
      step[e] = select(w.accepted, direction, (number)0.1 * d);
      length = length + direction * direction;
      rise = rise + direction * g;
    }
    pooled[i] = length;
    pooled[n + i] = rise;
  }
}
FUNCTION void displace(const Observation& s, const Whole& w, real* state, const real* pooled,
                       const real*, real* displacement) {
  const int n = s.n;
  real* step = state + 3 * n;
  const real one = real{} + 1.0f;
  real longest = square_root(largest_of(pooled, n));
  mask uphill = sum_over(pooled + n, n) < 0.0f;
  real size = smaller(one, parameters(s).max_step / larger(longest, real{} + (number)1e-30));
  real factor = select(w.accepted, select(uphill, size, real{} - size), one);
  // A step taken back: a tenth of it is tried, nine tenths lead there.
  real way = select(w.accepted, one, real{} - 9.0f);
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    const int e = c * n + i;
    step[e] = step[e] * factor;
    displacement[e] = step[e] * way;
  }
}
FUNCTION void forget(const Observation&, Whole& w, real*, mask where) {
  w.rejections = select(where, real{}, w.rejections);
  w.started = select(where, real{}, w.started);
  for (int k = 0; k < HISTORY; ++k) w.rho[k] = select(where, real{}, w.rho[k]);
}
