// log(1 + s) for s >= 0 (NaN stays), in double: the L of a row whose other classes sum to s.
//
// log(1 + f) = 2 atanh(w) with w = f / (2 + f), 1 + f in [sqrt(1/2), sqrt(2)); a small s never goes through 1 + s.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Log1pReduction {
  Doubles f;     // 1 + s = 2^j (1 + f) + lost
  Doubles j;
  Doubles lost;  // what rounding 1 + s dropped, over 1 + s
};

SOFTCLASS_INLINE Log1pReduction log1p_reduction(Doubles s) {
  const Doubles one = broadcast(1.0), zero = broadcast(0.0), u = one + s;
  const DoubleMask is_small = less(s, broadcast(0x1.a827999fcef32p-2));  // sqrt(2) - 1
  const Doubles lost = select(less(one, s), one - (u - s), s - (u - one)) / u;
  const Doubles j = exponent_of(u * broadcast(0x1.6a09e667f3bcdp-1)) + one;
  const Doubles f = times_power_of_two(u, zero - j) - one;
  return {select(is_small, s, f), zero_where(is_small, j), zero_where(is_small, lost)};
}

// Relative error 2^-44.9: what a result in float needs.
SOFTCLASS_INLINE Doubles log1p_for_float(Doubles s) {
  const Log1pReduction r = log1p_reduction(s);
  const Doubles w = r.f / (r.f + broadcast(2.0)), v = w * w;
  Doubles p = fma(v, broadcast(0x1.9115a2e9a875fp-4), broadcast(0x1.c62b1331919dfp-4));
  p = fma(p, v, broadcast(0x1.249411f2ccf3dp-3));
  p = fma(p, v, broadcast(0x1.999996a93f01ap-3));
  p = fma(p, v, broadcast(0x1.555555561e474p-2));
  const Doubles half = fma(w * v, p, w);
  return fma(r.j, broadcast(0x1.62e42fefa39efp-1), half + half);
}

// At most 0.82 units in the last place of double.
SOFTCLASS_INLINE Doubles log1p_for_double(Doubles s) {
  const Log1pReduction r = log1p_reduction(s);
  const Doubles w = r.f / (r.f + broadcast(2.0)), v = w * w, h = broadcast(0.5) * (r.f * r.f);
  Doubles p = fma(v, broadcast(0x1.2f06347853851p-4), broadcast(0x1.39a1a6f8b1fa6p-4));
  p = fma(p, v, broadcast(0x1.74663fa2162e6p-4));
  p = fma(p, v, broadcast(0x1.c71c5206084a8p-4));
  p = fma(p, v, broadcast(0x1.24924941f4fb0p-3));
  p = fma(p, v, broadcast(0x1.999999997fd77p-3));
  p = fma(p, v, broadcast(0x1.5555555555592p-2));
  const Doubles series = broadcast(2.0) * (v * p);
  const Doubles low = fma(r.j, broadcast(0x1.a39ef35793c76p-33), r.lost);
  return r.j * broadcast(0x1.62e42fee00000p-1) - ((h - (w * (h + series) + low)) - r.f);
}

// log(1 + s + s_low), where s_low is what s lacks, as a number and what it lacks itself: 2^-3 units in the last place.
struct LogPair {
  Doubles high, low;
};
SOFTCLASS_INLINE LogPair log1p_pair(Doubles s, Doubles s_low) {
  const Log1pReduction r = log1p_reduction(s);
  const Doubles w = r.f / (r.f + broadcast(2.0)), v = w * w, h = broadcast(0.5) * (r.f * r.f);
  Doubles p = fma(v, broadcast(0x1.2f06347853851p-4), broadcast(0x1.39a1a6f8b1fa6p-4));
  p = fma(p, v, broadcast(0x1.74663fa2162e6p-4));
  p = fma(p, v, broadcast(0x1.c71c5206084a8p-4));
  p = fma(p, v, broadcast(0x1.24924941f4fb0p-3));
  p = fma(p, v, broadcast(0x1.999999997fd77p-3));
  p = fma(p, v, broadcast(0x1.5555555555592p-2));
  const Doubles series = broadcast(2.0) * (v * p), lost = r.lost + s_low / (broadcast(1.0) + s);
  const Doubles small = h - (w * (h + series) + fma(r.j, broadcast(0x1.a39ef35793c76p-33), lost));
  // j log(2) + f - small: what is added is at most as large as what it is added to.
  const Doubles whole = r.j * broadcast(0x1.62e42fee00000p-1), large = whole + r.f, high = large - small;
  const Doubles large_low = select(equal(r.j, broadcast(0.0)), r.j, r.f - (large - whole));
  return {high, ((large - high) - small) + large_low};
}

SOFTCLASS_INLINE double log1p_for_float(double s) { return first(log1p_for_float(broadcast(s))); }
SOFTCLASS_INLINE double log1p_for_double(double s) { return first(log1p_for_double(broadcast(s))); }

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
