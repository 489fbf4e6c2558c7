// Random numbers of jax.random, to the bit before they become floating-point numbers.
//
// Threefry-2x32 with 20 rounds: J. K. Salmon et al., Proc. SC11 (2011). Element i of a
// draw depends on nothing but the key and i (jax_threefry_partitionable).

#pragma once

#include "numbers.h"

struct Key {
  unsigned a, b;
};

FUNCTION Key threefry(Key key, unsigned x, unsigned y) {
  const unsigned keys[3] = {key.a, key.b, key.a ^ key.b ^ 0x1bd11bdau};
  const int turns[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  x += keys[0];
  y += keys[1];
  UNROLL
  for (int block = 0; block < 5; ++block) {
    UNROLL
    for (int k = 0; k < 4; ++k) {
      const int turn = turns[4 * (block % 2) + k];
      x += y;
      y = (y << turn | y >> (32 - turn)) ^ x;
    }
    x += keys[(block + 1) % 3];
    y += keys[(block + 2) % 3] + block + 1;
  }
  return {x, y};
}
// jax.random.split, and fold_in of a number.
FUNCTION Key child(Key key, unsigned k) { return threefry(key, 0, k); }
FUNCTION unsigned random_bits(Key key, unsigned i) {
  const Key drawn = threefry(key, 0, i);
  return drawn.a ^ drawn.b;
}
// Between 0 and 1: 23 bits.
FUNCTION float uniform(Key key, unsigned i) {
  return (float)(int)(random_bits(key, i) >> 9) * 1.1920928955078125e-7f;
}
FUNCTION float exponentially(Key key, unsigned i) { return -log1pf(-uniform(key, i)); }

// M. Giles, GPU Computing Gems Jade Edition, p. 109 (2011).
FUNCTION float inverse_error_function(float x) {
  const float centre[9] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                           -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                           -0.00417768164f,  0.246640727f,    1.50140941f};
  const float tail[9] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                         -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                         0.00943887047f,   1.00167406f,     2.83297682f};
  const float w = -log1pf(-x * x);
  const bool near = w < 5.0f;
  const float at = near ? w - 2.5f : sqrtf(w) - 3.0f;
  float p = near ? centre[0] : tail[0];
  for (int k = 1; k < 9; ++k) p = (near ? centre[k] : tail[k]) + p * at;
  return p * x;
}
FUNCTION float normal(Key key, unsigned i) {
  // Between the float after -1 and 1.
  const float u = uniform(key, i) * 2.0f - 0.99999994f;
  return 1.41421356f * inverse_error_function(u);
}
