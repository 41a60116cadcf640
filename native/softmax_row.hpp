// More classes than a block of rows can hold: one row at a time, in vectors of classes. First the maximum; then the
// exponentials and their sum, which leave the exponentials where the result goes; then the factor. The second and third
// pass find the row in a cache.
#pragma once

#include "halves.hpp"
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

// Sum of the exponentials. With `keep` they are left, scaled, in y, which may be z; else y, unless it is null, is where
// the row will be written.
template <Summed summed, bool tempered, bool keep, class Real>
SOFTCLASS_INLINE Total exponentials(const Real* z, int64_t K, Real m, Real* y, const Real* next,
                                    InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  constexpr int lanes = V::lanes, vectors = vectors_of(lanes);
  const V maximum = broadcast(m);
  Aside<V> aside = nothing_aside(broadcast(Real(0)));  // maxima: whole numbers far below 2^24
  Sum<V> sums[vectors];
  SOFTCLASS_UNROLL
  for (auto& sum : sums) clear(sum);
  each_vectors<Real>(K, [&](auto group, int64_t j, int count) {
    constexpr int n = decltype(group)::value;
    V x[n], e[n];
    load_vectors<n>(z + j, count, x);
    fetch_vectors<n>(next + j);
    if (keep) fetch_to_write<n>(y + j + write_ahead_bytes / int64_t(sizeof(Real)));
    if (!keep && y) fetch_to_write<n>(y + j);
    summands<summed, tempered, n>(x, maximum, beta, e, aside);
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
  if constexpr (summed == Summed::exact_rest) add_to(sums[0], aside.low);
  SOFTCLASS_UNROLL
  for (auto& sum : sums) sum = unscaled(sum);
  Total total = total_of(sums);
  if constexpr (summed != Summed::all) {
    Real counts[lanes];
    store(counts, aside.maxima);
    double count = -1.0;
    for (int l = 0; l < lanes; ++l) count += double(counts[l]);
    const double sum = total.sum + count, back = sum - total.sum;
    total.lost += (total.sum - (sum - back)) + (count - back);
    total.sum = sum;
  }
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
SOFTCLASS_INLINE void log_row(const Real* z, int64_t K, Real m, Sum<Vector<Real>> rest, Real* y,
                              InverseTemperature<Vector<Real>> beta) {
  using V = Vector<Real>;
  const V maximum = broadcast(m);
  const auto origin = log_origin<tempered>(maximum, rest, broadcast(-infinity<Real>), beta);
  int64_t j = 0;
  for (; j + V::lanes <= K; j += V::lanes) store(y + j, log_probability(load(z + j), origin));
  if (j < K) store_first(y + j, log_probability(load_first(z + j, int(K - j), maximum), origin), int(K - j));
}

// y = log probabilities of z, which may be y, as floats rounded to odd: for results of 16 bits. `rest` is that of the row,
// beta in double.
template <class Real>
static void log_row_to_odd(const Real* z, int64_t K, double m, double rest, Real* y, InverseTemperature<Doubles> beta) {
  const double L = first(log1p_for_double(broadcast(rest))), factor = first(beta.high), shrink = first(beta.shrink);
  for (int64_t j = 0; j < K; ++j) {
    const double d = (double(z[j]) * shrink - m * shrink) * factor, value = d - L;
    y[j] = Real(float_to_odd(value, (d - value) - L));
  }
}

// K >= 1, m finite.
template <class Real>
SOFTCLASS_INLINE Real row_log_partition(const Real* z, int64_t K, Real m, const Real* next) {
  using V = Vector<Real>;
  Real* const nowhere = nullptr;
  const InverseTemperature<V> beta = {};
  const Total total = exponentials<Summed::all, false, false>(z, K, m, nowhere, next, beta);
  const Sum<V> rest = without_maximum(spread(V(), total));
  const V value = log_partition(broadcast(m), rest);
  if (!any_doubtful(value, rest)) return first(value);
  const Total exact = exponentials<Summed::exact_rest, false, false>(z, K, m, nowhere, next, beta);
  return exact.sum != exact.sum ? not_a_number<Real>() : first(log_partition(broadcast(m), spread(V(), exact)));
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
    const Total total = exponentials<Summed::all, tempered, true>(z, K, m, y, next, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    scale_row(y, K, reciprocal(spread(V(), total)));
  } else {
    const Total total = exponentials<summed_for_logs<Real>, tempered, false>(z, K, m, y, next, beta);
    if (total.sum != total.sum) return fill_row(y, K, not_a_number<Real>());
    log_row<tempered>(z, K, m, spread(V(), total), y, beta);
  }
}

// One row to y, which may be z, whose results will be rounded to 16 bits: one by one, since 16-bit rows are rarely short.
template <bool tempered, class Real>
static void log_softmax_row_to_odd(const Real* z, int64_t K, Real* y, InverseTemperature<Vector<Real>> beta,
                                   InverseTemperature<Doubles> wide_beta) {
  const Real m = row_maximum(z, K);
  if (!is_finite(m)) return edge_row<Output::log_probabilities>(z, 1, K, y, 1);
  const Total rest = exponentials<Summed::rest, tempered, false>(z, K, m, static_cast<Real*>(nullptr), z, beta);
  if (rest.sum != rest.sum) return fill_row(y, K, not_a_number<Real>());
  log_row_to_odd(z, K, double(m), rest.sum, y, wide_beta);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
