// More classes than a block of rows can hold: one row at a time, in vectors of classes. First the maximum; then the
// exponentials and their sum, which leave the exponentials where the result goes; then the factor. The second and third
// pass find the row in a cache.
#pragma once

#include "softmax_vertical.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t longest_row = 131072;  // classes; beyond, a row is computed in blocks (softmax_blocks.hpp)

// The largest logit; a NaN is passed over.
template <class Real>
SOFTCLASS_INLINE Real row_maximum(const Real* z, int64_t K) {
  using V = Vector<Real>;
  constexpr int lanes = V::lanes;
  const V lowest = broadcast(-infinity<Real>);
  V m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  int64_t j = 0;
  for (; j + 4 * lanes <= K; j += 4 * lanes) {
    m0 = greater_of(load(z + j), m0);
    m1 = greater_of(load(z + j + lanes), m1);
    m2 = greater_of(load(z + j + 2 * lanes), m2);
    m3 = greater_of(load(z + j + 3 * lanes), m3);
  }
  for (; j + lanes <= K; j += lanes) m0 = greater_of(load(z + j), m0);
  if (j < K) m1 = greater_of(load_first(z + j, int(K - j), lowest), m1);
  return largest(greater_of(greater_of(m0, m1), greater_of(m2, m3)));
}

// body(vector, place, count, i): all vectors of a row in order, the tail filled up with -inf; i is the partial sum of the
// vector. `next` is what will be read after this row: it is fetched meanwhile.
template <class Real, class Body>
SOFTCLASS_INLINE void each_vector(const Real* z, int64_t K, const Real* next, const Body& body) {
  constexpr int lanes = lanes_of<Real>, vectors = partial_sums / lanes;
  int64_t j = 0;
  for (; j + partial_sums <= K; j += partial_sums) {
    __builtin_prefetch(next + j);
    if (sizeof(Real) == 8) __builtin_prefetch(next + j + 8);
    SOFTCLASS_UNROLL
    for (int i = 0; i < vectors; ++i) body(load(z + j + i * lanes), j + i * lanes, lanes, i);
  }
  for (int i = 0; j < K; j += lanes, ++i) {
    const int count = K - j < lanes ? int(K - j) : lanes;
    body(load_first(z + j, count, broadcast(-infinity<Real>)), j, count, i);
  }
}

// Sum of the exponentials over all classes, the maximum too; they are left, scaled, in y, which may be z.
template <bool tempered, class Real>
SOFTCLASS_INLINE Total exponentials(const Real* z, int64_t K, Real m, Real* y, const Real* next,
                                    InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  Sum<V> sums[partial_sums / V::lanes];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  const V maximum = broadcast(m);
  each_vector(z, K, next, [&](V x, int64_t j, int count, int i) {
    const Difference<V> d = scaled_difference<tempered>(x, maximum, beta);
    const V e = scaled_exp_value(d.value, d.error);
    if (count == V::lanes) {
      store(y + j, e);
      add_stored(sums[i], y + j, e);
    } else {
      store_first(y + j, e, count);
      add_to(sums[i], e);
    }
  });
  SOFTCLASS_UNROLL
  for (auto& sum : sums) sum = unscaled(sum);
  return total_of(sums);
}

// Sum over all classes, without leaving anything.
template <class Real>
SOFTCLASS_INLINE Total sum_of_exponentials(const Real* z, int64_t K, Real m, const Real* next) {
  using V = Vector<Real>;
  Sum<V> sums[partial_sums / V::lanes];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  alignas(64) Real kept[partial_sums / V::lanes][V::lanes];
  const V maximum = broadcast(m);
  each_vector(z, K, next, [&](V x, int64_t, int, int i) {
    const Difference<V> d = difference(x, maximum);
    const V e = scaled_exp_value(d.value, d.error);
    store(kept[i], e);
    add_stored(sums[i], kept[i], e);
  });
  SOFTCLASS_UNROLL
  for (auto& sum : sums) sum = unscaled(sum);
  return total_of(sums);
}

