// One block per structure, the whole horizon in one launch.

#include "trajectory.h"

static_assert(sizeof(Arguments) == ARGUMENTS_BYTES, "layout.py has another layout");
static_assert(ROWS == ROW_COUNT, "layout.py counts rows differently");
static_assert(THETA_COUNT == THETA_FLOATS, "layout.py packs other weights");

extern "C" __global__ void __launch_bounds__(BLOCK) advance(const Arguments* arguments) {
  extern __shared__ float4 on_chip[];
  const Arguments a = *arguments;
  float* theta = reinterpret_cast<float*>(on_chip);
  // Weights are read as groups of four: what follows them stays aligned.
  real* memory = theta + (THETA_COUNT + 3) / 4 * 4;
  EACH(k, THETA_COUNT) theta[k] = a.theta[k];
  barrier();
  trajectory(a, blockIdx.x, 1, memory, theta);
}
