// What potentials that visit each pair once share.

#pragma once

#include "neighbours.h"

FUNCTION void add_both(real* gradient, int n, int j, real x, real y, real z) {
  gradient[j] = gradient[j] - x;
  gradient[n + j] = gradient[n + j] - y;
  gradient[2 * n + j] = gradient[2 * n + j] - z;
}
