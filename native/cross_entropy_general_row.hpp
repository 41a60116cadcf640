// Any target distribution, a row at a time; see cross_entropy_general.hpp for the formulas. q is made in double, some
// classes at a time, whenever it is needed.
#pragma once

#include "cross_entropy.hpp"
#include "cross_entropy_general.hpp"
#include "cross_entropy_row.hpp"
#include "row_state.hpp"
#include "staging.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int share_classes = 512;  // made at once; a multiple of the partial sums

// The distribution of one row.
struct RowShares {
  const CrossEntropy& call;
  int64_t row;
  Smoothing smoothing;
};
// q of classes begin ... begin + count - 1, and behind them zeros up to a whole number of partial sums.
static void make_shares(const RowShares& shares, int64_t begin, int count, double* q) {
  if (shares.call.has_shares) {
    read_classes(shares.call.layout, CrossEntropy::shares, shares.row, begin, count, q);
  } else {
    for (int j = 0; j < count; ++j) q[j] = 0.0;
    const int64_t place = shares.call.targets[shares.row] - begin;
    if (place >= 0 && place < count) q[place] = 1.0;
  }
  for (int j = 0; j < count; ++j) q[j] = __builtin_fma(q[j], shares.smoothing.keep, shares.smoothing.share);
  for (int j = count; j % row_partials<float> != 0; ++j) q[j] = 0.0;
}

template <class Real>
static int64_t first_place_of(const Real* z, int64_t K, Real value) {
  const Vector<Real> wanted = broadcast_as(Vector<Real>{}, value);
  int64_t j = 0;
  for (; j + lanes_of<Real> <= K; j += lanes_of<Real>)
    if (bits_of(equal(load(z + j), wanted)) != 0) break;
  while (j < K && z[j] != value) ++j;
  return j;
}

// Element j of a row goes to lane j mod row_partials.
template <class Real>
struct RowWideSum {
  WideSum<Vector<Real>> part[row_vectors<Real>];
};
template <class Real>
SOFTCLASS_INLINE void clear(RowWideSum<Real>& sum) {
  for (int v = 0; v < row_vectors<Real>; ++v) clear(sum.part[v]);
}
template <class Real>
SOFTCLASS_INLINE double rounded(const RowWideSum<Real>& sum) {
  constexpr int per_vector = halves<Vector<Real>>;
  Pair<double> all[row_partials<Real>];
  for (int v = 0; v < row_vectors<Real>; ++v)
    for (int h = 0; h < per_vector; ++h) {
      double high[Doubles::lanes], low[Doubles::lanes];
      store(high, sum.part[v].part[h].high);
      store(low, sum.part[v].part[h].low);
      for (int l = 0; l < Doubles::lanes; ++l) all[(v * per_vector + h) * Doubles::lanes + l] = {high[l], low[l]};
    }
  for (int half = row_partials<Real> / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) all[j] = plus(all[j], all[j + half]);
  return all[0].high - all[0].high == 0.0 ? all[0].high + all[0].low : all[0].high;
}

struct RowShareSums {
  double of_first;
  double others;
  double depth;
};

// z is null where the depth is not wanted.
template <class Real>
static RowShareSums sum_shares(const Real* z, int64_t K, Real maximum, int64_t first, const RowShares& shares) {
  using V = Vector<Real>;
  alignas(64) double q[share_classes + most_lanes];
  const V m = broadcast_as(V{}, maximum);
  RowWideSum<Real> depth, others;
  clear(depth);
  clear(others);
  double of_first = 0.0;
  for (int64_t begin = 0; begin < K; begin += share_classes) {
    const int count = int(K - begin < share_classes ? K - begin : share_classes);
    make_shares(shares, begin, count, q);
    for (int j = 0; z && j < count; j += lanes_of<Real>) {
      const V x = load_first(z + begin + j, count - j < lanes_of<Real> ? count - j : lanes_of<Real>, m);
      add_depth(depth.part[j / lanes_of<Real> % row_vectors<Real>], load_wide<V>(q + j), x, m);
    }
    if (first >= begin && first < begin + count) {
      of_first = q[first - begin];
      q[first - begin] = 0.0;
    }
    for (int j = 0; j < count; j += lanes_of<Real>) {
      WideSum<V>& sum = others.part[j / lanes_of<Real> % row_vectors<Real>];
      for (int h = 0; h < halves<V>; ++h) sum.part[h] = plus(sum.part[h], load(q + j + h * Doubles::lanes));
    }
  }
  return {of_first, rounded(others), rounded(depth)};
}

