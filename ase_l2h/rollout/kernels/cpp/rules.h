// Displacements: the two learned rules here, the others in classical.h; RULE chooses.
//
// As in ase_l2h/optimizers, in reduced units. A rule keeps rows of state per atom, and
// works in three parts with barriers in between: `remember`, right after the gradient;
// `prepare`, once sums over the structure are known; `displace`.

#pragma once

#include "numbers.h"
#include "potentials.h"

#define EQUIVARIANT 1
#define COORDINATEWISE 2
#define ADAM 3
#define FIRE 4
#define LBFGS 5

#define LEARNED (RULE == EQUIVARIANT || RULE == COORDINATEWISE)
#define DECAY_COUNT 6
#define PERIOD_COUNT 9
#define HIDDEN 32
#define TINY 1e-20f
// e^-10
#define FLOOR 4.5399929762484854e-5f

#if RULE == EQUIVARIANT
#define PART_ROWS(part) (part == 0 ? 18 : part == 1 ? 6 : part == 2 ? 3 * MEMORY : 0)
#define MOMENT_ROWS (DECAY_COUNT * 4 + 3 * MEMORY)
#define HOST_ROWS (PAIRS_ONCE * SEEN)
#define POOLED_ROWS (2 + MEMORY + HOST_ROWS)
#elif RULE == COORDINATEWISE
#define PART_ROWS(part) (part < 2 ? 18 : 0)
#define MOMENT_ROWS (DECAY_COUNT * 6)
#define HOST_ROWS (PAIRS_ONCE * RADIAL * ETA_COUNT * SLOTS)
#define POOLED_ROWS HOST_ROWS
#elif RULE == ADAM
#define PART_ROWS(part) (part < 2 ? 3 : 0)
#define MOMENT_ROWS 6
// For the pull of a compressed quench.
#define POOLED_ROWS (2 * HOPPING)
#elif RULE == FIRE
#define PART_ROWS(part) (part == 0 ? 3 : 0)
#define MOMENT_ROWS 3
#define POOLED_ROWS 3
#else
#define PART_ROWS(part) (part < 2 ? 3 : 3 * HISTORY)
#define MOMENT_ROWS (6 + 6 * HISTORY)
#define POOLED_ROWS 2
#endif

// Rows that are there on the host only.
#ifndef HOST_ROWS
#define HOST_ROWS 0
#endif

#if ON_GPU
#define TABLE static __device__ const float
#else
#define TABLE static const float
#endif
TABLE DECAYS[DECAY_COUNT] = {0.1f, 0.5f, 0.9f, 0.99f, 0.999f, 0.9999f};
// Logarithms of these numbers as single precision has them.
TABLE LOG_DECAYS[DECAY_COUNT] = {-2.302585125e+00f, -6.931471825e-01f,
                                 -1.053605452e-01f, -1.005032659e-02f,
                                 -1.000487478e-03f, -1.000215925e-04f};
TABLE PERIODS[PERIOD_COUNT] = {1.0f,   3.0f,    10.0f,   30.0f,   100.0f,
                               300.0f, 1000.0f, 3000.0f, 10000.0f};

// What is the same for all atoms at one step: bias corrections and sines.
#define STEP_ROWS (DECAY_COUNT + PERIOD_COUNT)

#if LEARNED
FUNCTION float step_entry(int k, float step, float time_scale) {
  if (k < DECAY_COUNT) return -1.0f / expm1f(step * LOG_DECAYS[k]);
  // 2 pi in three parts: single-precision sines of large angles are wrong on some
  // devices.
  float angle = step * time_scale / PERIODS[k - DECAY_COUNT];
  const float turns = rintf(angle / 6.283185307179586f);
  angle = angle - turns * 6.28125f;
  angle = angle - turns * 0.0019350051879882812f;
  angle = angle - turns * 3.0199159795e-07f;
  return sinf(angle);
}
#endif

