// The paper's learned rule, coordinate by coordinate; as ase_l2h/rules/learned/coordinatewise.py.
//
// Included by trajectory.h as RULE_HEADER, like all rules. A rule keeps rows of state
// per atom and a Whole per structure, and works in three parts with barriers in between:
// `remember`, right after the gradient; `prepare`, once sums over the structure are
// known; `displace`. `recall` comes before the first step of a launch, and `forget` is
// what a new quench of basin hopping begins with.

#pragma once

#include "rules/learned.h"

#define PART_ROWS(part) (part < 2 ? 18 : 0)
#define MOMENT_ROWS (DECAY_COUNT * 6)
#define HOST_ROWS (PAIRS_ONCE * RADIAL * ETA_COUNT * SLOTS)
#define POOLED_ROWS HOST_ROWS

struct Whole {};
FUNCTION void load_whole(const Arguments&, int, int, Whole&) {}
FUNCTION void store_whole(const Arguments&, int, int, const Whole&) {}
FUNCTION void recall(const Observation&, Whole&, const real*) {}

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

FUNCTION void log_magnitude(real x, real* magnitude, real* direction) {
  real size = absolute(x);
  mask large = size > FLOOR;
  *magnitude = logarithm(select(large, size, real{} + FLOOR)) * (1.0f / LOG_RANGE);
  real sign = select(x > 0.0f, real{} + 1.0f, real{} - 1.0f);
  *direction = select(large, sign, x * INVERSE_FLOOR);
}

// Rows: averages of the gradient (6, 3) and of its squares (6, 3).
FUNCTION void remember(const Observation& s, real* state, real* pooled) {
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

// e^(-eta x) for the eight eta, where x is below the square of the cutoff: Taylor series
// for the first, half the second and the sixth. The third to the fifth are 4, 7 and 12
// times the half, the last two twice and four times the sixth.
FUNCTION void gaussians(real x, real* out) {
  const real a = x * -ETA_FIRST, b = x * -ETA_HALF, c = x * -ETA_SIXTH;
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

FUNCTION void prepare(const Observation& s, Whole& w, real* state, real* pooled, real* base) {
  (void)w;
  (void)state;
#if PAIRS_ONCE && RADIAL
  sum_over_pairs<PER_ATOM>(s, pooled, [&](int i, int j, const real*, real squared,
                                          real* of_i, real* of_j) {
    real weight, terms[ETA_COUNT];
    if (!in_reach(squared, &weight, terms)) return;
    // Each sees the other's species.
#if OWN_SPECIES && SLOTS > 1
    for (int slot = 0; slot < SLOTS; ++slot) {
      const mask theirs = s.kinds[j] == (number)slot, ours = s.kinds[i] == (number)slot;
      for (int k = 0; k < ETA_COUNT; ++k) {
        const int at = ETA_COUNT * slot + k;
        of_i[at] = of_i[at] + select(theirs, weight * terms[k], real{});
        of_j[at] = of_j[at] + select(ours, weight * terms[k], real{});
      }
    }
#else
    if (SLOTS > 1) {
      of_i += ETA_COUNT * (int)s.kinds[j];
      of_j += ETA_COUNT * (int)s.kinds[i];
    }
    UNROLL
    for (int k = 0; k < ETA_COUNT; ++k) {
      real term = weight * terms[k];
      of_i[k] = of_i[k] + term;
      of_j[k] = of_j[k] + term;
    }
#endif
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

FUNCTION void displace(const Observation& s, const Whole& w, const real* state,
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
#if OWN_SPECIES
            const real share =
                SLOTS > 1 ? select(s.kinds[j] == (number)slot, weight, real{}) : weight;
#else
            if (SLOTS > 1 && s.kinds[j] != slot) continue;
            const real share = weight;
#endif
            UNROLL
            for (int k = 0; k < ETA_COUNT; ++k)
              sums[ETA_COUNT * slot + k] = sums[ETA_COUNT * slot + k] + share * terms[k];
          }
        });
#endif
    for (int k = 0; k < PER_ATOM; ++k) log_magnitude(sums[k], sums + k, signs + k);
    add_inputs(rows, sums, PER_ATOM, shared);
    add_inputs(rows + PER_ATOM * HIDDEN, signs, PER_ATOM, shared);
#endif
#if HOT
    const float* hot = rows + 2 * PER_ATOM * HIDDEN;
#if OWN_SPECIES
    for (int slot = 0; slot < HOT; ++slot) {
      const mask ours = s.kinds[i] == (number)slot;
      for (int k = 0; k < HIDDEN; ++k)
        shared[k] = shared[k] + select(ours, hot[slot * HIDDEN + k], real{});
    }
#else
    hot += s.kinds[i] * HIDDEN;
    for (int k = 0; k < HIDDEN; ++k) shared[k] = shared[k] + hot[k];
#endif
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
        real inverse = 1.0f / square_root(second * s.table[k] + MOMENT_OFFSET);
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
