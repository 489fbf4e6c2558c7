// The same on the host: LANES structures at a time, or THREADS threads as one block.

#include <stdlib.h>

#include "trajectory.h"

#ifdef THREADS
#include <barrier>
#include <thread>
#include <vector>
static thread_local int own_index;
static thread_local std::barrier<>* meeting;
int thread_index() { return own_index; }
void barrier() { meeting->arrive_and_wait(); }
#endif

static_assert(sizeof(Arguments) == ARGUMENTS_BYTES, "layout.py has another layout");
static_assert(ROWS - HOST_ROWS == ROW_COUNT, "layout.py counts rows differently");
static_assert(THETA_COUNT == THETA_FLOATS, "layout.py packs other weights");

// Structures first to last; false where memory is short.
extern "C" bool advance(const Arguments* a, int first, int last) {
  const size_t n = a->n;
  const size_t pairs = PAIR_NUMBERS * n * (n - 1) / 2;
  const size_t rows = (ROWS + KIND_ROWS) * n;
  const size_t bytes = (rows + SHARED_COUNT + pairs) * sizeof(real);
  real* memory = static_cast<real*>(aligned_alloc(64, (bytes + 63) / 64 * 64));
  if (!memory) return false;
  for (int b = first; b < last; b += LANES) {
    const int count = last - b < LANES ? last - b : LANES;
#ifdef THREADS
    std::barrier<> together(THREADS);
    std::vector<std::thread> threads;
    for (int k = 0; k < THREADS; ++k)
      threads.emplace_back([&, k] {
        own_index = k;
        meeting = &together;
        trajectory(*a, b, count, memory, a->theta);
      });
    for (auto& thread : threads) thread.join();
#else
    trajectory(*a, b, count, memory, a->theta);
#endif
  }
  free(memory);
  return true;
}
