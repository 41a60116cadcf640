// Rows that are computed in double.
#include "cross_entropy_units.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void compute_float64_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  compute_unit<double>(call, first, count, sum);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