// Structures in the lanes may have taken different numbers of steps.
FUNCTION void fill_step_table(real* table, real step, float time_scale) {
#if LEARNED
  const bool same = !any_lane(step != lane(step, 0));
  EACH(k, STEP_ROWS) {
    real value = real{} + step_entry(k, lane(step, 0), time_scale);
    for (int l = 1; l < LANES && !same; ++l)
      lane(value, l) = step_entry(k, lane(step, l), time_scale);
    table[k] = value;
  }
#else
  (void)table;
  (void)step;
  (void)time_scale;
#endif
}

// Everything a rule sees of one structure.
struct Sight {
  int n;
  const int* species;
  const float* theta;       // the network and its scalars, or the parameters of the rule
  const real* table;        // fill_step_table
  const real* positions;    // (3, n), in the units of the potential
  const real* gradient;     // (3, n), reduced and clipped
  const real* energies;     // (n), in the units of the potential
  const float* atom_scales; // (2, n, batch) at this structure, or null
  int batch, count;         // stride of atom_scales, and lanes in use
  real length, energy_scale;
  real energy;              // of the structure, reduced
  real centre[3];           // reduced; zero where it means nothing
  Lattice surroundings;     // images of the radial features, reduced
};

// Whole-structure state of a rule; FIRE has its time step, mixing and downhill steps.
struct Whole {
  real a, b, c;
  mask lower;  // than before; of L-BFGS: the point is accepted
#if RULE == LBFGS
  real rho[HISTORY];
  // Products of the pairs: s_i y_j and y_i y_j, i <= j; they follow from the pairs.
  real sy[HISTORY][HISTORY], yy[HISTORY][HISTORY];
#endif
};

FUNCTION real log_feature(real x) {
  return logarithm(larger(x, real{} + FLOOR)) * 0.1f;
}

FUNCTION real norm3(real x, real y, real z) {
  return square_root(x * x + y * y + z * z + TINY);
}

// out = kernel^T in, added to what is there; kernel is (n_in, HIDDEN) by rows.
FUNCTION void add_inputs(const float* kernel, const real* in, int n_in, real* out) {
#if LANES > 1
  // Eight sums at a time stay in vector registers.
  for (int k = 0; k < HIDDEN; k += 8) {
    real sums[8];
    for (int m = 0; m < 8; ++m) sums[m] = out[k + m];
    for (int f = 0; f < n_in; ++f) {
      const float* row = kernel + f * HIDDEN + k;
      for (int m = 0; m < 8; ++m) sums[m] = sums[m] + in[f] * row[m];
    }
    for (int m = 0; m < 8; ++m) out[k + m] = sums[m];
  }
#else
  // Sums in registers. Unrolled further, the code leaves the instruction cache.
  UNROLL_FOUR
  for (int f = 0; f < n_in; ++f) {
    UNROLL
    for (int k = 0; k < HIDDEN; ++k) out[k] += in[f] * kernel[f * HIDDEN + k];
  }
#endif
}

// From the first layer's sums to `outputs` numbers; weights follow the first kernel.
FUNCTION void finish_network(const float* weights, real* first, int outputs,
                             real* out) {
  real second[HIDDEN];
  const float* kernel = weights;
  const float* bias = kernel + HIDDEN * HIDDEN;
  const float* last = bias + HIDDEN;
  const float* last_bias = last + HIDDEN * outputs;
  for (int k = 0; k < HIDDEN; ++k) {
    first[k] = larger(first[k], real{});
    second[k] = real{} + bias[k];
  }
  add_inputs(kernel, first, HIDDEN, second);
  UNROLL
  for (int o = 0; o < outputs; ++o) out[o] = real{} + last_bias[o];
  UNROLL_FOUR
  for (int f = 0; f < HIDDEN; ++f) {
    real x = larger(second[f], real{});
    UNROLL
    for (int o = 0; o < outputs; ++o) out[o] = out[o] + x * last[f * outputs + o];
  }
}

