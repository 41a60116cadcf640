// exp(d + e) for a difference d = z - m <= 0 of two logits (also -inf, NaN) and its rounding error e.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// z - m = value + error, exactly (two-sum, Knuth). Where z is infinite the error is NaN; exp_of_difference drops it.
template <class V>
struct Difference {
  V value;
  V error;
};
template <class V>
SOFTCLASS_INLINE Difference<V> difference(V z, V m) {
  const V d = z - m, b = d - z;
  return {d, (z - (d - b)) - (m + b)};
}

// (d + e) / T, with 1 / T as the unevaluated sum of two numbers: a single one would cost |d| / T roundings.
template <class V>
struct InverseTemperature {
  V high;
  V low;
};
template <class V>
SOFTCLASS_INLINE Difference<V> scaled(Difference<V> d, InverseTemperature<V> beta) {
  const V product = beta.high * d.value, zero = product - product;
  const V rounding = fma(beta.high, d.value, zero - product);
  return {product, (rounding + beta.low * d.value) + beta.high * d.error};
}

// exp(d + e) = (1 + tail) 2^n.
template <class V>
struct ReducedExp {
  V tail;
  V n;
};

// Cody and Waite reduction in two steps; the coefficients are a Remez fit of (exp(t) - 1 - t) / t^2 on
// |t| <= log(2) / 2, relative error 2^-28.3.
SOFTCLASS_INLINE ReducedExp<Floats> reduced_exp(Floats d, Floats e) {
  const Floats smallest = broadcast(-150.0f);  // exp(-104) is already half of the smallest subnormal number
  const FloatMask vanishes = less(d, smallest);
  e = zero_where(vanishes, e);
  d = greater_of(smallest, d);  // NaN stays
  const Floats n = round_to_even(d * broadcast(0x1.715476p+0f));
  Floats t = fma(n, broadcast(-0x1.62e400p-1f), d);
  t = fma(n, broadcast(-0x1.7f7d1cp-20f), t);
  t = t + e;
  Floats q = fma(t, broadcast(0x1.6a2434p-10f), broadcast(0x1.1239e2p-7f));
  q = fma(q, t, broadcast(0x1.5558f2p-5f));
  q = fma(q, t, broadcast(0x1.555492p-3f));
  q = fma(q, t, broadcast(0x1.fffffcp-2f));
  return {fma(t * t, q, t), n};
}

// The same for double; relative error of the fit 2^-57.9.
SOFTCLASS_INLINE ReducedExp<Doubles> reduced_exp(Doubles d, Doubles e) {
  const Doubles smallest = broadcast(-746.0);
  const DoubleMask vanishes = less(d, smallest);
  e = zero_where(vanishes, e);
  d = greater_of(smallest, d);
  const Doubles n = round_to_even(d * broadcast(0x1.71547652b82fep+0));
  Doubles t = fma(n, broadcast(-0x1.62e42fee00000p-1), d);
  t = fma(n, broadcast(-0x1.a39ef35793c76p-33), t);
  t = t + e;
  Doubles q = fma(t, broadcast(0x1.ad7f767dc8f4ap-26), broadcast(0x1.28ad69a95aec3p-22));
  q = fma(q, t, broadcast(0x1.71df253e8750ap-19));
  q = fma(q, t, broadcast(0x1.a0199a15d32f0p-16));
  q = fma(q, t, broadcast(0x1.a01a012a67194p-13));
  q = fma(q, t, broadcast(0x1.6c16c18426cb0p-10));
  q = fma(q, t, broadcast(0x1.1111111127ba5p-7));
  q = fma(q, t, broadcast(0x1.555555555088ap-5));
  q = fma(q, t, broadcast(0x1.55555555554fap-3));
  q = fma(q, t, broadcast(0x1.000000000000ap-1));
  return {fma(t * t, q, t), n};
}

SOFTCLASS_INLINE Floats one_like(Floats) { return broadcast(1.0f); }
SOFTCLASS_INLINE Doubles one_like(Doubles) { return broadcast(1.0); }

// At most 1.01 units in the last place for float, 1.03 for double.
template <class V>
SOFTCLASS_INLINE V exp_of_difference(V d, V e) {
  const ReducedExp<V> x = reduced_exp(d, e);
  return times_power_of_two(one_like(d) + x.tail, x.n);
}

// The same number, and what its last addition rounded away: together right to about half a unit. A sum of few terms
// needs it where its logarithm shall be right to one unit.
template <class V>
struct ExpPair {
  V value;
  V low;
};
template <class V>
SOFTCLASS_INLINE ExpPair<V> exp_pair_of_difference(V d, V e) {
  const ReducedExp<V> x = reduced_exp(d, e);
  const V near_one = one_like(d) + x.tail, low = x.tail - (near_one - one_like(d));
  return {times_power_of_two(near_one, x.n), times_power_of_two(low, x.n)};
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
