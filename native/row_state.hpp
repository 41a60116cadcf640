// What a pass over a row, or over part of one, leaves behind, and how parts are put together. `maximum` = max z and
// `rest` = sum of exp(z_i - maximum) over all classes but one that has the maximum. log1p(rest) keeps what 1 + rest
// would lose.
//
//   maximum     rest      the row
//   finite      >= 0
//   any         NaN       contains NaN
//   +inf        0; >= 1   exactly one +inf; more of them
//   -inf        -1; >= 0  no class at all; all are -inf
//
// Merging is associative but for rounding; blocks are merged in their order.
#pragma once

#include "exp.hpp"
#include "log1p.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

template <class Real>
constexpr Real infinity = Real(__builtin_huge_val());
template <class Real>
SOFTCLASS_INLINE Real not_a_number() {
  return Real(__builtin_nan(""));
}
template <class Real>
SOFTCLASS_INLINE bool is_finite(Real x) {
  return x - x == Real(0);
}

// A number and what it lacks.
struct Total {
  double sum, lost;
};
SOFTCLASS_INLINE Total two_sum(double a, double b) {
  const double sum = a + b, back = sum - a;
  return {sum, (a - (sum - back)) + (b - back)};
}

struct RowState {
  double maximum;
  Total rest;
};

// With a temperature `rest` sums exp((z_i - maximum) / T).
template <bool tempered>
SOFTCLASS_INLINE RowState merge(RowState a, RowState b, InverseTemperature<Doubles> beta) {
  if (b.maximum > a.maximum) {
    const RowState kept = a;
    a = b;
    b = kept;
  }
  const Total whole = two_sum(b.rest.sum, 1.0);
  const double whole_lost = whole.lost + b.rest.lost;
  if (a.maximum == b.maximum) {
    const Total rest = two_sum(a.rest.sum, whole.sum);
    return {a.maximum, {rest.sum, rest.lost + (a.rest.lost + whole_lost)}};
  }
  const Difference<Doubles> d = scaled_difference<tempered>(broadcast(b.maximum), broadcast(a.maximum), beta);
  const ScaledExp<Doubles> e = scaled_exp(d.value, d.error);
  const double f = first(e.value) / exp_scale<Doubles>, f_lost = first(e.low * e.power) / exp_scale<Doubles>;
  const double product = whole.sum * f;  // a NaN in either stays
  const double product_lost = first(fma(broadcast(whole.sum), broadcast(f), broadcast(-product)));
  const Total rest = two_sum(a.rest.sum, product);
  return {a.maximum, {rest.sum, rest.lost + (a.rest.lost + (product_lost + (whole.sum * f_lost + whole_lost * f)))}};
}

// Sums of numbers that are given lane by lane. Of floats: in double. Of doubles: with what every addition rounds off.
template <class V>
struct Sum;
template <>
struct Sum<Floats> {
  Doubles low, high;  // the two halves of the lanes
};
template <>
struct Sum<Doubles> {
  Doubles sum, lost;
};
SOFTCLASS_INLINE void clear(Sum<Floats>& total) { total.low = total.high = broadcast(0.0); }
SOFTCLASS_INLINE void clear(Sum<Doubles>& total) { total.sum = total.lost = broadcast(0.0); }
SOFTCLASS_INLINE void add_to(Sum<Floats>& total, Floats x) {
  total.low = total.low + low_half(x);
  total.high = total.high + high_half(x);
}
SOFTCLASS_INLINE void add_to(Sum<Doubles>& total, Doubles x) {
  const Doubles sum = total.sum + x, back = sum - total.sum;
  total.lost = total.lost + ((total.sum - (sum - back)) + (x - back));
  total.sum = sum;
}
// The sum of a row whose element j was added to partial sum j mod `partial_sums`, whatever the number of lanes; of
// floats without what it lacks.
constexpr int partial_sums = 16;
constexpr int float_sums = partial_sums / Floats::lanes, double_sums = partial_sums / Doubles::lanes;
SOFTCLASS_INLINE Total total_of(const Sum<Floats>* sums) {
  Doubles parts[2 * float_sums];
  for (int i = 0; i < float_sums; ++i) {
    parts[2 * i] = sums[i].low;
    parts[2 * i + 1] = sums[i].high;
  }
  return {tree_sum(parts, partial_sums), 0.0};
}
SOFTCLASS_INLINE Total total_of(const Sum<Doubles>* sums) {
  double sum[partial_sums], lost[partial_sums];
  for (int i = 0; i < double_sums; ++i) {
    store(sum + i * Doubles::lanes, sums[i].sum);
    store(lost + i * Doubles::lanes, sums[i].lost);
  }
  for (int half = partial_sums / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) {
      const double a = sum[i], b = sum[i + half], both = a + b, back = both - a;
      lost[i] += lost[i + half] + ((a - (both - back)) + (b - back));
      sum[i] = both;
    }
  return {sum[0], lost[0]};
}

