// The equivariant learned rule; as ase_l2h/rules/learned/equivariant.py.
//
// Included by trajectory.h as RULE_HEADER, like all rules. A rule keeps rows of state
// per atom and a Whole per structure, and works in three parts with barriers in between:
// `remember`, right after the gradient; `prepare`, once sums over the structure are
// known; `displace`. `recall` comes before the first step of a launch, and `forget` is
// what a new quench of basin hopping begins with.

#pragma once

#include "rules/learned.h"

#define PART_ROWS(part) (part == 0 ? 18 : part == 1 ? 6 : part == 2 ? 3 * MEMORY : 0)
#define MOMENT_ROWS (DECAY_COUNT * 4 + 3 * MEMORY)
#define HOST_ROWS (PAIRS_ONCE * SEEN)
#define POOLED_ROWS (2 + MEMORY + HOST_ROWS)

struct Whole {
  real best_energy, since_best;  // reduced, and in steps
  mask lower;                    // the present energy is, than all before
};
FUNCTION void load_whole(const Arguments& a, int b, int count, Whole& w) {
  w.best_energy = load(a.whole[0] + b, count);
  w.since_best = load(a.whole[1] + b, count);
}
FUNCTION void store_whole(const Arguments& a, int b, int count, const Whole& w) {
  store(a.whole[0] + b, w.best_energy, count);
  store(a.whole[1] + b, w.since_best, count);
}
FUNCTION void recall(const Observation&, Whole&, const real*) {}

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
FUNCTION void remember(const Observation& s, real* state, real* pooled) {
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

TABLE SHELL_CENTRES[SHELLS] = {SHELL_CENTRE_VALUES};
TABLE SHELL_WIDTHS[SHELLS] = {SHELL_WIDTH_VALUES};
TABLE NEAR_CENTRES[NEAR] = {NEAR_CENTRE_VALUES};
TABLE NEAR_WIDTHS[NEAR] = {NEAR_WIDTH_VALUES};

FUNCTION real bump(real squared, float centre, float width) {
  real offset = (squared - centre) * (1.0f / width);
  real height = larger(1.0f - offset * offset, real{});
  return height * height;
}

FUNCTION real atom_scale(const Observation& s, int row, int i) {
  if (!s.atom_scales) return real{};
  return load(s.atom_scales + (row * s.n + i) * s.batch, s.count) * SCALE_GAIN;
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

FUNCTION void prepare(const Observation& s, Whole& w, real* state, real* pooled, real* base) {
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
  w.lower = s.energy < w.best_energy;
  real best = select(w.lower, s.energy, w.best_energy);
  w.since_best = select(w.lower, real{}, w.since_best + 1.0f);
  real above = larger(s.energy - best, real{});
  above = select(is_finite(above), above, real{});
  w.best_energy = best;
  real in[PER_STRUCTURE + SHARED];
  int f = 0;
  in[f++] = sum_over(pooled, n) / (float)n;
  in[f++] = sum_over(pooled + n, n) / (float)n;
#if PROGRESS
  in[f++] = log_plus_one(above) / 4.0f;
  in[f++] = log_plus_one(w.since_best) * (1.0f / LOG_RANGE);
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

FUNCTION void displace(const Observation& s, const Whole& w, const real* state,
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
    [[maybe_unused]] const real* kind = seen + SHELLS + 3 * NEAR;
    for (int k = 0; k < SHELLS; ++k) in[f++] = seen[k] / FULL_SHELL;
    for (int k = 0; k < NEAR; ++k) {
      const real* pull = seen + SHELLS + 3 * k;
      real strength = norm3(pull[0], pull[1], pull[2]);
      in[f++] = strength / FULL_SHELL;
      for (int c = 0; c < 3; ++c)
        vectors[3 + DECAY_COUNT + k][c] = pull[c] / (1.0f + strength);
    }
    const real* far = vectors[3 + DECAY_COUNT + 1];
    in[f++] = far[0] * unit[0] + far[1] * unit[1] + far[2] * unit[2];
#if ATOM_ENERGIES
    in[f++] = s.energies[i] / s.energy_scale * (1.0f / LOG_RANGE);
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
    in[f++] = kind[0] / FULL_SHELL;
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
