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

// body(Int<n>, place, count): n vectors at a time, at `place`; then the vectors that are left, the last of which may
// have less than all lanes. Vector v of the row belongs to partial sum v mod (partial_sums / lanes).
template <class Real, class Body>
SOFTCLASS_INLINE void each_vectors(int64_t K, const Body& body) {
  constexpr int lanes = lanes_of<Real>, vectors = partial_sums / lanes;
  constexpr int group = exp_group % vectors == 0 ? exp_group : vectors;  // a group begins at partial sum 0
  int64_t j = 0;
  for (; j + group * lanes <= K; j += group * lanes) body(Int<group>(), j, group * lanes);
  for (; j < K; j += lanes) body(Int<1>(), j, K - j < lanes ? int(K - j) : lanes);
}
template <int n, class Real>
SOFTCLASS_INLINE void load_vectors(const Real* z, int count, Vector<Real>* x) {
  constexpr int lanes = lanes_of<Real>;
  if constexpr (n == 1) {
    x[0] = count == lanes ? load(z) : load_first(z, count, broadcast(-infinity<Real>));
  } else {
    SOFTCLASS_UNROLL
    for (int i = 0; i < n; ++i) x[i] = load(z + i * lanes);
  }
}
// What will be read after this row comes into the caches meanwhile.
template <int n, class Real>
SOFTCLASS_INLINE void fetch_vectors(const Real* next) {
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i)
    if (i * sizeof(Vector<Real>) % 64 == 0) __builtin_prefetch(next + i * lanes_of<Real>);
}
// The lines that are written, which the processor would otherwise ask for one by one.
template <int n, class Real>
SOFTCLASS_INLINE void fetch_to_write(const Real* y) {
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i)
    if (i * sizeof(Vector<Real>) % 64 == 0) __builtin_prefetch(y + i * lanes_of<Real>, 1);
}
constexpr int64_t write_ahead_bytes = 256;
constexpr int vectors_of(int lanes) { return partial_sums / lanes; }

// Sum of the exponentials over all classes, the maximum too. With `keep` they are left, scaled, in y, which may be z.
template <bool tempered, bool keep, class Real>
SOFTCLASS_INLINE Total exponentials(const Real* z, int64_t K, Real m, Real* y, const Real* next,
                                    InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr int lanes = V::lanes, vectors = vectors_of(lanes);
  Sum<V> sums[vectors];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  const V maximum = broadcast(m);
  each_vectors<Real>(K, [&](auto group, int64_t j, int count) {
    constexpr int n = decltype(group)::value;
    V x[n], e[n];
    load_vectors<n>(z + j, count, x);
    fetch_vectors<n>(next + j);
    if (keep) fetch_to_write<n>(y + j + write_ahead_bytes / int64_t(sizeof(Real)));
    scaled_exps<tempered, n>(x, maximum, beta, e);
    if constexpr (n == 1) {
      if (keep) count == lanes ? store(y + j, e[0]) : store_first(y + j, e[0], count);
      add_to(sums[j / lanes % vectors], e[0]);
    } else {
      SOFTCLASS_UNROLL
      for (int i = 0; i < n; ++i) {
        if (keep) store(y + j + i * lanes, e[i]);
        add_to(sums[i % vectors], e[i]);
      }
    }
  });
  SOFTCLASS_UNROLL
  for (auto& sum : sums) sum = unscaled(sum);
  return total_of(sums);
}

// Sum over all classes but one that has the maximum. y, unless it is null, is where the row will be written.
template <bool tempered, class Real>
SOFTCLASS_INLINE Total rest_of(const Real* z, int64_t K, Real m, const Real* next, const Real* y,
                               InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr int lanes = V::lanes, vectors = vectors_of(lanes);
  const V maximum = broadcast(m), one = broadcast(Real(1)), zero = broadcast(Real(0));
  Sum<V> sums[vectors];
  V maxima = zero, lows[vectors];  // maxima: whole numbers far below 2^24; lows: what the exponentials lack
  SOFTCLASS_UNROLL
  for (int i = 0; i < vectors; ++i) {
    clear(sums[i]);
    lows[i] = zero;
  }
  each_vectors<Real>(K, [&](auto group, int64_t j, int count) {
    constexpr int n = decltype(group)::value;
    V x[n];
    load_vectors<n>(z + j, count, x);
    fetch_vectors<n>(next + j);
    if (y) fetch_to_write<n>(y + j);
    SOFTCLASS_UNROLL
    for (int i = 0; i < n; ++i) {
      const int part = n == 1 ? int(j / lanes % vectors) : i % vectors;
      const Difference<V> d = scaled_difference<tempered>(x[i], maximum, beta);
      const ScaledExp<V> e = scaled_exp(d.value, d.error);
      const auto is_maximum = equal(x[i], maximum);
      add_to(sums[part], zero_where(is_maximum, e.value));
      lows[part] = fma(e.low, e.power, lows[part]);
      maxima = add_where(is_maximum, maxima, one);
    }
  });
  SOFTCLASS_UNROLL
  for (int i = 0; i < vectors; ++i) {
    add_to(sums[i], lows[i]);
    sums[i] = unscaled(sums[i]);
  }
  Real counts[lanes];
  store(counts, maxima);
  double count = -1.0;
  for (int l = 0; l < lanes; ++l) count += double(counts[l]);
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
  const Sum<V> rest = without_maximum(
      spread(V(), exponentials<false, false>(z, K, m, static_cast<Real*>(nullptr), next, InverseTemperature<V>())));
  const Real value = first(log_partition(broadcast(m), rest));
  double rests[V::lanes];
  store_sums(rests, rest);
  if (is_right(double(value), rests[0])) return value;
  const Total total = rest_of<false>(z, K, m, z, static_cast<const Real*>(nullptr), InverseTemperature<V>());
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
    const Total total = exponentials<tempered, true>(z, K, m, y, next, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    scale_row(y, K, reciprocal(spread(V(), total)));
  } else {
    const Total total = rest_of<tempered>(z, K, m, next, y, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    log_row<tempered>(z, K, m, log_rest(spread(V(), total)), y, beta);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