// Sum over all classes but one that has the maximum.
template <bool tempered, class Real>
SOFTCLASS_INLINE Total rest_of(const Real* z, int64_t K, Real m, const Real* next,
                               InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  Sum<V> sums[partial_sums / V::lanes];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  const V maximum = broadcast(m), one = broadcast(Real(1)), zero = broadcast(Real(0));
  V maxima = zero;                       // whole numbers far below 2^24
  V lows[partial_sums / V::lanes];       // what the exponentials lack
  alignas(64) Real kept[partial_sums / V::lanes][V::lanes];
  SOFTCLASS_UNROLL
  for (auto& low : lows) low = zero;
  each_vector(z, K, next, [&](V x, int64_t, int, int i) {
    const Difference<V> d = scaled_difference<tempered>(x, maximum, beta);
    const ScaledExp<V> e = scaled_exp(d.value, d.error);
    const auto is_maximum = equal(x, maximum);
    const V others = zero_where(is_maximum, e.value);
    store(kept[i], others);
    add_stored(sums[i], kept[i], others);
    lows[i] = fma(e.low, e.power, lows[i]);
    maxima = add_where(is_maximum, maxima, one);
  });
  SOFTCLASS_UNROLL
  for (int i = 0; i < partial_sums / V::lanes; ++i) {
    add_to(sums[i], lows[i]);
    sums[i] = unscaled(sums[i]);
  }
  Real counts[V::lanes];
  store(counts, maxima);
  double count = -1.0;
  for (int l = 0; l < V::lanes; ++l) count += double(counts[l]);
  Total total = total_of(sums);
  const double sum = total.sum + count, back = sum - total.sum;
  total.lost += (total.sum - (sum - back)) + (count - back);
  total.sum = sum;
  return total;
}

template <class Real>
static void fill_row(Real* y, int64_t K, Real with) {
  for (int64_t j = 0; j < K; ++j) y[j] = with;
}

template <class Real>
SOFTCLASS_INLINE void scale_row(Real* y, int64_t K, Reciprocal<Vector<Real>> r) {
  constexpr int lanes = lanes_of<Real>;
  int64_t j = 0;
  for (; j + lanes <= K; j += lanes) store(y + j, probability(load(y + j), r));
  if (j < K) store_first(y + j, probability(load_first(y + j, int(K - j), r.high), r), int(K - j));
}

// y = log probabilities of z, which may be y.
template <bool tempered, class Real>
SOFTCLASS_INLINE void log_row(const Real* z, int64_t K, Real m, LogRest<Vector<Real>> rest, Real* y,
                              InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  const V maximum = broadcast(m), lowest = broadcast(-infinity<Real>);
  int64_t j = 0;
  for (; j + V::lanes <= K; j += V::lanes)
    store(y + j, log_probability(scaled_difference<tempered>(load(z + j), maximum, beta), rest, lowest));
  if (j < K) {
    const V x = load_first(z + j, int(K - j), maximum);
    store_first(y + j, log_probability(scaled_difference<tempered>(x, maximum, beta), rest, lowest), int(K - j));
  }
}

// K >= 1, m finite.
template <class Real>
SOFTCLASS_INLINE Real row_log_partition(const Real* z, int64_t K, Real m, const Real* next) {
  using V = Vector<Real>;
  const Sum<V> rest = without_maximum(spread(V(), sum_of_exponentials(z, K, m, next)));
  const Real value = first(log_partition(broadcast(m), rest));
  double rests[V::lanes];
  store_sums(rests, rest);
  if (is_right(double(value), rests[0])) return value;
  const Total total = rest_of<false>(z, K, m, z, InverseTemperature<V>());
  return total.sum != total.sum ? not_a_number<Real>() : first(log_partition(broadcast(m), spread(V(), total)));
}

// One row to y, which may be z; log_partition writes *y.
template <Output output, bool tempered, class Real>
static void softmax_row(const Real* z, int64_t K, Real* y, const Real* next, InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  const Real m = row_maximum(z, K);
  if (!is_finite(m)) return edge_row<output>(z, 1, K, y, 1);
  if constexpr (output == Output::log_partition) {
    *y = row_log_partition(z, K, m, next);
  } else if constexpr (output == Output::probabilities) {
    const Total total = exponentials<tempered>(z, K, m, y, next, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    scale_row(y, K, reciprocal(spread(V(), total)));
  } else {
    const Total total = rest_of<tempered>(z, K, m, next, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    log_row<tempered>(z, K, m, log_rest(spread(V(), total)), y, beta);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
