// Very long rows: blocks of 65,536 classes. Every block leaves its state, the states are merged in the order of the
// blocks, and a second reading makes the results from the state of the row; to recompute an exponential costs no more
// than to read it back. Blocks are tasks, so that one row occupies all threads; the bits do not depend on who did
// which.
#pragma once

#include "softmax_columns.hpp"
#include "staging.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t block_classes = 65536;

// n_present: how many of the n classes are there (the others are -inf in z).
template <bool tempered, class Real>
static RowState block_state(const Real* z, int64_t n, int64_t n_present, InverseTemperature<Vector<Real>> beta) {
  const Real m = row_maximum(z, n);
  if (is_finite(m)) return {double(m), exponentials<Summed::exact_rest, tempered, false>(z, n, m, static_cast<Real*>(nullptr), z, beta)};
  int64_t n_infinite = 0;
  bool has_nan = false;
  for (int64_t c = 0; c < n; ++c) {
    has_nan |= z[c] != z[c];
    n_infinite += z[c] == infinity<Real>;
  }
  const double others = double(m > 0 ? n_infinite : n_present) - 1.0;
  return {double(m), {has_nan ? not_a_number<double>() : others, 0.0}};
}

// n classes of a row whose whole state is known; y may be z.
template <Output output, bool tempered, class Real>
static void apply_state(const Real* z, int64_t n, RowState state, Real* y, InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr bool is_log = output == Output::log_probabilities;
  const Real m = Real(state.maximum);
  if (!is_finite(m) || state.rest.sum != state.rest.sum) {
    const Real elsewhere = is_log ? -infinity<Real> : Real(0), there = is_log ? Real(0) : Real(1);
    const bool is_limit = (m > 0 && state.rest.sum == 0) || (m < 0 && state.rest.sum == -1);
    for (int64_t c = 0; c < n; ++c)
      y[c] = !is_limit ? not_a_number<Real>() : z[c] == infinity<Real> ? there : elsewhere;
    return;
  }
  if constexpr (is_log) {
    log_row<tempered>(z, n, m, spread(V(), state.rest), y, beta);
  } else {
    const Total whole = two_sum(state.rest.sum, 1.0);
    const Reciprocal<V> r = reciprocal(spread(V(), Total{whole.sum, whole.lost + state.rest.lost}));
    const V maximum = broadcast(m);
    each_vectors<Real>(n, [&](auto group, int64_t j, int count) {
      constexpr int size = decltype(group)::value;
      V x[size], e[size];
      load_vectors<size>(z + j, count, x);
      scaled_exps<tempered, size>(x, maximum, beta, e);
      SOFTCLASS_UNROLL
      for (int i = 0; i < size; ++i) e[i] = probability(e[i], r);
      if (size == 1 && count < V::lanes) return store_first(y + j, e[0], count);
      SOFTCLASS_UNROLL
      for (int i = 0; i < size; ++i) store(y + j + i * V::lanes, e[i]);
    });
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
