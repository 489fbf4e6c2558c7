// Displacements of Adam, FIRE and L-BFGS; part of rules.h.
//
// `forget` is what a new quench of basin hopping begins with.

#pragma once

#if RULE == ADAM

// theta: rate, b1, b2, eps. Rows: first and second moments.
#define THETA_COUNT 4
FUNCTION void remember(const Sight& s, real* state, real* pooled) {
  const int n = s.n;
  (void)pooled;
  const float b1 = s.theta[1], b2 = s.theta[2];
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    real g = s.gradient[c * n + i];
    real* first = state + c * n + i;
    real* second = state + (3 + c) * n + i;
    *first = *first * b1 + g * (1.0f - b1);
    *second = *second * b2 + g * g * (1.0f - b2);
  }
}
FUNCTION void prepare(const Sight&, Whole& w, real*, real*, real*) {
  w.a = w.a + 1.0f;  // steps taken
}
FUNCTION void forget(const Sight& s, Whole& w, real* state, mask where) {
  w.a = select(where, real{}, w.a);
  EACH(i, s.n)
  for (int row = 0; row < MOMENT_ROWS; ++row)
    state[row * s.n + i] = select(where, real{}, state[row * s.n + i]);
}
FUNCTION void displace(const Sight& s, const Whole& w, const real* state, const real*,
                       const real*, real* displacement) {
  const int n = s.n;
  const float rate = s.theta[0], eps = s.theta[3];
  real first = 1.0f - exponential(w.a * logf(s.theta[1]));
  real second = 1.0f - exponential(w.a * logf(s.theta[2]));
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    real m = state[c * n + i] / first, v = state[(3 + c) * n + i] / second;
    displacement[c * n + i] = -rate * (m / (square_root(v) + eps));
  }
}

#elif RULE == FIRE

// theta: dt, dt_max, max_step, alpha, f_inc, f_dec, f_alpha, n_min. Rows: velocity.
#define THETA_COUNT 8
FUNCTION void remember(const Sight& s, real* state, real* pooled) {
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
// Time step, mixing and downhill steps: a, b and c.
FUNCTION void prepare(const Sight& s, Whole& w, real* state, real* pooled, real* base) {
  const int n = s.n;
  const float* t = s.theta;
  const real one = real{} + 1.0f;
  mask downhill = sum_over(pooled, n) > 0.0f;
  real speed = square_root(sum_over(pooled + n, n));
  real strength = square_root(sum_over(pooled + 2 * n, n)) + 1e-30f;
  real keep = 1.0f - w.b, push = w.b * speed / strength;
  w.c = select(downhill, w.c + 1.0f, real{});
  mask faster = downhill & (w.c > t[7]);
  real shrunk = select(speed == 0.0f, w.a, w.a * t[5]);
  w.a = select(faster, smaller(w.a * t[4], one * t[1]), select(downhill, w.a, shrunk));
  w.b = select(faster, w.b * t[6], select(downhill, w.b, one * t[3]));
  // All threads must have read the sums before the velocities change them.
  barrier();
  EACH(i, n) {
    real longest = real{};
    for (int c = 0; c < 3; ++c) {
      real g = s.gradient[c * n + i], v = state[c * n + i];
      v = select(downhill, keep * v - push * g, real{}) - w.a * g;
      state[c * n + i] = v;
      longest = longest + (w.a * v) * (w.a * v);
    }
    pooled[i] = longest;
  }
  (void)base;
}
FUNCTION void displace(const Sight& s, const Whole& w, const real* state,
                       const real* pooled, const real*, real* displacement) {
  const int n = s.n;
  real longest = square_root(largest_of(pooled, n));
  real scale = s.theta[2] / larger(longest, real{} + 1e-30f);
  scale = select(scale < 1.0f, scale, real{} + 1.0f);
  EACH(i, n)
  for (int c = 0; c < 3; ++c)
    displacement[c * n + i] = w.a * state[c * n + i] * scale;
}
FUNCTION void forget(const Sight& s, Whole& w, real* state, mask where) {
  w.a = select(where, s.theta[0], w.a);
  w.b = select(where, s.theta[3], w.b);
  w.c = select(where, real{}, w.c);
  EACH(i, s.n)
  for (int c = 0; c < 3; ++c)
    state[c * s.n + i] = select(where, real{}, state[c * s.n + i]);
}

#else

// theta: max_step, first_step, rise, max_rejections. Rows: gradient and step of the last
// accepted point, then the pairs s and y, the newest last.
#define THETA_COUNT 4

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
FUNCTION void recall(const Sight& s, Whole& w, const real* state) {
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

FUNCTION void remember(const Sight& s, real*, real* pooled) {
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

// Energy, rejections and whether there was a point before: a, b and c. The direction goes
// to the rows of the step, to be scaled in `displace`.
FUNCTION void prepare(const Sight& s, Whole& w, real* state, real* pooled, real*) {
  const int n = s.n, count = 3 * s.n;
  const float* t = s.theta;
  const real one = real{} + 1.0f;
  real* last = state;
  real* step = last + count;
  real* pairs = step + count;
  real* others = pairs + HISTORY * count;

  Products p = multiply(s.gradient, last, step, pairs, count);
  real steepest = square_root(largest_of(pooled, n));
  real highest = w.a + t[2] * absolute(w.a);
  mask started = w.c > 0.0f, exhausted = w.b >= t[3];
  mask lower = (s.energy <= highest) | opposite(is_finite(highest));
  w.lower = opposite(started) | lower | exhausted;
  mask useful = w.lower & started & (p.step_y > 1e-12f) & opposite(exhausted);
  real rho = 1.0f / select(useful, p.step_y, one);
  renew(w, p, useful, rho);
  for (int k = 0; k < HISTORY; ++k) w.rho[k] = select(exhausted, real{}, w.rho[k]);
  w.a = select(w.lower, s.energy, w.a);
  w.b = select(w.lower, real{}, w.b + 1.0f);
  w.c = one;

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
                      smaller(one * t[1], 0.1f / (steepest + 1e-30f)));
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
      last[e] = select(w.lower, g, last[e]);
      step[e] = select(w.lower, direction, 0.1f * d);
      length = length + direction * direction;
      rise = rise + direction * g;
    }
    pooled[i] = length;
    pooled[n + i] = rise;
  }
}
FUNCTION void displace(const Sight& s, const Whole& w, real* state, const real* pooled,
                       const real*, real* displacement) {
  const int n = s.n;
  real* step = state + 3 * n;
  const real one = real{} + 1.0f;
  real longest = square_root(largest_of(pooled, n));
  mask uphill = sum_over(pooled + n, n) < 0.0f;
  real size = smaller(one, s.theta[0] / larger(longest, real{} + 1e-30f));
  real factor = select(w.lower, select(uphill, size, real{} - size), one);
  // A step taken back: a tenth of it is tried, nine tenths lead there.
  real way = select(w.lower, one, real{} - 9.0f);
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    const int e = c * n + i;
    step[e] = step[e] * factor;
    displacement[e] = step[e] * way;
  }
}
FUNCTION void forget(const Sight&, Whole& w, real*, mask where) {
  w.b = select(where, real{}, w.b);
  w.c = select(where, real{}, w.c);
  for (int k = 0; k < HISTORY; ++k) w.rho[k] = select(where, real{}, w.rho[k]);
}

#endif