#if PAIRS_ONCE
// Sums over neighbours, COUNT of each atom: visit(i, j, d, d^2, of_i, of_j) adds to both
// for every pair, d = (r_i - r_j) / length. Those of atom i stay in registers.
template <int COUNT, class Visit>
FUNCTION void sum_over_pairs(const Sight& s, real* sums, Visit visit) {
  const int n = s.n;
  const real scale = 1.0f / s.length;
  for (int i = 0; i < n; ++i) {
    real own[COUNT] = {};
    for (int j = 0; j < i; ++j) {
      real d[3];
      for (int c = 0; c < 3; ++c)
        d[c] = (s.positions[c * n + i] - s.positions[c * n + j]) * scale;
      visit(i, j, d, d[0] * d[0] + d[1] * d[1] + d[2] * d[2], own, sums + j * COUNT);
    }
    for (int k = 0; k < COUNT; ++k) sums[i * COUNT + k] = own[k];
  }
}
#endif

FUNCTION real gate(real direction, real size, float beta, float gamma) {
  return direction / (1.0f + exponential(-(size * beta + gamma)));
}

#if RULE == EQUIVARIANT

#define SHELLS 6
#define NEAR 2
// What an atom sees of the others: shells, pulls, and its own kind in sum and pull.
#define SEEN (SHELLS + 3 * NEAR + 4 * SPECIES)
#define VECTORS (3 + DECAY_COUNT + NEAR + MEMORY + SPECIES)
#define PER_ATOM \
  (1 + 3 * DECAY_COUNT + 3 + SHELLS + NEAR + 1 + ATOM_ENERGIES + 2 * MEMORY + 3 * SPECIES)
#define PER_STRUCTURE (2 + 2 * PROGRESS + MEMORY)
#define SHARED (2 + PERIOD_COUNT * STEP)
#define INPUTS (PER_ATOM + PER_STRUCTURE + SHARED)
// Layers in the order of `theta`: kernels and biases, then log alpha, beta, gamma and
// the scale of the clock.
#define AFTER_FIRST (INPUTS * HIDDEN + HIDDEN)
#define SCALARS \
  (AFTER_FIRST + HIDDEN * HIDDEN + HIDDEN + HIDDEN * 2 * VECTORS + 2 * VECTORS)
#define THETA_COUNT (SCALARS + 4)
#define CLOCK (SCALARS + 3)

// Rows: averages of the gradient (6, 3), of its square (6), best positions (3).
FUNCTION void remember(const Sight& s, real* state, real* pooled) {
  const int n = s.n;
  EACH(i, n) {
    real g[3], square = real{};
    for (int c = 0; c < 3; ++c) {
      g[c] = s.gradient[c * n + i];
      square = square + g[c] * g[c];
    }
    for (int k = 0; k < DECAY_COUNT; ++k) {
      const float d = DECAYS[k], rest = 1.0f - DECAYS[k];
      for (int c = 0; c < 3; ++c) {
        real* first = state + (3 * k + c) * n + i;
        *first = *first * d + g[c] * rest;
      }
      real* second = state + (3 * DECAY_COUNT + k) * n + i;
      *second = *second * d + square / 3.0f * rest;
    }
    pooled[i] = log_feature(square_root(square + TINY));
    real mean = state[(3 * DECAY_COUNT + 2) * n + i];
    pooled[n + i] = log_feature(square_root(mean * s.table[2] + TINY));
  }
}

TABLE SHELL_CENTRES[SHELLS] = {0.6f, 1.0f, 1.5f, 2.0f, 3.0f, 4.2f};
TABLE SHELL_WIDTHS[SHELLS] = {0.5f, 0.4f, 0.5f, 0.6f, 1.0f, 1.4f};
TABLE NEAR_CENTRES[NEAR] = {1.0f, 3.0f};
TABLE NEAR_WIDTHS[NEAR] = {0.8f, 2.8f};

FUNCTION real bump(real squared, float centre, float width) {
  real offset = (squared - centre) * (1.0f / width);
  real height = larger(1.0f - offset * offset, real{});
  return height * height;
}

