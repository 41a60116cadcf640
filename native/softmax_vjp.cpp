#include "softmax_vjp.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void softmax_vjp(const VjpJob& job) {
  bool is_double = false;
  for (int o = 0; o < 3; ++o) is_double |= job.layout.element[o] == Element::float64;
  return is_double ? VjpPaths<double>(job).run() : VjpPaths<float>(job).run();
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
