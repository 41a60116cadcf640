// Few classes: a row a lane, all classes of `lanes` rows at once. Also the classes of any number of rows that lie side
// by side in memory (the class axis is not the last). In a lane classes are added one after the other, so the number of
// lanes changes no bit.
#pragma once

#include "exp_group.hpp"
#include "row_state.hpp"
#include "softmax_edges.hpp"
#include "vertical.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int few_classes = 128;  // measured in a cache: above, a row at a time is as fast
template <class Real>
constexpr int few_places = padded<Real>(few_classes);

// Sum of scaled exponentials of at most few_classes classes, the maximum too. Of floats: a number that begins so large
// that its last place does not change, and what each addition to it loses: as exact as a sum in double, and half the
// work.
template <class V>
struct WholeSum;
template <>
struct WholeSum<Floats> {
  static constexpr float begin = 2.0f * few_classes * float(exp_scale<Floats>);
  Floats sum, low;
};
template <>
struct WholeSum<Doubles> {
  Sum<Doubles> of;
};
SOFTCLASS_INLINE void clear(WholeSum<Floats>& total) {
  total.sum = broadcast(WholeSum<Floats>::begin);
  total.low = broadcast(0.0f);
}
SOFTCLASS_INLINE void clear(WholeSum<Doubles>& total) { clear(total.of); }
SOFTCLASS_INLINE void add_to(WholeSum<Floats>& total, Floats x) {
  const Floats sum = total.sum + x;
  total.low = total.low + (x - (sum - total.sum));
  total.sum = sum;
}
SOFTCLASS_INLINE void add_to(WholeSum<Doubles>& total, Doubles x) { add_to(total.of, x); }
SOFTCLASS_INLINE Reciprocal<Floats> reciprocal(WholeSum<Floats> total) {
  const Floats one = broadcast(1.0f), zero = broadcast(0.0f), scale = broadcast(float(1.0 / exp_scale<Floats>));
  const Floats whole = total.sum - broadcast(WholeSum<Floats>::begin), both = whole + total.low;
  const Floats sum = both * scale, lost = (total.low - (both - whole)) * scale;
  const Floats high = one / sum, left = fma(zero - high, lost, fma(zero - high, sum, one));
  return {high, high * left};
}
SOFTCLASS_INLINE Reciprocal<Doubles> reciprocal(WholeSum<Doubles> total) { return reciprocal(unscaled(total.of)); }

template <class V>
struct BlockResult {
  V value;         // log_partition
  unsigned edges;  // bit l: the maximum of lane l is not finite, or there is a NaN
};
template <class V>
SOFTCLASS_INLINE BlockResult<V> block_result(V m, V value) {
  const V probe = (m - m) + value;
  return {value, bits_of(none_of(equal(probe, probe)))};
}

// Where a later block is read and written (y may be null). A block has as many cache lines as classes, but touches them
// in no order that the processor would foresee: each class fetches one of either. Out of the caches that halves the
// time.
template <class Real>
struct Ahead {
  const Real* z;
  const Real* y;
};
// Inline by force: a function that does nothing but this is dropped as one without effect.
template <class Real>
SOFTCLASS_INLINE void fetch(Ahead<Real> ahead, int c) {
  if (c * int(sizeof(Vector<Real>)) % 64 != 0) return;
  __builtin_prefetch(ahead.z + c * lanes_of<Real>);
  if (ahead.y) __builtin_prefetch(ahead.y + c * lanes_of<Real>, 1);
}

// Logits of n classes to results, in place.
template <bool tempered, class V, class Real>
SOFTCLASS_INLINE BlockResult<V> probabilities_of_block(V* classes, int n, V m, InverseTemperature<V> beta,
                                                       Ahead<Real> ahead) {
  WholeSum<V> total;
  clear(total);
  each_group(n, [&](auto group, int c) {
    constexpr int size = decltype(group)::value;
    SOFTCLASS_UNROLL
    for (int i = 0; i < size; ++i) fetch(ahead, c + i);
    scaled_exps<tempered, size>(classes + c, m, beta, classes + c);
    SOFTCLASS_UNROLL
    for (int i = 0; i < size; ++i) add_to(total, classes[c + i]);
  });
  const Reciprocal<V> r = reciprocal(total);
  for (int c = 0; c < n; ++c) classes[c] = probability(classes[c], r);
  return block_result(m, r.high);
}

template <Summed summed, bool tempered, class V, class Real>
SOFTCLASS_INLINE Sum<V> rest_of_block(const V* classes, int n, V m, InverseTemperature<V> beta, Ahead<Real> ahead) {
  Aside<V> aside = nothing_aside(broadcast(Real(0)));
  Sum<V> total;
  clear(total);
  each_group(n, [&](auto group, int c) {
    constexpr int size = decltype(group)::value;
    V e[size];
    SOFTCLASS_UNROLL
    for (int i = 0; i < size; ++i) fetch(ahead, c + i);
    summands<summed, tempered, size>(classes + c, m, beta, e, aside);
    SOFTCLASS_UNROLL
    for (int i = 0; i < size; ++i) add_to(total, e[i]);
  });
  if constexpr (summed == Summed::exact_rest) add_to(total, aside.low);
  total = unscaled(total);
  add_to(total, aside.maxima - broadcast(Real(1)));
  return total;
}