FUNCTION real atom_scale(const Sight& s, int row, int i) {
  if (!s.atom_scales) return real{};
  return load(s.atom_scales + (row * s.n + i) * s.batch, s.count) * 5.0f;
}

FUNCTION void bumps(real squared, real* heights) {
  for (int k = 0; k < SHELLS; ++k)
    heights[k] = bump(squared, SHELL_CENTRES[k], SHELL_WIDTHS[k]);
  for (int k = 0; k < NEAR; ++k)
    heights[SHELLS + k] = bump(squared, NEAR_CENTRES[k], NEAR_WIDTHS[k]);
}

// A neighbour at r - d; `theirs` is its scale of energy.
FUNCTION void add_seen(const real* heights, real x, real y, real z, real theirs,
                       real* seen) {
  const real d[3] = {x, y, z};
  for (int k = 0; k < SHELLS; ++k) seen[k] = seen[k] + heights[k];
  for (int k = 0; k < NEAR; ++k)
    for (int c = 0; c < 3; ++c) {
      real* pull = seen + SHELLS + 3 * k + c;
      *pull = *pull + heights[SHELLS + k] * d[c];
    }
#if SPECIES
  real* kind = seen + SHELLS + 3 * NEAR;
  real weight = heights[SHELLS] * theirs;
  kind[0] = kind[0] + weight;
  for (int c = 0; c < 3; ++c) kind[1 + c] = kind[1 + c] + weight * d[c];
#else
  (void)theirs;
#endif
}

// Best energy so far and steps since then (reduced): a and b.
FUNCTION void prepare(const Sight& s, Whole& w, real* state, real* pooled, real* base) {
  const int n = s.n;
#if PAIRS_ONCE
  sum_over_pairs<SEEN>(
      s, pooled + (2 + MEMORY) * n,
      [&](int i, int j, const real* d, real squared, real* of_i, real* of_j) {
        real heights[SHELLS + NEAR];
        bumps(squared, heights);
        const real scale_i = SPECIES ? atom_scale(s, 1, i) : real{};
        const real scale_j = SPECIES ? atom_scale(s, 1, j) : real{};
        add_seen(heights, d[0], d[1], d[2], scale_j, of_i);
        add_seen(heights, -d[0], -d[1], -d[2], scale_i, of_j);
      });
#endif
  w.lower = s.energy < w.a;
  real best = select(w.lower, s.energy, w.a);
  w.b = select(w.lower, real{}, w.b + 1.0f);
  real above = larger(s.energy - best, real{});
  above = select(is_finite(above), above, real{});
  w.a = best;
  real in[PER_STRUCTURE + SHARED];
  int f = 0;
  in[f++] = sum_over(pooled, n) / (float)n;
  in[f++] = sum_over(pooled + n, n) / (float)n;
#if PROGRESS
  in[f++] = log_plus_one(above) / 4.0f;
  in[f++] = log_plus_one(w.b) * 0.1f;
#endif
#if MEMORY
  f++;  // added in `displace`, when every atom's share is known
#endif
  in[f++] = real{} + (float)n / 100.0f;
  in[f++] = real{} + 1.0f / cbrtf((float)n);
#if STEP
  for (int k = 0; k < PERIOD_COUNT; ++k) in[f++] = real{} + s.table[DECAY_COUNT + k];
#endif
  EACH(k, HIDDEN) {
    real total = real{} + s.theta[INPUTS * HIDDEN + k];
    for (int m = 0; m < PER_STRUCTURE + SHARED; ++m) {
      if (MEMORY && m == PER_STRUCTURE - 1) continue;
      total = total + in[m] * s.theta[(PER_ATOM + m) * HIDDEN + k];
    }
    base[k] = total;
  }
#if MEMORY
  real* home = state + 4 * DECAY_COUNT * n;
  EACH(i, n) {
    real away = real{};
    for (int c = 0; c < 3; ++c) {
      real place = s.positions[c * n + i] / s.length - s.centre[c];
      real kept = select(w.lower, place, home[c * n + i]);
      home[c * n + i] = kept;
      away = away + (kept - place) * (kept - place);
    }
    pooled[2 * n + i] = log_feature(square_root(away + TINY));
  }
#else
  (void)state;
#endif
}

