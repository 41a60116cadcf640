// Loss and gradient of a block for any target distribution q: smoothed class indices, or rows of shares. All that depends
// on q is computed in double.
//
//   loss = T L + sum of q_c (m - z_c),   gradient = scale (T p_c - q_c),   T = sum of q
//
// At the maximum k, where p is near 1 and q often is too, T p_k - q_k is formed as (T - q_k) - T s1 / (1 + s1).
#pragma once

#include "cross_entropy_tiles.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// (1 - epsilon) q + epsilon / K
struct Smoothing {
  double keep;
  double share;
};

// q of a block, class by class: of class indices, or of shares that lie class by class, `lanes` doubles a class.
template <class V>
struct IndexShares {
  decltype(load_picks(V{}, nullptr)) picked;
  Smoothing smoothing;
};
template <class V>
struct GivenShares {
  const double* q;
  Smoothing smoothing;
};
template <class V>
SOFTCLASS_INLINE Wide<V> share_of(const IndexShares<V>& shares, int c) {
  const V hit = select(picks(shares.picked, c), broadcast_as(V{}, 1), zero_of<V>());
  Wide<V> q = widen(hit);
  for (int h = 0; h < halves<V>; ++h)
    q.part[h] = fma(q.part[h], broadcast(shares.smoothing.keep), broadcast(shares.smoothing.share));
  return q;
}
template <class V>
SOFTCLASS_INLINE Wide<V> share_of(const GivenShares<V>& shares, int c) {
  Wide<V> q = load_wide<V>(shares.q + c * V::lanes);
  for (int h = 0; h < halves<V>; ++h)
    q.part[h] = fma(q.part[h], broadcast(shares.smoothing.keep), broadcast(shares.smoothing.share));
  return q;
}

template <class V>
struct WideSum {
  Pair<Doubles> part[halves<V>];
};
template <class V>
SOFTCLASS_INLINE void clear(WideSum<V>& sum) {
  for (int h = 0; h < halves<V>; ++h) sum.part[h] = {broadcast(0.0), broadcast(0.0)};
}
// An infinite sum has a low part that is not a number.
SOFTCLASS_INLINE Doubles rounded(Pair<Doubles> sum) {
  return select(equal(sum.high - sum.high, broadcast(0.0)), sum.high + sum.low, sum.high);
}

// What the pass over the classes leaves: the first class that has the maximum and its q, the sum of all other q, the sum
// of q (m - z).
template <class V>
struct ShareSums {
  V first;
  Wide<V> of_first;
  WideSum<V> others;
  WideSum<V> depth;
};
template <class V>
SOFTCLASS_INLINE void clear(ShareSums<V>& sums) {
  sums.first = zero_of<V>();
  sums.of_first = widen(zero_of<V>());
  clear(sums.others);
  clear(sums.depth);
}

// q (m - z); 0 where q is, also if z is -inf.
SOFTCLASS_INLINE void add_depth(WideSum<Floats>& sum, const Wide<Floats>& q, Floats z, Floats m) {
  const Wide<Floats> a = widen(m), b = widen(z);
  for (int h = 0; h < 2; ++h) {
    const DoubleMask is_absent = equal(q.part[h], broadcast(0.0));
    sum.part[h] = plus(sum.part[h], zero_where(is_absent, q.part[h] * (a.part[h] - b.part[h])));
  }
}
SOFTCLASS_INLINE void add_depth(WideSum<Doubles>& sum, const Wide<Doubles>& q, Doubles z, Doubles m) {
  const Doubles zero = broadcast(0.0);
  const Difference<Doubles> d = difference(m, z);
  const Doubles error = select(equal(d.value - d.value, zero), d.error, zero), high = q.part[0] * d.value;
  const Doubles low = fma(q.part[0], error, fma(q.part[0], d.value, zero - high));
  const DoubleMask is_absent = equal(q.part[0], zero), is_finite = equal(high - high, zero);
  sum.part[0] = plus(sum.part[0], Pair<Doubles>{zero_where(is_absent, high),
                                                zero_where(either(is_absent, none_of(is_finite)), low)});
}

// A mask of V as numbers, 1 and 0, for vectors of double.
template <class V>
SOFTCLASS_INLINE Wide<V> ones_where(decltype(equal(V{}, V{})) mask) {
  return widen(select(mask, broadcast_as(V{}, 1), zero_of<V>()));
}

