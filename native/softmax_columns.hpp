// Rows that lie side by side (the class axis is not the last, or Fortran order), with more classes than registers: a
// row a lane, one vector of rows from top to bottom. Sums are those of softmax_row.hpp, element c in partial sum c mod
// 16, so that a row has the same bits however it lies.
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

template <class T>
struct UnqualifiedOf {
  using type = T;
};
template <class T>
struct UnqualifiedOf<const T> {
  using type = T;
};
template <class T>
using Unqualified = typename UnqualifiedOf<T>::type;

// One vector of rows: class c of lane l lies at p[c * step + l]; the last lanes may be missing.
template <class Real>
struct Column {
  using V = Vector<Unqualified<Real>>;
  Real* p;
  int64_t step;
  int64_t K;
  int count;

  V read(int64_t c) const { return count == V::lanes ? load(p + c * step) : load_first(p + c * step, count, V()); }
  void write(int64_t c, V x) const { count == V::lanes ? store(p + c * step, x) : store_first(p + c * step, x, count); }
};

template <class V>
struct PartialSums {
  Sum<V> of[partial_sums];
  PartialSums() {
    for (auto& sum : of) clear(sum);
  }
  Sum<V> total() {
    for (auto& sum : of) sum = unscaled(sum);
    return folded(of);
  }
};

// Sum over all classes; the exponentials are left in y if there is one.
template <bool tempered, class Real, class V>
static Sum<V> column_sum(Column<const Real> z, V m, const Column<Real>* y, InverseTemperature<V> beta) {
  PartialSums<V> sums;
  for (int64_t c = 0; c < z.K; ++c) {
    const V x = z.read(c);
    V e;
    scaled_exps<tempered, 1>(&x, m, beta, &e);
    if (y) y->write(c, e);
    add_to(sums.of[c % partial_sums], e);
  }
  return sums.total();
}
// Sum over all classes but one that has the maximum.
template <bool tempered, class Real, class V>
static Sum<V> column_rest(Column<const Real> z, V m, InverseTemperature<V> beta) {
  const V zero = broadcast(Real(0)), one = broadcast(Real(1));
  PartialSums<V> sums;
  V maxima = zero, lows[partial_sums];
  for (auto& low : lows) low = zero;
  for (int64_t c = 0; c < z.K; ++c) {
    const V x = z.read(c);
    const Difference<V> d = scaled_difference<tempered>(x, m, beta);
    const ScaledExp<V> e = scaled_exp(d.value, d.error);
    const auto is_maximum = equal(x, m);
    add_to(sums.of[c % partial_sums], zero_where(is_maximum, e.value));
    lows[c % partial_sums] = fma(e.low, e.power, lows[c % partial_sums]);
    maxima = add_where(is_maximum, maxima, one);
  }
  for (int i = 0; i < partial_sums; ++i) add_to(sums.of[i], lows[i]);
  Sum<V> total = sums.total();
  add_to(total, maxima - one);
  return total;
}

template <class Real, class V>
static V column_log_partition(Column<const Real> z, V m) {
  const Sum<V> rest =
      without_maximum(column_sum<false>(z, m, static_cast<Column<Real>*>(nullptr), InverseTemperature<V>()));
  const V value = log_partition(m, rest);
  Real values[V::lanes], exact[V::lanes];
  double rests[V::lanes];
  store(values, value);
  store_sums(rests, rest);
  bool all_right = true;
  for (int l = 0; l < z.count; ++l) all_right &= is_right(double(values[l]), rests[l]);
  if (all_right) return value;
  store(exact, log_partition(m, column_rest<false>(z, m, InverseTemperature<V>())));
  for (int l = 0; l < z.count; ++l)
    if (!is_right(double(values[l]), rests[l])) values[l] = exact[l];
  return load(values);
}

template <Output output, bool tempered, class Real>
static void softmax_columns(Column<const Real> z, Column<Real> y, Real* values, InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  const int64_t K = z.K;
  V m = broadcast(-infinity<Real>);
  for (int64_t c = 0; c < K; ++c) m = greater_of(z.read(c), m);
  ColumnEdges<output, V, Real> edges;
  edges.find(z.p, z.step, K, m, z.count);
  if constexpr (output == Output::log_partition) {
    const V value = column_log_partition(z, m);
    edges.find_nan(value, z.count);
    store_first(values, value, z.count);
    edges.write(K, values, 1);
  } else if constexpr (output == Output::probabilities) {
    const Reciprocal<V> r = reciprocal(column_sum<tempered>(z, m, &y, beta));
    for (int64_t c = 0; c < K; ++c) y.write(c, probability(y.read(c), r));
    edges.find_nan(r.high, z.count);
    edges.write(K, y.p, y.step);
  } else {
    const V lowest = broadcast(-infinity<Real>);
    const LogRest<V> rest = log_rest(column_rest<tempered>(z, m, beta));
    for (int64_t c = 0; c < K; ++c)
      y.write(c, log_probability(scaled_difference<tempered>(z.read(c), m, beta), rest, lowest));
    edges.find_nan(rest.high, z.count);
    edges.write(K, y.p, y.step);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
