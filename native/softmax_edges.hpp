// Rows whose maximum is not finite, and rows with a NaN: one row at a time, in plain code.
#pragma once

#include "row_state.hpp"
#include "softmax.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

enum class Edge { no_number, all_absent, one_infinite, many_infinite };
struct EdgeRow {
  Edge edge;
  int64_t place;  // of the one +inf
};

template <class Real>
static EdgeRow edge_of(const Real* z, int64_t step, int64_t K) {
  int64_t n_infinite = 0, place = -1;
  for (int64_t c = 0; c < K; ++c) {
    if (z[c * step] != z[c * step]) return {Edge::no_number, -1};
    if (z[c * step] == infinity<Real>) {
      ++n_infinite;
      place = c;
    }
  }
  return {n_infinite == 0 ? Edge::all_absent : n_infinite == 1 ? Edge::one_infinite : Edge::many_infinite, place};
}

template <Output output, class Real>
static void fill_edge(EdgeRow row, int64_t K, Real* y, int64_t step) {
  if constexpr (output == Output::log_partition) {
    *y = row.edge == Edge::no_number    ? not_a_number<Real>()
         : row.edge == Edge::all_absent ? -infinity<Real>
                                        : infinity<Real>;
  } else {
    constexpr bool is_log = output == Output::log_probabilities;
    const Real elsewhere = is_log ? -infinity<Real> : Real(0);
    for (int64_t c = 0; c < K; ++c) y[c * step] = row.edge == Edge::one_infinite ? elsewhere : not_a_number<Real>();
    if (row.edge == Edge::one_infinite) y[row.place * step] = is_log ? Real(0) : Real(1);
  }
}

// y may be z.
template <Output output, class Real>
static void edge_row(const Real* z, int64_t z_step, int64_t K, Real* y, int64_t y_step) {
  fill_edge<output>(edge_of(z, z_step, K), K, y, y_step);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
