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

// (z - m) / T, with 1 / T as the unevaluated sum of two numbers: a single one would cost |z - m| / T roundings. Where T
// is above 1 the logits are halved and 1 / T is doubled, so that a difference beyond the largest number comes back.
template <class V>
struct InverseTemperature {
  V high, low;  // 1 / (T shrink)
  V shrink;     // 1 or 1/2
};
template <class V>
SOFTCLASS_INLINE Difference<V> scaled_difference(V z, V m, InverseTemperature<V> beta) {
  const Difference<V> d = difference(z * beta.shrink, m * beta.shrink);
  const V product = beta.high * d.value, zero = product - product;
  const V rounding = fma(beta.high, d.value, zero - product);
  return {product, (rounding + beta.low * d.value) + beta.high * d.error};
}
template <bool tempered, class V>
SOFTCLASS_INLINE Difference<V> scaled_difference(V z, V m, InverseTemperature<V> beta) {
  if constexpr (tempered) return scaled_difference(z, m, beta);
  return difference(z, m);
}

// (exp(t) - 1) / t for |t| <= log(2) / 2. What follows the first 1 is a Remez fit of (exp(t) - 1 - t) / t^2, relative
// error 2^-28.3. Horner's rule to the end is a unit in eight better, and an operation shorter, than t + t^2 times the
// fit.
SOFTCLASS_INLINE Floats exp_series(Floats t) {
  Floats q = fma(t, broadcast(0x1.6a2434p-10f), broadcast(0x1.1239e2p-7f));
  q = fma(q, t, broadcast(0x1.5558f2p-5f));
  q = fma(q, t, broadcast(0x1.555492p-3f));
  q = fma(q, t, broadcast(0x1.fffffcp-2f));
  return fma(q, t, broadcast(1.0f));
}
// The same for double, 2^-57.9.
SOFTCLASS_INLINE Doubles exp_series(Doubles t) {
  Doubles q = fma(t, broadcast(0x1.ad7f767dc8f4ap-26), broadcast(0x1.28ad69a95aec3p-22));
  q = fma(q, t, broadcast(0x1.71df253e8750ap-19));
  q = fma(q, t, broadcast(0x1.a0199a15d32f0p-16));
  q = fma(q, t, broadcast(0x1.a01a012a67194p-13));
  q = fma(q, t, broadcast(0x1.6c16c18426cb0p-10));
  q = fma(q, t, broadcast(0x1.1111111127ba5p-7));
  q = fma(q, t, broadcast(0x1.555555555088ap-5));
  q = fma(q, t, broadcast(0x1.55555555554fap-3));
  q = fma(q, t, broadcast(0x1.000000000000ap-1));
  return fma(q, t, broadcast(1.0));
}

// Where the exponential is less than half of the smallest subnormal number.
SOFTCLASS_INLINE FloatMask exp_vanishes(Floats d) { return less(d, broadcast(-104.0f)); }
SOFTCLASS_INLINE DoubleMask exp_vanishes(Doubles d) { return less(d, broadcast(-746.0)); }

// Cody and Waite reduction in two steps: d + e = n log(2) + t. The first is exact and the second, of small numbers, nearly
// so: only their sum rounds.
SOFTCLASS_INLINE Floats reduced_coarsely(Floats d, Floats n) { return fma(n, broadcast(-0x1.62e400p-1f), d); }
SOFTCLASS_INLINE Doubles reduced_coarsely(Doubles d, Doubles n) { return fma(n, broadcast(-0x1.62e42fee00000p-1), d); }
SOFTCLASS_INLINE Floats reduced_finely(Floats e, Floats n) { return fma(n, broadcast(-0x1.7f7d1cp-20f), e); }
SOFTCLASS_INLINE Doubles reduced_finely(Doubles e, Doubles n) { return fma(n, broadcast(-0x1.a39ef35793c76p-33), e); }
SOFTCLASS_INLINE Floats log2_e(Floats) { return broadcast(0x1.715476p+0f); }
SOFTCLASS_INLINE Doubles log2_e(Doubles) { return broadcast(0x1.71547652b82fep+0); }
SOFTCLASS_INLINE Floats one_like(Floats) { return broadcast(1.0f); }
SOFTCLASS_INLINE Doubles one_like(Doubles) { return broadcast(1.0); }

// At most 0.89 units in the last place for float, 1.05 for double. Lanes that vanish are kept from computing a number
// that underflows, which takes Intel's processors 150 cycles. A NaN stays.
template <class V>
SOFTCLASS_INLINE V exp_of_difference(V d, V e) {
  const auto vanishes = exp_vanishes(d);
  const V near = zero_where(vanishes, d), n = round_to_even(near * log2_e(d));
  const V t = reduced_coarsely(near, n) + reduced_finely(zero_where(vanishes, e), n);
  return zero_where(vanishes, times_power_of_two(fma(exp_series(t), t, one_like(d)), n));
}

// The same number times 2^64 (2^256 for double), and what its last addition rounded away: together right to half a
// unit, and neither is ever subnormal, so that no later step is slow or inexact. A sum of few terms needs the second
// part where its logarithm shall be right to one unit. Rounding by addition leaves n and the bias in the lowest bits.
template <class V>
constexpr double exp_scale = V::lanes == Floats::lanes ? 0x1p64 : 0x1p256;
// Where a scaled exponential is taken for 0. Below half of the smallest number: many such may be one together.
SOFTCLASS_INLINE Floats least_difference(Floats) { return broadcast(-110.0f); }
SOFTCLASS_INLINE Doubles least_difference(Doubles) { return broadcast(-760.0); }
SOFTCLASS_INLINE Floats exponent_bias(Floats) { return broadcast(0x1.8p23f + 127.0f + 64.0f); }
SOFTCLASS_INLINE Doubles exponent_bias(Doubles) { return broadcast(0x1.8p52 + 1023.0 + 256.0); }

template <class V>
struct ScaledExp {
  V value;  // times 2^64
  V low;    // what value lacks, to be multiplied by `power`
  V power;
};
template <class V>
SOFTCLASS_INLINE ScaledExp<V> scaled_exp(V d, V e) {
  const auto vanishes = less(d, least_difference(d));
  const V near = zero_where(vanishes, d), biased = fma(near, log2_e(d), exponent_bias(d));
  const V n = biased - exponent_bias(d);
  const V t = add_where(none_of(vanishes), reduced_coarsely(near, n), reduced_finely(e, n));
  const V series = exp_series(t), near_one = fma(series, t, one_like(d));
  const V power = zero_where(vanishes, as_exponent(biased));
  return {near_one * power, fma(series, t, one_like(d) - near_one), power};
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