FUNCTION void displace(const Sight& s, const Whole& w, const real* state,
                       const real* pooled, const real* base, real* displacement) {
  const int n = s.n;
  (void)w;
#if MEMORY
  real mean_home = sum_over(pooled + 2 * n, n) / (float)n;
#endif
  const float beta = s.theta[SCALARS + 1], gamma = s.theta[SCALARS + 2];
  const float alpha = expf(s.theta[SCALARS]);
  EACH(i, n) {
    real vectors[VECTORS][3], in[PER_ATOM];
    real* unit = vectors[0];
    real* adam = vectors[1];
    real* outward = vectors[2];
    real place[3], square = real{}, radius = real{};
    for (int c = 0; c < 3; ++c) {
      unit[c] = s.gradient[c * n + i];
      square = square + unit[c] * unit[c];
      place[c] = RECENTRED ? s.positions[c * n + i] / s.length - s.centre[c] : real{};
      radius = radius + place[c] * place[c];
    }
    real size = square_root(square + TINY);
    radius = square_root(radius + TINY);
    for (int c = 0; c < 3; ++c) {
      unit[c] = unit[c] / size;
      outward[c] = place[c] / (radius + 1e-6f);
    }
    int f = 0;
    in[f++] = pooled[i];
    real rms4 = real{};
    for (int k = 0; k < DECAY_COUNT; ++k) {
      real second = state[(3 * DECAY_COUNT + k) * n + i];
      real rms = square_root(second * s.table[k] + TINY);
      if (k == 4) rms4 = rms;
      in[1 + k] = log_feature(rms);
      real along = real{};
      real* relative = vectors[3 + k];
      for (int c = 0; c < 3; ++c) {
        relative[c] = state[(3 * k + c) * n + i] * (s.table[k] / rms);
        along = along + relative[c] * unit[c];
      }
      in[1 + DECAY_COUNT + k] = norm3(relative[0], relative[1], relative[2]);
      in[1 + 2 * DECAY_COUNT + k] = along;
    }
    f += 3 * DECAY_COUNT;
    for (int c = 0; c < 3; ++c) adam[c] = state[(6 + c) * n + i] * (s.table[2] / rms4);
    in[f++] = unit[0] * outward[0] + unit[1] * outward[1] + unit[2] * outward[2];
    in[f++] = radius / cbrtf((float)n);
    in[f++] = adam[0] * outward[0] + adam[1] * outward[1] + adam[2] * outward[2];

#if PAIRS_ONCE
    const real* seen = pooled + (2 + MEMORY) * n + i * SEEN;
#else
    real seen[SEEN] = {};
    over_neighbours(
        s.positions, n, i, 1.0f / s.length, s.surroundings,
        [&](int j, const real* d, real squared) {
          // Beyond every bump: 4.2 + 1.4, and 3.0 + 2.8. Most images are.
          if (!any_lane(squared < 5.8f)) return;
          real heights[SHELLS + NEAR];
          bumps(squared, heights);
          (void)j;
          const real theirs = SPECIES ? atom_scale(s, 1, j) : real{};
          add_seen(heights, d[0], d[1], d[2], theirs, seen);
        });
#endif
    const real* kind = seen + SHELLS + 3 * NEAR;
    (void)kind;
    for (int k = 0; k < SHELLS; ++k) in[f++] = seen[k] / 12.0f;
    for (int k = 0; k < NEAR; ++k) {
      const real* pull = seen + SHELLS + 3 * k;
      real strength = norm3(pull[0], pull[1], pull[2]);
      in[f++] = strength / 12.0f;
      for (int c = 0; c < 3; ++c)
        vectors[3 + DECAY_COUNT + k][c] = pull[c] / (1.0f + strength);
    }
    const real* far = vectors[3 + DECAY_COUNT + 1];
    in[f++] = far[0] * unit[0] + far[1] * unit[1] + far[2] * unit[2];
#if ATOM_ENERGIES
    in[f++] = s.energies[i] / s.energy_scale * 0.1f;
#endif
#if MEMORY
    const real* kept = state + 4 * DECAY_COUNT * n;
    real* home = vectors[3 + DECAY_COUNT + NEAR];
    real away = real{}, back = real{};
    for (int c = 0; c < 3; ++c) {
      // A crystal has no centroid: its places are remembered as they are.
      home[c] = kept[c * n + i] - (s.positions[c * n + i] / s.length - s.centre[c]);
      away = away + home[c] * home[c];
    }
    away = square_root(away + TINY);
    for (int c = 0; c < 3; ++c) {
      home[c] = home[c] / (1.0f + away);
      back = back + home[c] * unit[c];
    }
    in[f++] = pooled[2 * n + i];
    in[f++] = back;
#endif
#if SPECIES
    in[f++] = atom_scale(s, 0, i);
    in[f++] = atom_scale(s, 1, i);
    in[f++] = kind[0] / 12.0f;
    real strength = norm3(kind[1], kind[2], kind[3]);
    for (int c = 0; c < 3; ++c)
      vectors[VECTORS - 1][c] = kind[1 + c] / (1.0f + strength);
#endif
    real hidden[HIDDEN], out[2 * VECTORS];
    for (int k = 0; k < HIDDEN; ++k) hidden[k] = base[k];
    add_inputs(s.theta, in, PER_ATOM, hidden);
#if MEMORY
    add_inputs(s.theta + (PER_ATOM + PER_STRUCTURE - 1) * HIDDEN, &mean_home, 1, hidden);
#endif
    finish_network(s.theta + AFTER_FIRST, hidden, 2 * VECTORS, out);
    real step[3] = {};
UNROLL
    for (int k = 0; k < VECTORS; ++k) {
      real coefficient = alpha * gate(out[k], out[VECTORS + k], beta, gamma);
      for (int c = 0; c < 3; ++c) step[c] = step[c] - coefficient * vectors[k][c];
    }
    for (int c = 0; c < 3; ++c) displacement[c * n + i] = step[c];
  }
}

