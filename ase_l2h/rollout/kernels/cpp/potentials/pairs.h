// What potentials that visit each pair once share.

#pragma once

#include "neighbours.h"

// The smooth cut-off w = (c - x)^2 (c + 2 x - 3 o) / (c - o)^3 between the onset o and the
// end c, x = r^2, given 1 / (c - o)^3; and its slope, dw/dx = 6 `slope`. Whether x is
// between the two; beyond the end both are 0.
FUNCTION mask switched(real squared, number end, number onset, number scale, real* w,
                       real* slope) {
  const real x = select(squared < end, squared, real{} + end);
  const real left = end - x, past = onset - x;
  *w = left * left * (left - 3.0f * past) * scale;
  *slope = left * past * scale;
  return past <= 0.0f;
}

FUNCTION void add_both(real* gradient, int n, int j, real x, real y, real z) {
  gradient[j] = gradient[j] - x;
  gradient[n + j] = gradient[n + j] - y;
  gradient[2 * n + j] = gradient[2 * n + j] - z;
}
