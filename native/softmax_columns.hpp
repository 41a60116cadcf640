// Rows that lie side by side (the class axis is not the last, or Fortran order), with more classes than registers: a row a
// lane, one vector of rows from top to bottom. Sums are those of softmax_row.hpp, element c in partial sum c mod 16, so
// that a row has the same bits however it lies.
#pragma once

#include "softmax_row.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE Sum<Floats> folded(Sum<Floats>* sums) {
  for (int half = partial_sums / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) {
      sums[i].low = sums[i].low + sums[i + half].low;
      sums[i].high = sums[i].high + sums[i + half].high;
    }
  return sums[0];
}
SOFTCLASS_INLINE Sum<Doubles> folded(Sum<Doubles>* sums) {
  for (int half = partial_sums / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) {
      const Doubles a = sums[i].sum, b = sums[i + half].sum, both = a + b, back = both - a;
      sums[i].lost = sums[i].lost + (sums[i + half].lost + ((a - (both - back)) + (b - back)));
      sums[i].sum = both;
    }
  return sums[0];
}

// Lanes of the first `count` whose row is an edge. What `edge_of` needs is read before anything is written.
template <Output output, class V, class Real>
struct ColumnEdges {
  unsigned lanes = 0;
  EdgeRow row[V::lanes];

  void find(const Real* z, int64_t step, int64_t K, V m, int count) {
    const V probe = m - m;
    lanes = bits_of(none_of(equal(probe, probe))) & ((1u << count) - 1);
    for (int l = 0; l < count; ++l)
      if (lanes >> l & 1) row[l] = edge_of(z + l, step, K);
  }
  // Sums that are NaN come from a NaN under a finite maximum.
  void find_nan(V probe, int count) {
    const unsigned found = bits_of(none_of(equal(probe, probe))) & ((1u << count) - 1) & ~lanes;
    for (int l = 0; l < count; ++l)
      if (found >> l & 1) row[l] = {Edge::no_number, -1};
    lanes |= found;
  }
  void write(int64_t K, Real* y, int64_t step) const {
    for (int l = 0; l < V::lanes; ++l)
      if (lanes >> l & 1) fill_edge<output>(row[l], K, y + l, step);
  }
};

template <Output output, bool tempered, class Real>
static void softmax_columns(const Real* z, int64_t z_step, int64_t K, int count, Real* y, int64_t y_step, Real* values,
                            InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  const bool is_full = count == V::lanes;
  const V zero = broadcast(Real(0)), one = broadcast(Real(1)), lowest = broadcast(-infinity<Real>);
  const auto read = [&](const Real* p) { return is_full ? load(p) : load_first(p, count, zero); };
  const auto write = [&](Real* p, V x) { is_full ? store(p, x) : store_first(p, x, count); };
  V m = lowest;
  for (int64_t c = 0; c < K; ++c) m = greater_of(read(z + c * z_step), m);
  ColumnEdges<output, V, Real> edges;
  edges.find(z, z_step, K, m, count);
  Sum<V> sums[partial_sums];
  for (auto& sum : sums) clear(sum);
  V maxima = zero, lows[partial_sums];
  for (auto& low : lows) low = zero;
  for (int64_t c = 0; c < K; ++c) {
    const V x = read(z + c * z_step);
    const Difference<V> d = scaled_difference<tempered>(x, m, beta);
    const ScaledExp<V> e = scaled_exp(d.value, d.error);
    if constexpr (output == Output::probabilities) {
      write(y + c * y_step, e.value);
      add_to(sums[c % partial_sums], e.value);
    } else {
      const auto is_maximum = equal(x, m);
      add_to(sums[c % partial_sums], zero_where(is_maximum, e.value));
      lows[c % partial_sums] = fma(e.low, e.power, lows[c % partial_sums]);
      maxima = add_where(is_maximum, maxima, one);
    }
  }
  for (int i = 0; i < partial_sums; ++i) {
    if constexpr (output != Output::probabilities) add_to(sums[i], lows[i]);
    sums[i] = unscaled(sums[i]);
  }
  Sum<V> total = folded(sums);
  if constexpr (output == Output::probabilities) {
    const Reciprocal<V> r = reciprocal(total);
    for (int64_t c = 0; c < K; ++c) write(y + c * y_step, probability(read(y + c * y_step), r));
    edges.find_nan(r.high, count);
    edges.write(K, y, y_step);
  } else {
    add_to(total, maxima - one);
    if constexpr (output == Output::log_partition) {
      const V value = log_partition(m, total);
      edges.find_nan(value, count);
      write(values, value);
      edges.write(K, values, 1);
    } else {
      const LogRest<V> rest = log_rest(total);
      for (int64_t c = 0; c < K; ++c) {
        const Difference<V> d = scaled_difference<tempered>(read(z + c * z_step), m, beta);
        write(y + c * y_step, log_probability(d, rest, lowest));
      }
      edges.find_nan(rest.high, count);
      edges.write(K, y, y_step);
    }
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