#elif RULE == COORDINATEWISE

#define ETA_COUNT 8
#define PER_COORDINATE (GRADIENTS + POSITIONS + 2 * DECAY_COUNT * (DECAYED + ADAM_LIKE))
// Radial sums, ETA_COUNT for every slot; on the host of one atom after the other.
#define PER_ATOM (ETA_COUNT * SLOTS * RADIAL)
#define SHARED (PERIOD_COUNT * STEP + SINGULAR)
#define INPUTS (2 * PER_COORDINATE + 2 * PER_ATOM + HOT + SHARED)
// Then alpha, beta, gamma and the scale of the clock.
#define AFTER_FIRST (INPUTS * HIDDEN + HIDDEN)
#define SCALARS (AFTER_FIRST + HIDDEN * HIDDEN + HIDDEN + HIDDEN * 2 + 2)
#define THETA_COUNT (SCALARS + 4)
#define CLOCK (SCALARS + 3)
#define CUTOFF_SQUARED 6.25f

FUNCTION void log_magnitude(real x, real* magnitude, real* direction) {
  real size = absolute(x);
  mask large = size > FLOOR;
  *magnitude = logarithm(select(large, size, real{} + FLOOR)) * 0.1f;
  real sign = select(x > 0.0f, real{} + 1.0f, real{} - 1.0f);
  *direction = select(large, sign, x * 22026.465794806718f);
}