// What a sum of exponentials over the classes of a row leaves out or adds.
enum class Summed {
  all,         // the maximum too
  rest,        // all but one that has the maximum, exponentials right to one unit
  exact_rest,  // with what the exponentials lack: right to half a unit
};
// For log probabilities within 1.5 units: the exponential of a double is a little less exact than that of a float.
template <class Real>
constexpr Summed summed_for_logs = sizeof(Real) == sizeof(double) ? Summed::exact_rest : Summed::rest;
// Exponentials of a rest, beside their sum. Classes that equal the maximum are counted.
template <class V>
struct Aside {
  V maxima, low;
};
template <class V>
SOFTCLASS_INLINE Aside<V> nothing_aside(V zero) {
  return {zero, zero};
}

// Sums of scaled exponentials to sums of exponentials: exact.
SOFTCLASS_INLINE Sum<Floats> unscaled(Sum<Floats> total) {
  const Doubles factor = broadcast(1.0 / exp_scale<Floats>);
  return {total.low * factor, total.high * factor};
}
SOFTCLASS_INLINE Sum<Doubles> unscaled(Sum<Doubles> total) {
  const Doubles factor = broadcast(1.0 / exp_scale<Doubles>);
  return {total.sum * factor, total.lost * factor};
}

// 1 / total as the unevaluated sum of two numbers of the type of the elements: one alone would cost half a unit more.
template <class V>
struct Reciprocal {
  V high, low;
};
SOFTCLASS_INLINE Reciprocal<Floats> reciprocal(Sum<Floats> total) {
  const Doubles one = broadcast(1.0), a = one / total.low, b = one / total.high;
  const Floats high = narrow(a, b);
  return {high, narrow(a - low_half(high), b - high_half(high))};
}
SOFTCLASS_INLINE Reciprocal<Doubles> reciprocal(Sum<Doubles> total) {
  const Doubles one = broadcast(1.0), zero = broadcast(0.0);
  const Doubles sum = total.sum + total.lost, lost = total.lost - (sum - total.sum);
  const Doubles high = one / sum;
  return {high, high * (fma(zero - high, sum, one) - high * lost)};
}
// A probability from a scaled exponential. Only the last product can be subnormal: those take long.
SOFTCLASS_INLINE Floats probability(Floats e, Reciprocal<Floats> r) {
  return fma(e, r.high, e * r.low) * broadcast(float(1.0 / exp_scale<Floats>));
}
SOFTCLASS_INLINE Doubles probability(Doubles e, Reciprocal<Doubles> r) {
  return fma(e, r.high, e * r.low) * broadcast(1.0 / exp_scale<Doubles>);
}
SOFTCLASS_INLINE Sum<Floats> spread(Floats, Total total) { return {broadcast(total.sum), broadcast(total.sum)}; }
SOFTCLASS_INLINE Sum<Doubles> spread(Doubles, Total total) { return {broadcast(total.sum), broadcast(total.lost)}; }

