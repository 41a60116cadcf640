// What the kernels of the loss share: doubles beside vectors of logits, sums that lose nothing, and what follows from the
// sum of a row. A row a lane.
#pragma once

#include "exp.hpp"
#include "log1p.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int most_lanes = 16;  // of any target

// One double a lane of V: two vectors for floats, one for doubles.
template <class V>
constexpr int halves = V::lanes / Doubles::lanes;
template <class V>
struct Wide {
  Doubles part[halves<V>];
};

template <class V>
SOFTCLASS_INLINE V zero_of() {
  return broadcast_as(V{}, 0);
}
SOFTCLASS_INLINE Wide<Floats> widen(Floats x) { return {{low_half(x), high_half(x)}}; }
SOFTCLASS_INLINE Wide<Doubles> widen(Doubles x) { return {{x}}; }
SOFTCLASS_INLINE Floats narrow(Wide<Floats> x) { return narrow(x.part[0], x.part[1]); }
SOFTCLASS_INLINE Doubles narrow(Wide<Doubles> x) { return x.part[0]; }

template <class V>
SOFTCLASS_INLINE Wide<V> load_wide(const double* p) {
  Wide<V> x;
  for (int h = 0; h < halves<V>; ++h) x.part[h] = load(p + h * Doubles::lanes);
  return x;
}
template <class V>
SOFTCLASS_INLINE void store_wide(double* p, Wide<V> x) {
  for (int h = 0; h < halves<V>; ++h) store(p + h * Doubles::lanes, x.part[h]);
}

// An unevaluated sum: `low` is what the roundings of `high` have lost.
template <class V>
struct Pair {
  V high;
  V low;
};
template <class V>
SOFTCLASS_INLINE Pair<V> two_sum(V a, V b) {
  const V sum = a + b, back = sum - a;
  return {sum, (a - (sum - back)) + (b - back)};
}
template <class V>
SOFTCLASS_INLINE Pair<V> plus(Pair<V> a, V b) {
  const Pair<V> sum = two_sum(a.high, b);
  return {sum.high, a.low + sum.low};
}
template <class V>
SOFTCLASS_INLINE Pair<V> plus(Pair<V> a, Pair<V> b) {
  const Pair<V> sum = plus(a, b.high);
  return {sum.high, sum.low + b.low};
}

// Sum of the exponentials of a row without its maximum, as scaled_exp gives them: classes that equal the maximum are
// counted, and one of them is not in the sum. Floats are summed as doubles, doubles as pairs, so that only the exponentials
// themselves are rounded.
template <class V>
struct RestSum {
  Wide<V> sum;
  V low;
  V ties;
};
SOFTCLASS_INLINE void clear(RestSum<Floats>& rest) {
  rest = {{{broadcast(0.0), broadcast(0.0)}}, broadcast(0.0f), broadcast(0.0f)};
}
SOFTCLASS_INLINE void clear(RestSum<Doubles>& rest) { rest = {{{broadcast(0.0)}}, broadcast(0.0), broadcast(0.0)}; }

// At a maximum e.low is 0.
SOFTCLASS_INLINE void add(RestSum<Floats>& rest, ScaledExp<Floats> e, FloatMask is_maximum) {
  const Wide<Floats> value = widen(zero_where(is_maximum, e.value));
  rest.sum = {{rest.sum.part[0] + value.part[0], rest.sum.part[1] + value.part[1]}};
  rest.low = fma(e.low, e.power, rest.low);
  rest.ties = add_where(is_maximum, rest.ties, broadcast(1.0f));
}
SOFTCLASS_INLINE void add(RestSum<Doubles>& rest, ScaledExp<Doubles> e, DoubleMask is_maximum) {
  const Pair<Doubles> sum = two_sum(rest.sum.part[0], zero_where(is_maximum, e.value));
  rest.sum = {{sum.high}};
  rest.low = rest.low + fma(e.low, e.power, sum.low);
  rest.ties = add_where(is_maximum, rest.ties, broadcast(1.0));
}

// s1 of the row state, and L = log(1 + s1).
template <class V>
struct Rest {
  Wide<V> sum;
  Wide<V> log;
  Wide<V> log_low;  // of doubles: what the logarithm lacks
};
SOFTCLASS_INLINE Rest<Floats> total(const RestSum<Floats>& rest) {
  const Wide<Floats> low = widen(rest.low), ties = widen(rest.ties - broadcast(1.0f));
  Rest<Floats> all;
  for (int h = 0; h < 2; ++h) {
    all.sum.part[h] = fma(rest.sum.part[h] + low.part[h], broadcast(1.0 / exp_scale<Floats>), ties.part[h]);
    all.log.part[h] = log1p_for_float(all.sum.part[h]);
  }
  return all;
}
SOFTCLASS_INLINE Rest<Doubles> total(const RestSum<Doubles>& rest) {
  const Doubles down = broadcast(1.0 / exp_scale<Doubles>);
  const Pair<Doubles> all = plus(Pair<Doubles>{rest.sum.part[0] * down, rest.low * down}, rest.ties - broadcast(1.0));
  const Pair<Doubles> sum = two_sum(all.high, all.low);
  const LogPair log = log1p_pair(sum.high, sum.low);
  return {{{sum.high}}, {{log.high}}, {{log.low}}};
}

// A factor of scaled exponentials that is multiplied by 2^-64 itself must not become subnormal; such a small one is
// multiplied after that.
template <class V>
SOFTCLASS_INLINE V unscaling() {
  return broadcast_as(V{}, 1.0 / exp_scale<V>);
}
template <class V>
SOFTCLASS_INLINE bool any_is_tiny(V factor) {
  const V zero = zero_of<V>(), size = greater_of(factor, zero - factor);
  const V smallest = broadcast_as(V{}, V::lanes == Floats::lanes ? 0x1p-61 : 0x1p-765);
  return bits_of(both(less(size, smallest), less(zero, size))) != 0;
}

// The loss L + (m - t) of a row with one target: both parts are at least 0. Of doubles rounded little more than once.
SOFTCLASS_INLINE Wide<Floats> loss_of(const Rest<Floats>& rest, Floats t, Floats m) {
  const Wide<Floats> a = widen(t), b = widen(m), x = rest.log;
  return {{x.part[0] - (a.part[0] - b.part[0]), x.part[1] - (a.part[1] - b.part[1])}};
}
SOFTCLASS_INLINE Wide<Doubles> loss_of(const Rest<Doubles>& rest, Doubles t, Doubles m) {
  const Difference<Doubles> d = difference(t, m);
  const Difference<Doubles> sum = difference(rest.log.part[0], d.value);
  const Doubles low = sum.error + (rest.log_low.part[0] - d.error);
  const DoubleMask is_finite = equal(d.value - d.value, broadcast(0.0));
  return {{sum.value + zero_where(none_of(is_finite), low)}};
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