// Rows: averages of the gradient (6, 3) and of its squares (6, 3).
FUNCTION void remember(const Sight& s, real* state, real* pooled) {
  const int n = s.n;
  (void)pooled;
  EACH(i, n)
  for (int c = 0; c < 3; ++c) {
    real g = s.gradient[c * n + i];
    for (int k = 0; k < DECAY_COUNT; ++k) {
      real* first = state + (3 * k + c) * n + i;
      real* second = state + (3 * (DECAY_COUNT + k) + c) * n + i;
      *first = *first * DECAYS[k] + g * (1.0f - DECAYS[k]);
      *second = *second * DECAYS[k] + g * g * (1.0f - DECAYS[k]);
    }
  }
}

FUNCTION real cosine_switch(real u) {
  // Taylor series of (cos(pi sqrt(u)) + 1) / 2 in u.
  real x = u * 9.869604401089358f, cosine = real{} - 1.561920696858623e-16f;
  const float terms[9] = {4.779477332387385e-14f,  -1.1470745597729725e-11f,
                          2.08767569878681e-09f,   -2.755731922398589e-07f,
                          2.48015873015873e-05f,   -0.001388888888888889f,
                          0.041666666666666664f,   -0.5f,
                          1.0f};
  for (int k = 0; k < 9; ++k) cosine = cosine * x + terms[k];
  return select(u < 1.0f, 0.5f * (cosine + 1.0f), real{});
}

// e^(-eta x) for eta = 0.0009, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2 and 0.4, where x is
// below the square of the cutoff: Taylor series for 0.0009, 0.005 and 0.1, and powers.
FUNCTION void gaussians(real x, real* out) {
  const real a = x * -0.0009f, b = x * -0.005f, c = x * -0.1f;
  out[0] = ((a * (1.0f / 6) + 0.5f) * a + 1.0f) * a + 1.0f;
  const real low = (((b * (1.0f / 24) + 1.0f / 6) * b + 0.5f) * b + 1.0f) * b + 1.0f;
  out[1] = low * low;
  out[2] = out[1] * out[1];
  out[3] = out[2] * out[1] * low;
  out[4] = out[2] * out[2] * out[2];
  real high = c * (1.0f / 362880) + 1.0f / 40320;
  high = high * c + 1.0f / 5040;
  high = high * c + 1.0f / 720;
  high = high * c + 1.0f / 120;
  high = high * c + 1.0f / 24;
  high = high * c + 1.0f / 6;
  high = high * c + 0.5f;
  high = high * c + 1.0f;
  out[5] = high * c + 1.0f;
  out[6] = out[5] * out[5];
  out[7] = out[6] * out[6];
}

// Weight and Gaussians of a neighbour; false where no lane has it in reach.
FUNCTION bool in_reach(real squared, real* weight, real* terms) {
  if (!any_lane(squared < CUTOFF_SQUARED)) return false;
  *weight = cosine_switch(squared * (1.0f / CUTOFF_SQUARED));
  gaussians(select(*weight > 0.0f, squared, real{}), terms);
  return true;
}

FUNCTION void prepare(const Sight& s, Whole& w, real* state, real* pooled, real* base) {
  (void)w;
  (void)state;
#if PAIRS_ONCE && RADIAL
  sum_over_pairs<PER_ATOM>(s, pooled, [&](int i, int j, const real*, real squared,
                                          real* of_i, real* of_j) {
    real weight, terms[ETA_COUNT];
    if (!in_reach(squared, &weight, terms)) return;
    // Each sees the other's species.
    if (SLOTS > 1) {
      of_i += ETA_COUNT * s.species[j];
      of_j += ETA_COUNT * s.species[i];
    }
    UNROLL
    for (int k = 0; k < ETA_COUNT; ++k) {
      real term = weight * terms[k];
      of_i[k] = of_i[k] + term;
      of_j[k] = of_j[k] + term;
    }
  });
#else
  (void)pooled;
#endif
  EACH(k, HIDDEN) {
    real total = real{} + s.theta[INPUTS * HIDDEN + k];
#if STEP
    for (int m = 0; m < PERIOD_COUNT; ++m)
      total = total + s.table[DECAY_COUNT + m] *
                          s.theta[(INPUTS - SHARED + m) * HIDDEN + k];
#endif
#if SINGULAR
    total = total + (float)s.n / 100.0f * s.theta[(INPUTS - 1) * HIDDEN + k];
#endif
    base[k] = total;
  }
}

