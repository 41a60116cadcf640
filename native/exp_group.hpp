// Exponentials of several vectors at a time, operation by operation: a single one is a chain of 16 dependent
// operations, and the processor looks too few instructions ahead to fill the gaps from the next.
#pragma once

#include "row_state.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Horner's rule for (exp(t) - 1) / t, highest power first: see exp_series. The scale of the result comes with the
// coefficients where an instruction multiplies by a power of two, else with the power.
constexpr double series_scale(double scale) { return multiplies_by_powers ? scale : 1.0; }
constexpr double power_bias(double bits) { return multiplies_by_powers ? 0.0 : bits; }
template <class V>
struct ExpSeries;
template <>
struct ExpSeries<Floats> {
  static constexpr int count = 6;
  static constexpr float of[count] = {0x1.6a2434p-10f, 0x1.1239e2p-7f, 0x1.5558f2p-5f,
                                      0x1.555492p-3f,  0x1.fffffcp-2f, 1.0f};
  static constexpr float scale = float(series_scale(exp_scale<Floats>));
  static constexpr float bias = 0x1.8p23f + 127.0f + float(power_bias(64));
};
template <>
struct ExpSeries<Doubles> {
  static constexpr int count = 11;
  static constexpr double of[count] = {0x1.ad7f767dc8f4ap-26,
                                       0x1.28ad69a95aec3p-22,
                                       0x1.71df253e8750ap-19,
                                       0x1.a0199a15d32f0p-16,
                                       0x1.a01a012a67194p-13,
                                       0x1.6c16c18426cb0p-10,
                                       0x1.1111111127ba5p-7,
                                       0x1.555555555088ap-5,
                                       0x1.55555555554fap-3,
                                       0x1.000000000000ap-1,
                                       1.0};
  static constexpr double scale = series_scale(exp_scale<Doubles>);
  static constexpr double bias = 0x1.8p52 + 1023.0 + power_bias(256);
};

#define SOFTCLASS_STEP \
  SOFTCLASS_UNROLL     \
  for (int i = 0; i < n; ++i)

// exp((z[i] - m) / T) times exp_scale. Within 0.89 units in the last place for float, 1.05 for double. A lane below
// least_difference computes anything and is 0 at the end.
// `lows`, if wanted, receive what the results lack: together right to half a unit.
template <bool tempered, int n, class V, bool with_lows = false>
SOFTCLASS_INLINE void scaled_exps(const V* z, V m, InverseTemperature<V> beta, V* result, V* lows = nullptr) {
  using Series = ExpSeries<V>;
  const V log2 = log2_e(m), bias = broadcast(Series::bias), scale = broadcast(Series::scale);
  const V least = least_difference(m);
  V d[n], e[n], biased[n], whole[n], t[n], q[n];
  if constexpr (tempered) {
    SOFTCLASS_STEP {
      const Difference<V> each = scaled_difference(z[i], m, beta);
      d[i] = each.value;
      e[i] = each.error;
    }
    SOFTCLASS_STEP biased[i] = fma(d[i], log2, bias);
    SOFTCLASS_STEP whole[i] = biased[i] - bias;
    SOFTCLASS_STEP t[i] = reduced_coarsely(d[i], whole[i]);
  } else {  // difference(), in step
    V b[n];
    SOFTCLASS_STEP d[i] = z[i] - m;
    SOFTCLASS_STEP b[i] = d[i] - z[i];
    SOFTCLASS_STEP biased[i] = fma(d[i], log2, bias);
    SOFTCLASS_STEP e[i] = z[i] - (d[i] - b[i]);
    SOFTCLASS_STEP whole[i] = biased[i] - bias;
    SOFTCLASS_STEP e[i] = e[i] - (m + b[i]);
    SOFTCLASS_STEP t[i] = reduced_coarsely(d[i], whole[i]);
  }
  SOFTCLASS_STEP e[i] = reduced_finely(e[i], whole[i]);
  SOFTCLASS_STEP t[i] = t[i] + e[i];
  SOFTCLASS_STEP q[i] = broadcast(Series::of[0] * Series::scale);
  SOFTCLASS_UNROLL
  for (int k = 1; k < Series::count; ++k)
    SOFTCLASS_STEP q[i] = fma(q[i], t[i], broadcast(Series::of[k] * Series::scale));
  if constexpr (with_lows) SOFTCLASS_STEP e[i] = q[i];
  SOFTCLASS_STEP q[i] = fma(q[i], t[i], scale);
  if constexpr (with_lows) {
    SOFTCLASS_STEP e[i] = fma(e[i], t[i], scale - q[i]);
    SOFTCLASS_STEP lows[i] = keep_where(not_less(d[i], least), times_normal_power(e[i], whole[i], biased[i]));
  }
  SOFTCLASS_STEP result[i] = keep_where(not_less(d[i], least), times_normal_power(q[i], whole[i], biased[i]));
}

// The same as terms of a sum: of a rest the maxima become zeros.
template <Summed summed, bool tempered, int n, class V>
SOFTCLASS_INLINE void summands(const V* z, V m, InverseTemperature<V> beta, V* result, Aside<V>& aside) {
  if constexpr (summed == Summed::exact_rest) {
    V lows[n];
    scaled_exps<tempered, n, V, true>(z, m, beta, result, lows);
    SOFTCLASS_STEP aside.low = aside.low + lows[i];  // 0 for the maximum
  } else {
    scaled_exps<tempered, n>(z, m, beta, result);
  }
  if constexpr (summed != Summed::all) {
    const V one = one_like(m);
    SOFTCLASS_STEP {
      const auto is_maximum = equal(z[i], m);
      aside.maxima = add_where(is_maximum, aside.maxima, one);
      result[i] = zero_where(is_maximum, result[i]);
    }
  }
}

#undef SOFTCLASS_STEP

template <int n>
struct Int {
  static constexpr int value = n;
};
// body(Int<g>, first) for groups of exp_group and then for what is left, one at a time.
template <class Body>
SOFTCLASS_INLINE void each_group(int count, const Body& body) {
  int c = 0;
  for (; c + exp_group <= count; c += exp_group) body(Int<exp_group>(), c);
  for (; c < count; ++c) body(Int<1>(), c);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
