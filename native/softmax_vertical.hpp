// Few classes: a row a lane, all classes of `lanes` rows at once. Also the classes of any number of rows that lie side by
// side in memory (the class axis is not the last). In a lane classes are added one after the other, so the number of lanes
// changes no bit.
#pragma once

#include "exp_group.hpp"
#include "row_state.hpp"
#include "softmax_edges.hpp"
#include "vertical.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// body(c) for all classes: unrolled if K, a constant, is not 0; else n of them.
template <int K, class Body>
SOFTCLASS_INLINE void each_class(int n, const Body& body) {
  if constexpr (K > 0) {
    SOFTCLASS_UNROLL
    for (int c = 0; c < K; ++c) body(c);
  } else {
    for (int c = 0; c < n; ++c) body(c);
  }
}

template <class V>
struct BlockResult {
  V value;         // log_partition
  unsigned edges;  // bit l: the maximum of lane l is not finite, or there is a NaN
};

// Logits to results in place.
template <int K, Output output, bool tempered, class V>
SOFTCLASS_INLINE BlockResult<V> softmax_block(V* classes, int n, InverseTemperature<V> beta) {
  using Real = decltype(first(V()));
  V m = broadcast(-infinity<Real>);
  each_class<K>(n, [&](int c) { m = greater_of(classes[c], m); });
  Sum<V> total;
  clear(total);
  if constexpr (output == Output::probabilities) {
    each_group<K>(n, [&](auto group, int c) {
      constexpr int size = decltype(group)::value;
      scaled_exps<tempered, size>(classes + c, m, beta, classes + c);
      SOFTCLASS_UNROLL
      for (int i = 0; i < size; ++i) add_to(total, classes[c + i]);  // with the maximum: the sum is 1 + rest
    });
    const Reciprocal<V> r = reciprocal(unscaled(total));
    each_class<K>(n, [&](int c) { classes[c] = probability(classes[c], r); });
    const V probe = (m - m) + r.high;
    return {probe, bits_of(none_of(equal(probe, probe)))};
  } else {
    const V zero = broadcast(Real(0)), one = broadcast(Real(1));
    V maxima = zero, lows = zero;  // lows: what the exponentials lack
    each_class<K>(n, [&](int c) {
      const Difference<V> d = scaled_difference<tempered>(classes[c], m, beta);
      const ScaledExp<V> e = scaled_exp(d.value, d.error);
      const auto is_maximum = equal(classes[c], m);
      const V others = zero_where(is_maximum, e.value);
      add_to(total, others);
      lows = fma(e.low, e.power, lows);  // 0 for the maximum
      maxima = add_where(is_maximum, maxima, one);
    });
    add_to(total, lows);
    total = unscaled(total);
    add_to(total, maxima - one);
    if constexpr (output == Output::log_partition) {
      const V value = log_partition(m, total), probe = (m - m) + value;
      return {value, bits_of(none_of(equal(probe, probe)))};
    } else {
      const LogRest<V> rest = log_rest(total);
      const V lowest = broadcast(-infinity<Real>);
      each_class<K>(n, [&](int c) {
        classes[c] = log_probability(scaled_difference<tempered>(classes[c], m, beta), rest, lowest);
      });
      const V probe = (m - m) + rest.high;
      return {probe, bits_of(none_of(equal(probe, probe)))};
    }
  }
}

// Lanes with an edge: `original` holds the logits, `classes` (or `value`) is put right.
template <Output output, class V>
static __attribute__((noinline)) void mend_block(const V* original, int n, unsigned edges, V* classes, V* value) {
  using Real = decltype(first(V()));
  Real z[most_vertical * V::lanes], y[most_vertical * V::lanes];
  for (int c = 0; c < n; ++c) store(z + c * V::lanes, original[c]);
  if constexpr (output == Output::log_partition) {
    store(y, *value);
    for (int l = 0; l < V::lanes; ++l)
      if (edges >> l & 1) edge_row<output>(z + l, V::lanes, n, y + l, V::lanes);
    *value = load(y);
  } else {
    for (int c = 0; c < n; ++c) store(y + c * V::lanes, classes[c]);
    for (int l = 0; l < V::lanes; ++l)
      if (edges >> l & 1) edge_row<output>(z + l, V::lanes, n, y + l, V::lanes);
    for (int c = 0; c < n; ++c) classes[c] = load(y + c * V::lanes);
  }
}

