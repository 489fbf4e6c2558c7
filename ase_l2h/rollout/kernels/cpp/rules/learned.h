// What the two learned rules share: their clock, their network, sums over pairs.
//
// DECAY_VALUES, PERIOD_VALUES and the like come from ase_l2h/rules/learned as macros.

#pragma once

#include "observation.h"

#define LEARNED 1
// What is the same for all atoms at one step: bias corrections and sines.
#define STEP_ROWS (DECAY_COUNT + PERIOD_COUNT)

#if ON_GPU
#define TABLE static __device__ const float
#else
#define TABLE static const float
#endif
TABLE DECAYS[DECAY_COUNT] = {DECAY_VALUES};
// Logarithms of these numbers as single precision has them.
TABLE LOG_DECAYS[DECAY_COUNT] = {LOG_DECAY_VALUES};
TABLE PERIODS[PERIOD_COUNT] = {PERIOD_VALUES};

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

// Structures in the lanes may have taken different numbers of steps.
FUNCTION void fill_step_table(real* table, real step, float time_scale) {
  const bool same = !any_lane(step != lane(step, 0));
  EACH(k, STEP_ROWS) {
    real value = real{} + step_entry(k, lane(step, 0), time_scale);
    for (int l = 1; l < LANES && !same; ++l)
      lane(value, l) = step_entry(k, lane(step, l), time_scale);
    table[k] = value;
  }
}

FUNCTION real log_feature(real x) {
  return logarithm(larger(x, real{} + FLOOR)) * (1.0f / LOG_RANGE);
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
FUNCTION void sum_over_pairs(const Observation& s, real* sums, Visit visit) {
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
