#include "softmax_entry.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void softmax_float64(const SoftmaxJob& job) { softmax_of<double>(job); }

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