// gradient = scale (T p - q) from kept exponentials, in their place or elsewhere.
template <class Real>
static void shares_gradient_row(const Real* kept, int64_t K, int64_t first, const RowShares& shares,
                                const RowShareSums& sums, double s1, double scale, Real* gradient) {
  using V = Vector<Real>;
  alignas(64) double q[share_classes + most_lanes];
  const double total = sums.others + sums.of_first, share = total / (1.0 + s1);
  const Doubles factor = broadcast(share / exp_scale<V>), by = broadcast(scale);
  for (int64_t begin = 0; begin < K; begin += share_classes) {
    const int count = int(K - begin < share_classes ? K - begin : share_classes);
    make_shares(shares, begin, count, q);
    for (int j = 0; j < count; j += lanes_of<Real>) {
      const int lanes = count - j < lanes_of<Real> ? count - j : lanes_of<Real>;
      Wide<V> g = widen(load_first(kept + begin + j, lanes, zero_of<V>()));
      for (int h = 0; h < halves<V>; ++h) g.part[h] = by * (g.part[h] * factor - load(q + j + h * Doubles::lanes));
      store_first(gradient + begin + j, narrow(g), lanes);
    }
  }
  if (2.0 * sums.others < total) gradient[first] = Real(scale * (sums.others - s1 * share));
}

// One logit is +inf: all probability is there.
template <class Real>
static RowLoss infinite_shares_row(const Real* z, int64_t K, const RowShares& shares, double scale, Real* gradient) {
  const int64_t place = only_infinity(z, K);
  if (place < 0) {
    if (gradient) fill_row(gradient, K, not_a_number<Real>());
    return unknown_loss(__builtin_nan(""));
  }
  const RowShareSums sums = sum_shares(static_cast<const Real*>(nullptr), K, Real(0), place, shares);
  if (gradient) {
    fill_row(gradient, K, Real(0));
    shares_gradient_row(gradient, K, place, shares, sums, 0.0, scale, gradient);
    gradient[place] = Real(scale * sums.others);
  }
  return {infinity<double>, 0.0, sums.others > 0.0 ? -infinity<double> : 0.0, 0.0, 1.0};
}

// A row of any distribution; see index_row.
template <Wanted wanted, class Real>
static RowLoss shares_row(const Real* z, int64_t K, const RowShares& shares, double scale, Real* gradient,
                          const double* known, const Real* ahead) {
  const Real m = wanted == Wanted::gradient ? Real(known[0]) : row_maximum(z, K);
  if (!is_finite(m)) return infinite_shares_row(z, K, shares, scale, gradient);
  const int64_t first = first_place_of(z, K, m);
  const RowShareSums sums = sum_shares(wanted == Wanted::gradient ? nullptr : z, K, m, first, shares);
  RowRest rest;
  if constexpr (wanted == Wanted::gradient) {
    keep_row(z, K, m, gradient);
    rest = {known[1], 0.0};
  } else {
    RowPartials<Real> partials;
    clear(partials);
    sum_row<wanted == Wanted::both>(z, K, m, gradient, ahead, partials);
    rest = total(partials);
  }
  if constexpr (wanted != Wanted::value) shares_gradient_row(gradient, K, first, shares, sums, rest.sum, scale, gradient);
  const double all = sums.others + sums.of_first;
  return {double(m), rest.sum, -sums.depth, all * rest.low / (1.0 + rest.sum), all};
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
