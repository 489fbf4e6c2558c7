// Numbers, threads and barriers: the only file that knows for what it is compiled.
//
// * a GPU: one block of threads per structure, one number each;
// * the host, LANES = 1: one structure at a time; with THREADS defined by as many
//   threads, which meet at the barriers as those of a block do, so that a forgotten
//   barrier shows on a machine without a GPU;
// * the host, LANES > 1: that many structures at a time, one in each vector lane.

#pragma once

#ifndef LANES
#define LANES 1
#endif

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define ON_GPU 1
#define FUNCTION static __device__ __forceinline__
// What a step of a structure seldom does.
#define RARELY static __device__ __noinline__
#define UNROLL _Pragma("unroll")
#define UNROLL_FOUR _Pragma("unroll 4")
#define ROLLED _Pragma("unroll 1")
#else
#define ON_GPU 0
#define FUNCTION static inline __attribute__((always_inline))
#define RARELY static __attribute__((noinline))
#define UNROLL
#define UNROLL_FOUR
#define ROLLED
#include <math.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#endif

#if LANES == 1

typedef float real;
typedef bool mask;

FUNCTION real select(mask chosen, real a, real b) { return chosen ? a : b; }
FUNCTION bool any_lane(mask m) { return m; }
FUNCTION mask opposite(mask m) { return !m; }
FUNCTION float& lane(real& x, int) { return x; }
FUNCTION float lane(const real& x, int) { return x; }
FUNCTION bool in_lane(mask m, int) { return m; }
FUNCTION mask lane_mask(int) { return true; }
FUNCTION real absolute(real x) { return fabsf(x); }
FUNCTION real square_root(real x) { return sqrtf(x); }
FUNCTION real exponential(real x) { return expf(x); }
FUNCTION real logarithm(real x) { return logf(x); }
FUNCTION real log_plus_one(real x) { return log1pf(x); }
FUNCTION real nearest_whole(real x) { return rintf(x); }
template <class Number>
FUNCTION real load(const Number* from, int) {
  return static_cast<real>(*from);
}
template <class Number>
FUNCTION void store(Number* to, real x, int) {
  *to = static_cast<Number>(x);
}

#else

typedef float real __attribute__((vector_size(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));

FUNCTION real select(mask chosen, real a, real b) { return chosen ? a : b; }
FUNCTION real select(mask chosen, real a, float b) { return chosen ? a : b + (real){}; }
FUNCTION real select(mask chosen, float a, real b) { return chosen ? a + (real){} : b; }
FUNCTION real select(mask chosen, float a, float b) {
  return chosen ? a + (real){} : b + (real){};
}
// No early exit: most often there is none, and halves of a vector combine faster.
FUNCTION bool any_lane(mask m) {
  int any = 0;
  for (int l = 0; l < LANES; ++l) any |= m[l];
  return any != 0;
}
FUNCTION mask opposite(mask m) { return ~m; }
FUNCTION float& lane(real& x, int l) { return reinterpret_cast<float*>(&x)[l]; }
FUNCTION float lane(const real& x, int l) {
  return reinterpret_cast<const float*>(&x)[l];
}
FUNCTION bool in_lane(mask m, int l) { return m[l] != 0; }
FUNCTION mask lane_mask(int l) {
  mask m = {};
  m[l] = -1;
  return m;
}
FUNCTION real absolute(real x) { return (real)((mask)x & 0x7fffffff); }
FUNCTION real square_root(real x) {
  float lanes[LANES];
  memcpy(lanes, &x, sizeof lanes);
  for (int l = 0; l < LANES; ++l) lanes[l] = __builtin_sqrtf(lanes[l]);
  memcpy(&x, lanes, sizeof lanes);
  return x;
}
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
// Lanes beyond the batch repeat its last structure, and are never written.
template <class Number>
FUNCTION real load(const Number* from, int count) {
  real x;
  for (int l = 0; l < LANES; ++l)
    x[l] = static_cast<float>(from[l < count ? l : count - 1]);
  return x;
}
template <class Number>
FUNCTION void store(Number* to, real x, int count) {
  for (int l = 0; l < LANES; ++l)
    if (l < count) to[l] = static_cast<Number>(x[l]);
}

#endif

FUNCTION real smaller(real a, real b) { return select(a < b, a, b); }
FUNCTION real larger(real a, real b) { return select(a > b, a, b); }
FUNCTION mask is_finite(real x) { return absolute(x) < 3.402823e38f; }

#if ON_GPU
FUNCTION float infinite() { return __int_as_float(0x7f800000); }
FUNCTION int thread_index() { return threadIdx.x; }
FUNCTION int thread_count() { return blockDim.x; }
FUNCTION void barrier() { __syncthreads(); }
#else
FUNCTION float infinite() { return __builtin_inff(); }
#ifdef THREADS
int thread_index();
void barrier();
FUNCTION int thread_count() { return THREADS; }
#else
FUNCTION int thread_index() { return 0; }
FUNCTION int thread_count() { return 1; }
FUNCTION void barrier() {}
#endif
#endif

// Each thread has every thread_count()-th atom (or other piece of work).
#define EACH(i, count) \
  for (int i = thread_index(); i < (count); i += thread_count())

// Sums and maxima over atoms or coordinates, the same in every thread. On a GPU each warp
// works them out for itself, which needs no barrier; all threads must come here.
#if ON_GPU
#define OVER_ALL(i, count) for (int i = threadIdx.x & 31; i < (count); i += 32)
FUNCTION real joined(real x) {
  for (int k = 16; k; k >>= 1) x += __shfl_xor_sync(0xffffffffu, x, k);
  return x;
}
FUNCTION real joined_largest(real x) {
  for (int k = 16; k; k >>= 1) x = larger(__shfl_xor_sync(0xffffffffu, x, k), x);
  return x;
}
#else
#define OVER_ALL(i, count) for (int i = 0; i < (count); ++i)
FUNCTION real joined(real x) { return x; }
FUNCTION real joined_largest(real x) { return x; }
#if LANES > 1
FUNCTION float joined(float x) { return x; }
FUNCTION float joined_largest(float x) { return x; }
#endif
#endif
// Of any numbers: value(i) is the one of atom i.
template <class Number, class Value>
FUNCTION Number sum_of(int n, Value value) {
  Number total = {};
  OVER_ALL(i, n) total = total + value(i);
  return joined(total);
}
template <class Number, class Value>
FUNCTION Number largest_among(int n, Value value) {
  Number top = value(0);
  OVER_ALL(i, n) {
    const Number each = value(i);
    top = top < each ? each : top;
  }
  return joined_largest(top);
}
FUNCTION real sum_over(const real* values, int n) {
  return sum_of<real>(n, [&](int i) { return values[i]; });
}
FUNCTION real largest_of(const real* values, int n) {
  return largest_among<real>(n, [&](int i) { return values[i]; });
}
