// The method for a call, by its sizes; compiled once a target.
#include "linear_cross_entropy.hpp"

#include "linear_few.hpp"
#include "linear_sweeps.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

// Few enough that their weight and its gradient stay in the second cache while the rows go by.
bool has_few_classes(const LinearLoss& call) {
  return call.n_classes <= 64 || (call.n_classes <= 256 && call.n_classes * call.n_features <= 32768);
}

template <class Real>
int64_t bytes_of(const LinearLoss& call) {
  return has_few_classes(call) ? few_bytes<Real>(call) : chunk_bytes<Real>(call);
}
template <class Real>
LossSum run_as(const LinearLoss& call, void* memory) {
  return has_few_classes(call) ? run_few<Real>(call, memory) : run_chunks<Real>(call, memory);
}

bool is_double(const LinearLoss& call) { return call.features.element == Element::float64; }
int64_t bytes(const LinearLoss& call) { return is_double(call) ? bytes_of<double>(call) : bytes_of<float>(call); }
LossSum run(const LinearLoss& call, void* memory) {
  return is_double(call) ? run_as<double>(call, memory) : run_as<float>(call, memory);
}

}  // namespace

extern const LinearKernels linear_kernels;
const LinearKernels linear_kernels = {bytes, run};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
