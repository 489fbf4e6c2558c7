// Elementary functions of vector lanes in single precision; part of numbers.h.

#pragma once

FUNCTION real absolute(real x) { return (real)((mask)x & 0x7fffffff); }
// Adding and taking away 1.5 * 2^23 leaves whole numbers; larger ones have no digits
// after the point.
FUNCTION real nearest_whole(real x) {
  real whole = (x + 12582912.0f) - 12582912.0f;
  return select(absolute(x) < 4194304.0f, whole, x);
}
// e^x of COUNT numbers, in place; beyond -87 it stays at e^-87. A chain of dependent steps
// each, so all take a step before any takes the next: a processor looks ahead a few dozen
// instructions only. 2^n 2^f with |f| <= 1/2: adding moves n + 127 to the last bits, from
// where it goes to the exponent. The polynomial's relative error is the least, 2e-9.
template <int COUNT>
FUNCTION void falling_exponentials(real* x) {
  const float moving = 12582912.0f + 127.0f, turns = 1.44269502f, rest = 1.92596299e-8f;
  const float coefficients[] = {1.340006332e-3f, 9.618490396e-3f, 5.550328451e-2f,
                                2.402264687e-1f, 6.931472059e-1f, 1.0f};
  real moved[COUNT], p[COUNT];
  for (int k = 0; k < COUNT; ++k) x[k] = select(x[k] < -87.0f, real{} - 87.0f, x[k]);
  for (int k = 0; k < COUNT; ++k) moved[k] = x[k] * turns + moving;
  for (int k = 0; k < COUNT; ++k)
    x[k] = x[k] * rest + (x[k] * turns - (moved[k] - moving));
  for (int k = 0; k < COUNT; ++k) p[k] = real{} + 1.534569669e-4f;
  for (float c : coefficients)
    for (int k = 0; k < COUNT; ++k) p[k] = p[k] * x[k] + c;
  for (int k = 0; k < COUNT; ++k) x[k] = p[k] * (real)((mask)moved[k] << 23);
}
FUNCTION real exponential(real x) {
  real p = select(x > 88.0f, real{} + 88.0f, x);
  falling_exponentials<1>(&p);
  p = select(x < -87.0f, 0.0f, p);
  return select(x > 88.0f, __builtin_inff(), p);
}
// 1 / sqrt(x) of COUNT positive normal numbers: a guess, and steps of Newton. A root and a
// quotient would wait for the one divider. The steps lead from 6e-5 to 6e-9; without the
// processor's guess from 0.034 to 0.0018, 5e-6, 3e-11.
#if defined(__AVX512F__) && LANES == 16
#define ROOT_STEPS 1
FUNCTION real root_guess(real x) { return (real)_mm512_rsqrt14_ps((__m512)x); }
#elif defined(__AVX512VL__) && LANES == 8
// What a structure does must not depend on how many lanes there are.
#define ROOT_STEPS 1
FUNCTION real root_guess(real x) { return (real)_mm256_rsqrt14_ps((__m256)x); }
#elif defined(__AVX512F__) && LANES == 8
#error "half a vector has another guess"
#else
#define ROOT_STEPS 3
FUNCTION real root_guess(real x) { return (real)(0x5f3759df - ((mask)x >> 1)); }
#endif
template <int COUNT>
FUNCTION void inverse_roots(const real* x, real* y) {
  real half[COUNT], squares[COUNT];
  for (int k = 0; k < COUNT; ++k) {
    y[k] = root_guess(x[k]);
    half[k] = x[k] * 0.5f;
  }
  for (int t = 0; t < ROOT_STEPS; ++t) {
    for (int k = 0; k < COUNT; ++k) squares[k] = y[k] * y[k];
    for (int k = 0; k < COUNT; ++k) squares[k] = 1.5f - half[k] * squares[k];
    for (int k = 0; k < COUNT; ++k) y[k] = y[k] * squares[k];
  }
}
// Of positive normal numbers. Polynomial of S. Moshier's Cephes library.
FUNCTION real logarithm(real x) {
  mask bits = (mask)x;
  mask shift = (bits - 0x3f3504f3) & (mask)((mask){} + (int)0xff800000);
  real e = __builtin_convertvector(shift >> 23, real);
  real f = (real)(bits - shift) - 1.0f;
  real z = f * f;
  real p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f * z - e * 2.12194440e-4f - 0.5f * z;
  return f + p + e * 0.693359375f;
}
FUNCTION real log_plus_one(real x) { return logarithm(1.0f + x); }