template <Wanted wanted, class V, class Shares>
SOFTCLASS_INLINE void shares_pass(V* z, int K, V m, const Shares& shares, RestSum<V>& sum, ShareSums<V>& sums) {
  auto seen = less(m, m);  // no lane
  for (int c = 0; c < K; ++c) {
    const Difference<V> d = difference(z[c], m);
    const ScaledExp<V> e = scaled_exp(d.value, d.error);
    const auto is_maximum = equal(z[c], m), is_first = both(is_maximum, none_of(seen));
    const Wide<V> q = share_of(shares, c), flags = ones_where<V>(is_first);
    seen = either(seen, is_maximum);
    sums.first = select(is_first, broadcast_as(V{}, c), sums.first);
    add(sum, e, is_maximum);
    if constexpr (wanted != Wanted::gradient) add_depth(sums.depth, q, z[c], m);
    for (int h = 0; h < halves<V>; ++h) {
      const DoubleMask is_other = equal(flags.part[h], broadcast(0.0));
      sums.others.part[h] = plus(sums.others.part[h], zero_where(none_of(is_other), q.part[h]));
      sums.of_first.part[h] = select(is_other, sums.of_first.part[h], q.part[h]);
    }
    if constexpr (wanted != Wanted::value) z[c] = e.value;
  }
}

template <class V, class Shares>
SOFTCLASS_INLINE void shares_gradient(V* z, int K, const Shares& shares, const ShareSums<V>& sums, const Wide<V>& s1,
                                      const BlockRows& rows) {
  const Doubles one = broadcast(1.0), zero = broadcast(0.0);
  const Wide<V> scale = load_wide<V>(rows.scale), omega = load_wide<V>(rows.omega);
  Wide<V> factor, of_first;
  DoubleMask is_near[halves<V>], is_gap[halves<V>];
  for (int h = 0; h < halves<V>; ++h) {
    const Doubles others = rounded(sums.others.part[h]), total = others + sums.of_first.part[h];
    const Doubles share = total / (one + s1.part[h]);
    factor.part[h] = share * broadcast(1.0 / exp_scale<V>);
    of_first.part[h] = scale.part[h] * (others - s1.part[h] * share);
    is_near[h] = less(others + others, total);
    is_gap[h] = equal(omega.part[h], zero);
  }
  for (int c = 0; c < K; ++c) {
    const Wide<V> e = widen(z[c]), q = share_of(shares, c);
    const Wide<V> flags = ones_where<V>(equal(sums.first, broadcast_as(V{}, c)));
    Wide<V> g;
    for (int h = 0; h < halves<V>; ++h) {
      const DoubleMask is_special = both(equal(flags.part[h], one), is_near[h]);
      g.part[h] = select(is_special, of_first.part[h], scale.part[h] * (e.part[h] * factor.part[h] - q.part[h]));
      g.part[h] = zero_where(is_gap[h], g.part[h]);
    }
    z[c] = narrow(g);
  }
}

template <Wanted wanted, class V, class Shares>
SOFTCLASS_INLINE void shares_block(V* z, int K, V m, V raw_m, const Shares& shares, const BlockRows& rows) {
  RestSum<V> sum;
  ShareSums<V> sums;
  clear(sum);
  clear(sums);
  shares_pass<wanted>(z, K, m, shares, sum, sums);
  if constexpr (wanted == Wanted::gradient) {
    shares_gradient(z, K, shares, sums, known_state<V>(rows).s1, rows);
  } else {
    const Rest<V> rest = total(sum);
    Wide<V> loss;
    for (int h = 0; h < halves<V>; ++h) {
      const Doubles total_share = rounded(sums.others.part[h]) + sums.of_first.part[h];
      loss.part[h] = fma(rest.log.part[h], total_share, rounded(sums.depth.part[h]));
    }
    store_losses<V>(rows, loss);
    if (rows.states) store_states(rows.states, raw_m + zero_of<V>(), rest.sum);
    if constexpr (wanted == Wanted::both) shares_gradient(z, K, shares, sums, rest.sum, rows);
  }
}

// Any block of any targets; q is null for class indices.
template <Wanted wanted, class Tile>
static void general_block(const Tile& tile, int K, bool has_gaps, const BlockRows& rows, Smoothing smoothing,
                          const double* q, Vector<typename Tile::Real>* z) {
  using V = Vector<typename Tile::Real>;
  load_tile(tile, K, z);
  V raw;
  const V m = prepared<wanted>(z, K, has_gaps, rows, raw);
  if (q)
    shares_block<wanted>(z, K, m, raw, GivenShares<V>{q, smoothing}, rows);
  else
    shares_block<wanted>(z, K, m, raw, IndexShares<V>{load_picks(V{}, rows.picks), smoothing}, rows);
  if constexpr (wanted != Wanted::value) store_tile(tile, K, z);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
