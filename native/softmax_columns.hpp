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

// Sum of the exponentials, which are left in y if there is one.
template <Summed summed, bool tempered, class Real, class V>
static Sum<V> column_sum(Column<const Real> z, V m, const Column<Real>* y, InverseTemperature<V> beta) {
  Aside<V> aside = nothing_aside(broadcast(Real(0)));
  PartialSums<V> sums;
  for (int64_t c = 0; c < z.K; ++c) {
    const V x = z.read(c);
    V e;
    summands<summed, tempered, 1>(&x, m, beta, &e, aside);
    if (y) y->write(c, e);
    add_to(sums.of[c % partial_sums], e);
  }
  if constexpr (summed == Summed::exact_rest) add_to(sums.of[0], aside.low);
  Sum<V> total = sums.total();
  if constexpr (summed != Summed::all) add_to(total, aside.maxima - broadcast(Real(1)));
  return total;
}

template <class Real, class V>
static V column_log_partition(Column<const Real> z, V m) {
  const Column<Real>* const nowhere = nullptr;
  return log_partition(m, column_sum<Summed::exact_rest, false>(z, m, nowhere, InverseTemperature<V>()));
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
    const Reciprocal<V> r = reciprocal(column_sum<Summed::all, tempered>(z, m, &y, beta));
    for (int64_t c = 0; c < K; ++c) y.write(c, probability(y.read(c), r));
    edges.find_nan(r.high, z.count);
    edges.write(K, y.p, y.step);
  } else {
    const Column<Real>* const nowhere = nullptr;
    const Sum<V> rest = column_sum<summed_for_logs<Real>, tempered>(z, m, nowhere, beta);
    const auto origin = log_origin<tempered>(m, rest, broadcast(-infinity<Real>), beta);
    for (int64_t c = 0; c < K; ++c) y.write(c, log_probability(z.read(c), origin));
    edges.find_nan(probe_of(origin), z.count);
    edges.write(K, y.p, y.step);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
