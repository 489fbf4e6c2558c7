// Elementary functions of vector lanes in double precision; part of numbers.h.

#pragma once

FUNCTION real absolute(real x) { return (real)((mask)x & 0x7fffffffffffffffLL); }
// Adding and taking away 1.5 * 2^52 leaves whole numbers.
FUNCTION real nearest_whole(real x) {
  real whole = (x + 6755399441055744.0) - 6755399441055744.0;
  return select(absolute(x) < 2251799813685248.0, whole, x);
}
// e^x of COUNT numbers, in place; beyond -700 it stays at e^-700. As in single.h, with
// the Taylor series of degree 13, whose rest is below 1e-17.
template <int COUNT>
FUNCTION void falling_exponentials(real* x) {
  const double moving = 6755399441055744.0 + 1023.0, turns = 1.4426950408889634;
  // ln 2 in two parts: products of the first with whole numbers are exact.
  const double high = 0.6931471803691238, low = 1.9082149292705877e-10;
  const double coefficients[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                 1.0 / 362880,    1.0 / 40320,    1.0 / 5040,
                                 1.0 / 720,       1.0 / 120,      1.0 / 24,
                                 1.0 / 6,         0.5,            1.0,
                                 1.0};
  real moved[COUNT], p[COUNT];
  for (int k = 0; k < COUNT; ++k) x[k] = select(x[k] < -700.0, real{} - 700.0, x[k]);
  for (int k = 0; k < COUNT; ++k) moved[k] = x[k] * turns + moving;
  for (int k = 0; k < COUNT; ++k) {
    const real whole = moved[k] - moving;
    x[k] = (x[k] - whole * high) - whole * low;
  }
  for (int k = 0; k < COUNT; ++k) p[k] = real{} + 1.0 / 6227020800;
  for (double c : coefficients)
    for (int k = 0; k < COUNT; ++k) p[k] = p[k] * x[k] + c;
  for (int k = 0; k < COUNT; ++k) x[k] = p[k] * (real)((mask)moved[k] << 52);
}
FUNCTION real exponential(real x) {
  real p = select(x > 709.0, real{} + 709.0, x);
  falling_exponentials<1>(&p);
  p = select(x < -700.0, 0.0, p);
  return select(x > 709.0, __builtin_inf(), p);
}
// 1 / sqrt(x) of COUNT positive normal numbers. Two steps of Newton lead from 6e-5 to
// 1e-16. What a structure does must not depend on how many lanes there are.
#if defined(__AVX512F__) && LANES == 8
#define GUESSED_ROOTS
FUNCTION real root_guess(real x) { return (real)_mm512_rsqrt14_pd((__m512d)x); }
#elif defined(__AVX512VL__) && LANES == 4
#define GUESSED_ROOTS
FUNCTION real root_guess(real x) { return (real)_mm256_rsqrt14_pd((__m256d)x); }
#elif defined(__AVX512F__) && LANES == 4
#error "half a vector has no guess"
#endif
template <int COUNT>
FUNCTION void inverse_roots(const real* x, real* y) {
#ifdef GUESSED_ROOTS
  real half[COUNT], squares[COUNT];
  for (int k = 0; k < COUNT; ++k) {
    y[k] = root_guess(x[k]);
    half[k] = x[k] * 0.5;
  }
  for (int t = 0; t < 2; ++t) {
    for (int k = 0; k < COUNT; ++k) squares[k] = y[k] * y[k];
    for (int k = 0; k < COUNT; ++k) squares[k] = 1.5 - half[k] * squares[k];
    for (int k = 0; k < COUNT; ++k) y[k] = y[k] * squares[k];
  }
#else
  for (int k = 0; k < COUNT; ++k) y[k] = 1.0 / square_root(x[k]);
#endif
}