// 1 less: the rest of a sum over all classes.
SOFTCLASS_INLINE Sum<Floats> without_maximum(Sum<Floats> total) {
  const Doubles one = broadcast(1.0);
  return {total.low - one, total.high - one};
}
SOFTCLASS_INLINE Sum<Doubles> without_maximum(Sum<Doubles> total) {
  const Doubles one = broadcast(1.0), rest = total.sum - one;
  return {rest, total.lost - ((rest - total.sum) + one)};
}
// L = log1p(rest), as a number of the type of the elements and what it lacks.
template <class V>
struct LogRest {
  V high, low;
};
SOFTCLASS_INLINE LogRest<Floats> log_rest(Sum<Floats> rest) {
  const Doubles a = log1p_for_float(rest.low), b = log1p_for_float(rest.high);
  const Floats high = narrow(a, b);
  return {high, narrow(a - low_half(high), b - high_half(high))};
}
SOFTCLASS_INLINE LogRest<Doubles> log_rest(Sum<Doubles> rest) {
  const Doubles sum = rest.sum + rest.lost;
  const LogPair pair = log1p_pair(sum, rest.lost - (sum - rest.sum));
  return {pair.high, pair.low};
}
// m + L, rounded once.
SOFTCLASS_INLINE Floats log_partition(Floats m, Sum<Floats> rest) {
  return narrow(low_half(m) + log1p_for_float(rest.low), high_half(m) + log1p_for_float(rest.high));
}
SOFTCLASS_INLINE Doubles log_partition(Doubles m, Sum<Doubles> rest) {
  const LogRest<Doubles> log = log_rest(rest);
  const Doubles sum = m + log.high, back = sum - m;
  return sum + (((m - (sum - back)) + (log.high - back)) + log.low);
}

// Where a log_partition may be wrong by more than one unit when its rest comes from a sum with the maximum, of
// exponentials that are right to one unit: an error of rest weighs rest / (1 + rest) in the result, many terms share few
// errors, and above 2 a unit is wide.
SOFTCLASS_INLINE DoubleMask is_doubtful(Doubles value, Doubles rest) {
  const Doubles size = greater_of(value, broadcast(0.0) - value), weighed = broadcast(4.5) * rest;
  const DoubleMask is_small = both(less(size, broadcast(2.0)), less(fma(size, rest, size), weighed));
  return both(is_small, less(rest, broadcast(8.0)));
}
SOFTCLASS_INLINE bool any_doubtful(Floats value, Sum<Floats> rest) {
  const DoubleMask low = is_doubtful(low_half(value), rest.low), high = is_doubtful(high_half(value), rest.high);
  return (bits_of(low) | bits_of(high)) != 0;
}
SOFTCLASS_INLINE bool any_doubtful(Doubles value, Sum<Doubles> rest) {
  return bits_of(is_doubtful(value, rest.sum)) != 0;
}

// What log probabilities are counted from. `rest` is that of the whole row, `lowest` -inf.
template <bool tempered, class V>
struct LogOrigin {
  V maximum, lowest;
  LogRest<V> rest;
  InverseTemperature<V> beta;
};
template <class V>
struct LogOrigin<false, V> {
  V high, low, lowest;  // maximum + L as the sum of two
};
template <bool tempered, class V>
SOFTCLASS_INLINE LogOrigin<tempered, V> log_origin(V m, Sum<V> rest, V lowest, InverseTemperature<V> beta) {
  const LogRest<V> log = log_rest(rest);
  if constexpr (tempered) {
    return {m, lowest, log, beta};
  } else {
    const V high = m + log.high, back = high - m;
    return {high, ((m - (high - back)) + (log.high - back)) + log.low, lowest};
  }
}
// NaN where the row has one.
template <class V>
SOFTCLASS_INLINE V probe_of(const LogOrigin<false, V>& origin) {
  return origin.high;
}
template <class V>
SOFTCLASS_INLINE V probe_of(const LogOrigin<true, V>& origin) {
  return origin.rest.high;
}
// A log probability, rounded once. Where z is -inf the small parts are NaN and must not count.
template <class V>
SOFTCLASS_INLINE V log_probability(V z, const LogOrigin<false, V>& origin) {
  const Difference<V> d = difference(z, origin.high);
  return d.value + greater_of(d.error - origin.low, origin.lowest);
}
template <class V>
SOFTCLASS_INLINE V log_probability(V z, const LogOrigin<true, V>& origin) {
  const Difference<V> d = scaled_difference(z, origin.maximum, origin.beta);
  const V sum = d.value - origin.rest.high, back = sum - d.value;
  const V lost = (d.value - (sum - back)) - (origin.rest.high + back);
  return sum + greater_of(lost + (d.error - origin.rest.low), origin.lowest);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
