// Rows that are computed in float, and the table.
#include "cross_entropy_units.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

void weights_of_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  Chunk* chunk = static_cast<Chunk*>(scratch(0, sizeof(Chunk)));
  if (!chunk) {
    sum->weight = not_a_number<double>();
    return;
  }
  LaneSums weights;
  clear(weights);
  for (int64_t done = 0; done < count; done += chunk_rows) {
    const int64_t size = count - done < chunk_rows ? count - done : chunk_rows;
    weigh(call, first + done, size, *chunk, *sum);
    add_weights(call, *chunk, size, weights);
  }
  total_of(weights, sum->weight, sum->weight_low);
}

}  // namespace

void compute_float32_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  compute_unit<float>(call, first, count, sum);
}

const CrossEntropyTable cross_entropy_table{compute_float32_unit, compute_float64_unit, weights_of_unit};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