// One block: rows of K classes, one after the other in memory at a distance of `stride`, to y in the same way. `values`
// receives the results of log_partition. K = 0: n classes.
template <int K, Output output, bool tempered, class Real>
SOFTCLASS_INLINE void softmax_rows_block(const Real* z, int64_t z_stride, int n, Real* y, int64_t y_stride, Real* values,
                                         InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr int places = K > 0 ? padded<Real>(K) : padded<Real>(most_vertical);
  V classes[places];
  const auto load_all = [&](V* to) {
    if constexpr (K > 0)
      load_block<K>(z, z_stride, to);
    else
      load_block(z, z_stride, n, to);
  };
  load_all(classes);
  BlockResult<V> result = softmax_block<K, output, tempered>(classes, n, beta);
  if (__builtin_expect(result.edges != 0, 0)) {
    V original[places];
    load_all(original);
    mend_block<output>(original, n, result.edges, classes, &result.value);
  }
  if constexpr (output == Output::log_partition)
    store(values, result.value);
  else if constexpr (K > 0)
    store_block<K>(classes, y, y_stride);
  else
    store_block(classes, y, y_stride, n);
}

// `count` rows. Behind the last element of the last row nothing is read unless `has_more` says that there are elements.
template <int K, Output output, bool tempered, class Real>
static void softmax_few_classes(const Real* z, int64_t z_stride, int64_t count, bool has_more, int n, Real* y,
                                int64_t y_stride, Real* values, InverseTemperature<Vector<Real>> beta) {
  constexpr int lanes = lanes_of<Real>;
  if constexpr (K > 0) n = K;
  int64_t i = 0;
  const int64_t last_block = has_more || n % group_size<Real> == 0 ? count : count - 1;
  for (; i + lanes <= last_block; i += lanes)
    softmax_rows_block<K, output, tempered>(z + i * z_stride, z_stride, n, y + i * y_stride, y_stride, values + i, beta);
  for (; i < count; i += lanes) {
    const int rest = count - i < lanes ? int(count - i) : lanes;
    Real staged[block_scratch<Real>], value[lanes];
    stage_block(z + i * z_stride, z_stride, rest, n, staged);
    softmax_rows_block<K, output, tempered>(staged, n, n, staged, n, value, beta);
    if constexpr (output == Output::log_partition)
      copy_rows(value, 1, values + i, 1, rest, 1);
    else
      copy_rows(staged, n, y + i * y_stride, y_stride, rest, n);
  }
}

// Rows side by side: class c of row l lies at z[c * z_step + l]. Any number of classes; one vector of rows.
template <int K, Output output, bool tempered, class Real>
SOFTCLASS_INLINE void softmax_side_by_side(const Real* z, int64_t z_step, int n, int count, Real* y, int64_t y_step,
                                           Real* values, InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr int places = K > 0 ? K : most_vertical;
  V classes[places];
  const V nothing = broadcast(Real(0));
  const auto load_all = [&](V* to) {
    if (count == V::lanes)
      each_class<K>(n, [&](int c) { to[c] = load(z + c * z_step); });
    else
      each_class<K>(n, [&](int c) { to[c] = load_first(z + c * z_step, count, nothing); });
  };
  load_all(classes);
  BlockResult<V> result = softmax_block<K, output, tempered>(classes, n, beta);
  if (__builtin_expect(result.edges != 0, 0)) {
    V original[places];
    load_all(original);
    mend_block<output>(original, n, result.edges, classes, &result.value);
  }
  if constexpr (output == Output::log_partition)
    store_first(values, result.value, count);
  else if (count == V::lanes)
    each_class<K>(n, [&](int c) { store(y + c * y_step, classes[c]); });
  else
    each_class<K>(n, [&](int c) { store_first(y + c * y_step, classes[c], count); });
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
