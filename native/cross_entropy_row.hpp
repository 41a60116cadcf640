// A row at a time, for many classes: maximum, sum of the exponentials, and where a gradient is wanted a last sweep over
// them. All but the first sweep find the row in a cache.
#pragma once

#include "cross_entropy_vertical.hpp"

#if defined(__GNUC__)
#define SOFTCLASS_PREFETCH(p) __builtin_prefetch(p, 0, 2)
#else
#define SOFTCLASS_PREFETCH(p) ((void)0)
#endif

namespace softclass {
namespace SOFTCLASS_TARGET {

// Element j of a row goes to partial sum j mod row_partials, whatever the vectors.
template <class Real>
constexpr int row_partials = 64 / int(sizeof(Real));
template <class Real>
constexpr int row_vectors = row_partials<Real> / lanes_of<Real>;
template <class Real>
constexpr Real negative_infinity = -Real(__builtin_inff());

// The largest element; NaN only if the first one of a partial row is NaN, which a sum finds anyway. -0 becomes +0.
template <class Real>
static Real row_maximum(const Real* z, int64_t K) {
  using V = Vector<Real>;
  constexpr int step = lanes_of<Real>, ways = 4;
  const V nothing = broadcast_as(V{}, negative_infinity<Real>);
  V best[ways] = {nothing, nothing, nothing, nothing};
  int64_t j = 0;
  for (; j + ways * step <= K; j += ways * step)
    for (int w = 0; w < ways; ++w) best[w] = greater_of(load(z + j + w * step), best[w]);
  for (; j + step <= K; j += step) best[0] = greater_of(load(z + j), best[0]);
  if (j < K) best[1] = greater_of(load_first(z + j, int(K - j), nothing), best[1]);
  return largest(greater_of(greater_of(best[0], best[1]), greater_of(best[2], best[3]))) + Real(0);
}

// s1 of the row state as an unevaluated sum.
struct RowRest {
  double sum;
  double low;
};

template <class Real>
struct RowPartials {
  RestSum<Vector<Real>> part[row_vectors<Real>];
};
template <class Real>
SOFTCLASS_INLINE void clear(RowPartials<Real>& partials) {
  for (int v = 0; v < row_vectors<Real>; ++v) clear(partials.part[v]);
}

template <class Real>
SOFTCLASS_INLINE double ties_of(const RowPartials<Real>& partials) {
  Real lane[lanes_of<Real>];
  double ties = 0.0;
  for (int v = 0; v < row_vectors<Real>; ++v) {
    store(lane, partials.part[v].ties);
    for (int l = 0; l < lanes_of<Real>; ++l) ties += double(lane[l]);
  }
  return ties;
}
SOFTCLASS_INLINE RowRest total(const RowPartials<float>& partials) {
  Doubles all[row_partials<float> / Doubles::lanes];
  for (int v = 0; v < row_vectors<float>; ++v) {
    const Wide<Floats> low = widen(partials.part[v].low);
    for (int h = 0; h < 2; ++h) all[2 * v + h] = partials.part[v].sum.part[h] + low.part[h];
  }
  return {tree_sum(all, row_partials<float>) / exp_scale<Floats> + (ties_of(partials) - 1.0), 0.0};
}
SOFTCLASS_INLINE RowRest total(const RowPartials<double>& partials) {
  Pair<double> all[row_partials<double>];
  for (int v = 0; v < row_vectors<double>; ++v) {
    double high[Doubles::lanes], low[Doubles::lanes];
    store(high, partials.part[v].sum.part[0]);
    store(low, partials.part[v].low);
    for (int l = 0; l < Doubles::lanes; ++l) all[v * Doubles::lanes + l] = {high[l], low[l]};
  }
  for (int half = row_partials<double> / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) all[j] = plus(all[j], all[j + half]);
  constexpr double down = 1.0 / exp_scale<Doubles>;
  const Pair<double> sum = plus(Pair<double>{all[0].high * down, all[0].low * down}, ties_of(partials) - 1.0);
  const Pair<double> rest = two_sum(sum.high, sum.low);
  return {rest.high, rest.low};
}

template <bool Keep, class Real>
SOFTCLASS_INLINE void sum_step(RestSum<Vector<Real>>& sum, Vector<Real> z, Vector<Real> m, Real* kept, int count) {
  const Difference<Vector<Real>> d = difference(z, m);
  const ScaledExp<Vector<Real>> e = scaled_exp(d.value, d.error);
  add(sum, e, equal(z, m));
  if constexpr (Keep) {
    if (count == lanes_of<Real>)
      store(kept, e.value);
    else
      store_first(kept, e.value, count);
  }
}

// Adds exp(z_j - maximum); `maximum` is finite. With Keep they are also stored, scaled, perhaps where z lies. `ahead` is the row
// that comes next: it is brought near meanwhile.
template <bool Keep, class Real>
static void sum_row(const Real* z, int64_t K, Real maximum, Real* kept, const Real* ahead, RowPartials<Real>& partials) {
  using V = Vector<Real>;
  constexpr int step = lanes_of<Real>, n = row_vectors<Real>;
  const V m = broadcast_as(V{}, maximum), nothing = broadcast_as(V{}, negative_infinity<Real>);
  RowPartials<Real> sums = partials;
  int64_t j = 0;
  for (; j + n * step <= K; j += n * step) {
    SOFTCLASS_PREFETCH(ahead + j);
    for (int v = 0; v < n; ++v)
      sum_step<Keep>(sums.part[v], load(z + j + v * step), m, Keep ? kept + j + v * step : nullptr, step);
  }
  for (int v = 0; j < K; ++v, j += step) {
    const int count = K - j < step ? int(K - j) : step;
    sum_step<Keep>(sums.part[v], load_first(z + j, count, nothing), m, Keep ? kept + j : nullptr, count);
  }
  partials = sums;
}

// values[j] = values[j] * factor
template <class Real>
static void scale_row(const Real* values, int64_t K, Real factor, Real* out) {
  using V = Vector<Real>;
  constexpr int step = lanes_of<Real>;
  const V f = broadcast_as(V{}, factor);
  int64_t j = 0;
  for (; j + step <= K; j += step) store(out + j, load(values + j) * f);
  if (j < K) store_first(out + j, load_first(values + j, int(K - j), zero_of<V>()) * f, int(K - j));
}

template <class Real>
SOFTCLASS_INLINE void fill_row(Real* out, int64_t K, Real value) {
  for (int64_t j = 0; j < K; ++j) out[j] = value;
}

// A row whose maximum is infinite: exactly one +inf takes all; in every other case nothing is known.
template <class Real>
static int64_t only_infinity(const Real* z, int64_t K) {
  int64_t place = -1;
  for (int64_t j = 0; j < K; ++j) {
    if (z[j] != z[j]) return -1;
    if (z[j] > 0 && z[j] - z[j] != 0) {
      if (place >= 0) return -1;
      place = j;
    }
  }
  return place;
}

// What a row leaves for its loss, total log(1 + s1) - depth + correction, and for a later gradient.
struct RowLoss {
  double maximum;
  double s1;
  double depth;       // t - maximum; of a distribution: minus the sum of q (maximum - z)
  double correction;  // of doubles: what s1 and depth have lost
  double total;       // sum of q
};

SOFTCLASS_INLINE RowLoss unknown_loss(double maximum) {
  const double nan = __builtin_nan("");
  return {maximum, nan, nan, 0.0, 1.0};
}

template <class Real>
static RowLoss infinite_row(const Real* z, int64_t K, Real m, int64_t target, double scale, Real* gradient) {
  const int64_t place = only_infinity(z, K);
  if (gradient) {
    fill_row(gradient, K, place < 0 ? Real(__builtin_nan("")) : Real(0));
    if (place >= 0 && place != target) {
      gradient[place] = Real(scale);
      gradient[target] = Real(0.0 - scale);
    }
  }
  if (place < 0) return unknown_loss(double(m));
  const double infinity = __builtin_inf();
  return {infinity, 0.0, place == target ? 0.0 : -infinity, 0.0, 1.0};
}

SOFTCLASS_INLINE RowLoss index_loss(float maximum, float t, RowRest rest) {
  return {double(maximum), rest.sum, double(t) - double(maximum), 0.0, 1.0};
}
SOFTCLASS_INLINE RowLoss index_loss(double maximum, double t, RowRest rest) {
  const Pair<double> depth = two_sum(t, -maximum);
  const double lost = depth.high - depth.high == 0.0 ? depth.low : 0.0;
  return {maximum, rest.sum, depth.high, rest.low / (1.0 + rest.sum) - lost, 1.0};
}

// Gradient of a class index from the kept exponentials, in their place.
template <class Real>
static void index_gradient_row(const Real* kept, int64_t K, int64_t target, const RowLoss& row, double scale,
                               Real* gradient) {
  constexpr double down = 1.0 / exp_scale<Vector<Real>>;
  const double r = 1.0 / (1.0 + row.s1), factor = scale * r, e = double(kept[target]) * down;
  const double of_target = row.depth == 0.0 ? 0.0 - factor * row.s1 : scale * (e * r - 1.0);
  if (any_is_tiny(broadcast_as(Vector<Real>{}, Real(factor)))) {
    scale_row(kept, K, Real(down), gradient);
    scale_row(gradient, K, Real(factor), gradient);
  } else {
    scale_row(kept, K, Real(factor) * Real(down), gradient);
  }
  gradient[target] = Real(of_target);
}

// The scaled exponentials alone.
template <class Real>
static void keep_row(const Real* z, int64_t K, Real maximum, Real* kept) {
  using V = Vector<Real>;
  constexpr int step = lanes_of<Real>;
  const V m = broadcast_as(V{}, maximum);
  for (int64_t j = 0; j < K; j += step) {
    const int count = K - j < step ? int(K - j) : step;
    const Difference<V> d = difference(load_first(z + j, count, m), m);
    store_first(kept + j, scaled_exp(d.value, d.error).value, count);
  }
}

// A row of a class index. The gradient may be where z lies. `known`: its state, for Wanted::gradient.
template <Wanted wanted, class Real>
static RowLoss index_row(const Real* z, int64_t K, int64_t target, double scale, Real* gradient, const double* known,
                         const Real* ahead) {
  const Real m = wanted == Wanted::gradient ? Real(known[0]) : row_maximum(z, K), t = z[target];
  if (!(m - m == 0)) return infinite_row(z, K, m, target, scale, gradient);
  RowPartials<Real> sums;
  clear(sums);
  RowLoss row;
  if constexpr (wanted == Wanted::gradient) {
    keep_row(z, K, m, gradient);
    row = index_loss(m, t, RowRest{known[1], 0.0});
  } else {
    sum_row<wanted == Wanted::both>(z, K, m, gradient, ahead, sums);
    row = index_loss(m, t, total(sums));
  }
  if constexpr (wanted != Wanted::value) index_gradient_row(gradient, K, target, row, scale, gradient);
  return row;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
