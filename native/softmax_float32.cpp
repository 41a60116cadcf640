#include "softmax_entry.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void softmax_float32(const SoftmaxJob& job) { softmax_of<float>(job); }

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
