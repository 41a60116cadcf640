// AdamW and the sum of the lanes, compiled once a target.
#include "network_update.hpp"

#include "adamw.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

double adamw(const AdamCall& call, int64_t begin, int64_t size) {
  const AdamStep step = {float(call.beta1),
                         float(1.0 - call.beta1),
                         float(call.beta2),
                         float(1.0 - call.beta2),
                         float(1.0 / (1.0 - call.beta2_power)),
                         float(call.rate / (1.0 - call.beta1_power)),
                         float(1.0 - call.rate * call.decay),
                         float(call.epsilon)};
  return adamw_block(call.parameters + begin, call.first_moment + begin, call.second_moment + begin,
                     call.lanes + (begin - call.lanes_begin), call.n_lanes, call.lane_step, size, step);
}

void sum(float* lanes, int64_t n_lanes, int64_t lane_step, int64_t begin, int64_t size) {
  sum_lanes(lanes + begin, n_lanes, lane_step, size);
}

}  // namespace

const UpdateKernels update_kernels{adamw, sum};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
