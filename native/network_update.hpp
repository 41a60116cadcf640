// The second half of a step: gradients of the lanes added in order, AdamW.
#pragma once

#include <cstdint>

#include "network_step.hpp"

namespace softclass {

struct AdamCall {
  float* parameters;
  float* first_moment;
  float* second_moment;
  float* lanes;
  int64_t lanes_begin;  // the parameter that a lane's first float belongs to
  int64_t n_lanes;
  int64_t lane_step;  // floats from a lane to the next
  double rate;        // times the rate factor of the tensor
  double decay;       // 0 for tensors that do not decay
  double beta1, beta2, epsilon;
  double beta1_power, beta2_power;  // beta^t, this update counted
};

struct UpdateKernels {
  // Parameters begin ... begin + size, a multiple of 16. Returns the sum of the squares of their gradient.
  double (*adamw)(const AdamCall& call, int64_t begin, int64_t size);
  void (*sum)(float* lanes, int64_t n_lanes, int64_t lane_step, int64_t begin, int64_t size);
};
SOFTCLASS_TABLES(UpdateKernels, update_kernels)

}  // namespace softclass