FUNCTION void displace(const Sight& s, const Whole& w, const real* state,
                       const real* pooled, const real* base, real* displacement) {
  const int n = s.n;
  (void)w;
  (void)pooled;
  const float* scalars = s.theta + SCALARS;
  EACH(i, n) {
    real shared[HIDDEN];
    for (int k = 0; k < HIDDEN; ++k) shared[k] = base[k];
    const float* rows = s.theta + 2 * PER_COORDINATE * HIDDEN;
#if RADIAL
    real sums[PER_ATOM] = {}, signs[PER_ATOM];
#if PAIRS_ONCE
    for (int k = 0; k < PER_ATOM; ++k) sums[k] = pooled[i * PER_ATOM + k];
#else
    over_neighbours(
        s.positions, n, i, 1.0f / s.length, s.surroundings,
        [&](int j, const real*, real squared) {
          real weight, terms[ETA_COUNT];
          if (!in_reach(squared, &weight, terms)) return;
          for (int slot = 0; slot < SLOTS; ++slot) {
            if (SLOTS > 1 && s.species[j] != slot) continue;
            UNROLL
            for (int k = 0; k < ETA_COUNT; ++k)
              sums[ETA_COUNT * slot + k] =
                  sums[ETA_COUNT * slot + k] + weight * terms[k];
          }
        });
#endif
    for (int k = 0; k < PER_ATOM; ++k) log_magnitude(sums[k], sums + k, signs + k);
    add_inputs(rows, sums, PER_ATOM, shared);
    add_inputs(rows + PER_ATOM * HIDDEN, signs, PER_ATOM, shared);
#endif
#if HOT
    const float* hot = rows + (2 * PER_ATOM + s.species[i]) * HIDDEN;
    for (int k = 0; k < HIDDEN; ++k) shared[k] = shared[k] + hot[k];
#endif
    // One copy of the network is enough for the instruction cache.
    ROLLED
    for (int c = 0; c < 3; ++c) {
      real in[2 * PER_COORDINATE + 1];
      int f = 0;
#if GRADIENTS
      in[f++] = s.gradient[c * n + i];
#endif
#if POSITIONS
      in[f++] = RECENTRED ? s.positions[c * n + i] / s.length - s.centre[c] : real{};
#endif
      for (int k = 0; k < DECAY_COUNT; ++k) {
        real first = state[(3 * k + c) * n + i];
        real second = state[(3 * (DECAY_COUNT + k) + c) * n + i];
#if DECAYED
        in[f + k] = first;
        in[f + DECAY_COUNT + k] = second;
#endif
#if ADAM_LIKE
        const int at = f + 2 * DECAY_COUNT * DECAYED + k;
        real inverse = 1.0f / square_root(second * s.table[k] + 1e-8f);
        in[at] = first * s.table[k] * inverse;
        in[at + DECAY_COUNT] = inverse;
#endif
        (void)first;
        (void)second;
      }
      for (int k = 0; k < PER_COORDINATE; ++k)
        log_magnitude(in[k], in + k, in + PER_COORDINATE + k);
      real hidden[HIDDEN], out[2];
      for (int k = 0; k < HIDDEN; ++k) hidden[k] = shared[k];
      add_inputs(s.theta, in, 2 * PER_COORDINATE, hidden);
      finish_network(s.theta + AFTER_FIRST, hidden, 2, out);
      displacement[c * n + i] =
          -scalars[0] * gate(out[0], out[1], scalars[1], scalars[2]);
    }
  }
}

#else

#include "classical.h"

#endif

#ifndef CLOCK
#define CLOCK 0
#endif
