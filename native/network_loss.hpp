// Loss of a block of logits and its gradient, by the row functions of cross_entropy.hpp: there is one softmax in the
// house.
#pragma once

#include <cstdint>

#include "network_step.hpp"

namespace softclass {

struct LossBlock {
  float* logits;  // (count, step): its first n_classes columns become their gradient, divided by `divisor`
  int64_t step;
  int64_t count;
  int64_t n_classes;
  const NetworkRows* rows;
  const int64_t* indices;  // (count,)
  double divisor;
  double label_smoothing;
  bool has_gradient;  // else the logits stay
  void* room;         // loss_room bytes, at a multiple of 64
};

static constexpr int64_t loss_room(int64_t n_classes, int64_t most_rows, bool has_shares) {
  return (most_rows + 8) * (3 * 8 + (has_shares ? 4 * n_classes : 0)) + 64;
}

// Adds to the sums in the order of the rows. Uses the thread's scratch slots 0 and 1.
void network_loss(const LossBlock& block, LaneSums* sums) noexcept;

}  // namespace softclass
