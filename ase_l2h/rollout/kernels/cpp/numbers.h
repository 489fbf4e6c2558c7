// Numbers, threads and barriers: the only file that knows for what it is compiled.
//
// * a GPU: one block of threads per structure, one number each;
// * the host, LANES = 1: one structure at a time; with THREADS defined by as many
//   threads, which meet at the barriers as those of a block do, so that a forgotten
//   barrier shows on a machine without a GPU;
// * the host, LANES > 1: that many structures at a time, one in each vector lane; with
//   DOUBLE 1 in double precision, of which half as many fill a vector.

#pragma once

#ifndef LANES
#define LANES 1
#endif
#ifndef DOUBLE
#define DOUBLE 0
#endif
#if DOUBLE && LANES == 1
#error "double precision is for vector lanes"
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

// The number in one lane.
#if DOUBLE
typedef double number;
#else
typedef float number;
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

typedef number real __attribute__((vector_size(sizeof(number) * LANES)));
typedef decltype(real{} < real{}) mask;

FUNCTION real select(mask chosen, real a, real b) { return chosen ? a : b; }
FUNCTION real select(mask chosen, real a, number b) {
  return chosen ? a : b + (real){};
}
FUNCTION real select(mask chosen, number a, real b) {
  return chosen ? a + (real){} : b;
}
FUNCTION real select(mask chosen, number a, number b) {
  return chosen ? a + (real){} : b + (real){};
}
// No early exit: most often there is none, and halves of a vector combine faster.
FUNCTION bool any_lane(mask m) {
  long long any = 0;
  for (int l = 0; l < LANES; ++l) any |= m[l];
  return any != 0;
}
FUNCTION mask opposite(mask m) { return ~m; }
FUNCTION number& lane(real& x, int l) { return reinterpret_cast<number*>(&x)[l]; }
FUNCTION number lane(const real& x, int l) {
  return reinterpret_cast<const number*>(&x)[l];
}
FUNCTION bool in_lane(mask m, int l) { return m[l] != 0; }
FUNCTION mask lane_mask(int l) {
  mask m = {};
  m[l] = -1;
  return m;
}
FUNCTION real square_root(real x) {
  number lanes[LANES];
  memcpy(lanes, &x, sizeof lanes);
  for (int l = 0; l < LANES; ++l) {
#if DOUBLE
    lanes[l] = __builtin_sqrt(lanes[l]);
#else
    lanes[l] = __builtin_sqrtf(lanes[l]);
#endif
  }
  memcpy(&x, lanes, sizeof lanes);
  return x;
}
#if DOUBLE
#include "double.h"
#else
#include "single.h"
#endif
// Lanes beyond the batch repeat its last structure, and are never written.
template <class Number>
FUNCTION real load(const Number* from, int count) {
  real x;
  for (int l = 0; l < LANES; ++l)
    x[l] = static_cast<number>(from[l < count ? l : count - 1]);
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
#if DOUBLE
FUNCTION number rounding() { return 2.220446049250313e-16; }
FUNCTION mask is_finite(real x) { return absolute(x) < 1.797693134862315e308; }
#else
FUNCTION number rounding() { return 1.1920929e-7f; }
FUNCTION mask is_finite(real x) { return absolute(x) < 3.402823e38f; }
#endif

#if ON_GPU
FUNCTION float infinite() { return __int_as_float(0x7f800000); }
FUNCTION int thread_index() { return threadIdx.x; }
FUNCTION int thread_count() { return blockDim.x; }
FUNCTION void barrier() { __syncthreads(); }
#else
FUNCTION number infinite() { return __builtin_inff(); }
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
FUNCTION number joined(number x) { return x; }
FUNCTION number joined_largest(number x) { return x; }
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