template <Output output, bool tempered, class V, class Real>
SOFTCLASS_INLINE BlockResult<V> softmax_block(V* classes, int n, InverseTemperature<V> beta, Ahead<Real> ahead) {
  const V lowest = broadcast(-infinity<Real>);
  V m = lowest;
  for (int c = 0; c < n; ++c) m = greater_of(classes[c], m);
  if constexpr (output == Output::probabilities) {
    return probabilities_of_block<tempered>(classes, n, m, beta, ahead);
  } else {
    constexpr Summed summed = output == Output::log_partition ? Summed::exact_rest : summed_for_logs<Real>;
    const Sum<V> rest = rest_of_block<summed, tempered>(classes, n, m, beta, ahead);
    if constexpr (output == Output::log_partition) return block_result(m, log_partition(m, rest));
    const auto origin = log_origin<tempered>(m, rest, lowest, beta);
    for (int c = 0; c < n; ++c) classes[c] = log_probability(classes[c], origin);
    return block_result(m, probe_of(origin));
  }
}

// Lanes with an edge: `original` holds the logits, `classes` (or `value`) is put right.
template <Output output, class V>
static __attribute__((noinline)) void mend_block(const V* original, int n, unsigned edges, V* classes, V* value) {
  using Real = decltype(first(V()));
  Real z[few_classes * V::lanes], y[few_classes * V::lanes];
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

// load_all(classes) reads the block, again where an edge is found; the results are left in `classes`.
template <Output output, bool tempered, class V, class Real, class LoadAll>
SOFTCLASS_INLINE V mended_block(V* classes, int n, InverseTemperature<V> beta, Ahead<Real> ahead,
                                const LoadAll& load_all) {
  load_all(classes);
  BlockResult<V> result = softmax_block<output, tempered>(classes, n, beta, ahead);
  if (__builtin_expect(result.edges != 0, 0)) {
    V original[few_places<Real>] = {};
    load_all(original);
    mend_block<output>(original, n, result.edges, classes, &result.value);
  }
  return result.value;
}

// One block: rows of n classes, one after the other in memory at a distance of z_stride, to y in the same way. `values`
// receives the results of log_partition.
template <Output output, bool tempered, class Real>
SOFTCLASS_INLINE void softmax_rows_block(const Real* z, int64_t z_stride, int n, Real* y, int64_t y_stride,
                                         Real* values, InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  V classes[few_places<Real>];
  const int64_t rows = V::lanes * (1 + 16 / n);  // of a few classes the next block would come too late
  const Ahead<Real> ahead{z + rows * z_stride, output == Output::log_partition ? nullptr : y + rows * y_stride};
  const V value =
      mended_block<output, tempered>(classes, n, beta, ahead, [&](V* to) { load_block(z, z_stride, n, to); });
  if constexpr (output == Output::log_partition)
    store(values, value);
  else
    store_block(classes, y, y_stride, n);
}

// `count` rows. Behind the last element of the last row nothing is read unless `has_more` says that there are elements.
template <Output output, bool tempered, class Real>
static void softmax_few_classes(const Real* z, int64_t z_stride, int64_t count, bool has_more, int n, Real* y,
                                int64_t y_stride, Real* values, InverseTemperature<Vector<Real>> beta) {
  constexpr int lanes = lanes_of<Real>;
  int64_t i = 0;
  const int64_t last_block = has_more || n % group_size<Real> == 0 ? count : count - 1;
  for (; i + lanes <= last_block; i += lanes)
    softmax_rows_block<output, tempered>(z + i * z_stride, z_stride, n, y + i * y_stride, y_stride, values + i, beta);
  for (; i < count; i += lanes) {
    const int rest = count - i < lanes ? int(count - i) : lanes;
    Real staged[lanes * few_classes + over_read<Real>], value[lanes];
    stage_block(z + i * z_stride, z_stride, rest, n, staged);
    softmax_rows_block<output, tempered>(staged, n, n, staged, n, value, beta);
    if constexpr (output == Output::log_partition)
      copy_rows(value, 1, values + i, 1, rest, 1);
    else
      copy_rows(staged, n, y + i * y_stride, y_stride, rest, n);
  }
}

// Rows side by side, one vector of them: class c of row l lies at z[c * z_step + l].
template <Output output, bool tempered, class Real>
static void softmax_side_by_side(const Real* z, int64_t z_step, int n, int count, Real* y, int64_t y_step, Real* values,
                                 InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  V classes[few_places<Real>];
  const V value = mended_block<output, tempered>(classes, n, beta, Ahead<Real>{z, nullptr}, [&](V* to) {
    for (int c = 0; c < n; ++c)
      to[c] = count == V::lanes ? load(z + c * z_step) : load_first(z + c * z_step, count, broadcast(Real(0)));
  });
  if constexpr (output == Output::log_partition)
    store_first(values, value, count);
  else
    for (int c = 0; c < n; ++c)
      count == V::lanes ? store(y + c * y_step, classes[c]) : store_first(y + c * y_step, classes[c], count);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
