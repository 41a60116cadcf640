// Any processor: 4 floats, 2 doubles, as loops that compilers turn into what the processor has. See simd.hpp;
// simd_avx512.hpp says what each function is. Slow where there is no fused multiply-add, with the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Floats {
  static constexpr int lanes = 4;
  float v[4];
};
struct Doubles {
  static constexpr int lanes = 2;
  double v[2];
};
struct FloatMask {
  bool m[4];
};
struct DoubleMask {
  bool m[2];
};

template <class To, class From>
SOFTCLASS_INLINE To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "a reinterpretation keeps the size");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// a b + c rounded once. The product of two floats is exact in double; their sum with c is rounded to odd, which leaves
// the second rounding, to float, what a single one would give (Boldo and Melquiond, 2008).
SOFTCLASS_INLINE float fused(float a, float b, float c) {
  const double product = double(a) * double(b), sum = product + double(c);
  const double back = sum - product, lost = (product - (sum - back)) + (double(c) - back);
  uint64_t bits = same_bits<uint64_t>(sum);
  if ((lost > 0.0 || lost < 0.0) && !(bits & 1)) bits += (lost > 0.0) == (sum > 0.0) ? 1 : uint64_t(-1);
  return float(same_bits<double>(bits));
}
SOFTCLASS_INLINE double fused(double a, double b, double c) {
#if defined(_MSC_VER)
  return std::fma(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

// The same function for both vectors, lane by lane.
#define SOFTCLASS_LANEWISE(result, name, parameters, expression) \
  SOFTCLASS_INLINE result name parameters {                      \
    result r;                                                    \
    for (int l = 0; l < int(sizeof r / sizeof r.v[0]); ++l) r.v[l] = expression; \
    return r;                                                    \
  }
#define SOFTCLASS_MASKWISE(result, name, parameters, expression) \
  SOFTCLASS_INLINE result name parameters {                      \
    result r;                                                    \
    for (int l = 0; l < int(sizeof r / sizeof r.m[0]); ++l) r.m[l] = expression; \
    return r;                                                    \
  }
#define SOFTCLASS_BOTH(V, M, Real)                                                        \
  SOFTCLASS_LANEWISE(V, load_##V, (const Real* p), p[l])                                   \
  SOFTCLASS_INLINE V load(const Real* p) { return load_##V(p); }                           \
  SOFTCLASS_INLINE void store(Real* p, V x) { memcpy(p, x.v, sizeof x.v); }                \
  SOFTCLASS_INLINE void stream(Real* p, V x) { store(p, x); }                              \
  SOFTCLASS_LANEWISE(V, load_first, (const Real* p, int count, V otherwise), l < count ? p[l] : otherwise.v[l]) \
  SOFTCLASS_INLINE void store_first(Real* p, V x, int count) { memcpy(p, x.v, size_t(count) * sizeof(Real)); } \
  SOFTCLASS_LANEWISE(V, broadcast, (Real x), x)                                            \
  SOFTCLASS_LANEWISE(V, add, (V a, V b), a.v[l] + b.v[l])                                  \
  SOFTCLASS_LANEWISE(V, subtract, (V a, V b), a.v[l] - b.v[l])                             \
  SOFTCLASS_LANEWISE(V, multiply, (V a, V b), a.v[l] * b.v[l])                             \
  SOFTCLASS_LANEWISE(V, divide, (V a, V b), a.v[l] / b.v[l])                               \
  SOFTCLASS_LANEWISE(V, fma, (V a, V b, V c), fused(a.v[l], b.v[l], c.v[l]))               \
  SOFTCLASS_LANEWISE(V, greater_of, (V x, V best), x.v[l] > best.v[l] ? x.v[l] : best.v[l]) \
  SOFTCLASS_LANEWISE(V, select, (M m, V yes, V no), m.m[l] ? yes.v[l] : no.v[l])           \
  SOFTCLASS_LANEWISE(V, zero_where, (M m, V x), m.m[l] ? Real(0) : x.v[l])                 \
  SOFTCLASS_LANEWISE(V, keep_where, (M m, V x), m.m[l] ? x.v[l] : Real(0))                 \
  SOFTCLASS_LANEWISE(V, add_where, (M m, V x, V y), m.m[l] ? x.v[l] + y.v[l] : x.v[l])     \
  SOFTCLASS_MASKWISE(M, less, (V a, V b), a.v[l] < b.v[l])                                 \
  SOFTCLASS_MASKWISE(M, not_less, (V a, V b), !(a.v[l] < b.v[l]))                          \
  SOFTCLASS_MASKWISE(M, equal, (V a, V b), a.v[l] == b.v[l])                               \
  SOFTCLASS_MASKWISE(M, both, (M a, M b), a.m[l] && b.m[l])                                \
  SOFTCLASS_MASKWISE(M, either, (M a, M b), a.m[l] || b.m[l])                              \
  SOFTCLASS_MASKWISE(M, none_of, (M a), !a.m[l])                                           \
  SOFTCLASS_INLINE unsigned bits_of(M a) {                                                 \
    unsigned bits = 0;                                                                     \
    for (int l = 0; l < V::lanes; ++l) bits |= unsigned(a.m[l]) << l;                      \
    return bits;                                                                           \
  }                                                                                        \
  SOFTCLASS_INLINE V load_quarters(const Real* p, int64_t) { return load(p); }             \
  SOFTCLASS_INLINE void store_quarters(Real* p, int64_t, V x) { store(p, x); }

SOFTCLASS_BOTH(Floats, FloatMask, float)
SOFTCLASS_BOTH(Doubles, DoubleMask, double)
SOFTCLASS_INLINE void stream_fence() {}

// Nearest whole number of |x| below 2^22 and 2^51, ties to even; larger numbers and NaN come back as they are.
SOFTCLASS_INLINE float nearest(float x) { return x < 0x1p22f && x > -0x1p22f ? (x + 0x1.8p23f) - 0x1.8p23f : x; }
SOFTCLASS_INLINE double nearest(double x) { return x < 0x1p51 && x > -0x1p51 ? (x + 0x1.8p52) - 0x1.8p52 : x; }
SOFTCLASS_LANEWISE(Floats, round_to_even, (Floats x), nearest(x.v[l]))
SOFTCLASS_LANEWISE(Doubles, round_to_even, (Doubles x), nearest(x.v[l]))

// 2^n for whole n in the range of normal numbers; adding the constant leaves the biased exponent in the low bits.
SOFTCLASS_INLINE float power_of_two(float n) {
  return same_bits<float>(same_bits<uint32_t>(n + (0x1.8p23f + 127.0f)) << 23);
}
SOFTCLASS_INLINE double power_of_two(double n) {
  return same_bits<double>(same_bits<uint64_t>(n + (0x1.8p52 + 1023.0)) << 52);
}
// In two steps, of which only the last can round.
template <class Real>
SOFTCLASS_INLINE Real times_power_of_two_lane(Real x, Real n) {
  const Real half = nearest(n * Real(0.5));
  return x * power_of_two(half) * power_of_two(n - half);
}
SOFTCLASS_LANEWISE(Floats, times_power_of_two, (Floats x, Floats n), times_power_of_two_lane(x.v[l], n.v[l]))
SOFTCLASS_LANEWISE(Doubles, times_power_of_two, (Doubles x, Doubles n), times_power_of_two_lane(x.v[l], n.v[l]))
SOFTCLASS_LANEWISE(Floats, as_exponent, (Floats x), same_bits<float>(same_bits<uint32_t>(x.v[l]) << 23))
SOFTCLASS_LANEWISE(Doubles, as_exponent, (Doubles x), same_bits<double>(same_bits<uint64_t>(x.v[l]) << 52))
SOFTCLASS_LANEWISE(Doubles, exponent_of, (Doubles x), double(int64_t(same_bits<uint64_t>(x.v[l]) >> 52) - 1023))

SOFTCLASS_INLINE Doubles low_half(Floats x) { return {{double(x.v[0]), double(x.v[1])}}; }
SOFTCLASS_INLINE Doubles high_half(Floats x) { return {{double(x.v[2]), double(x.v[3])}}; }
SOFTCLASS_INLINE Floats narrow(Doubles low, Doubles high) {
  return {{float(low.v[0]), float(low.v[1]), float(high.v[0]), float(high.v[1])}};
}

SOFTCLASS_INLINE float largest(Floats x) {
  const float a = x.v[0] > x.v[1] ? x.v[0] : x.v[1], b = x.v[2] > x.v[3] ? x.v[2] : x.v[3];
  return a > b ? a : b;
}
SOFTCLASS_INLINE double largest(Doubles x) { return x.v[0] > x.v[1] ? x.v[0] : x.v[1]; }
SOFTCLASS_INLINE double sum_of_lanes(Doubles x) { return x.v[0] + x.v[1]; }

SOFTCLASS_INLINE Floats times_normal_power(Floats x, Floats, Floats biased) { return multiply(x, as_exponent(biased)); }
SOFTCLASS_INLINE Doubles times_normal_power(Doubles x, Doubles, Doubles biased) {
  return multiply(x, as_exponent(biased));
}
constexpr bool multiplies_by_powers = false;
constexpr int exp_group = 1;

struct FloatPicks {
  int64_t v[4];
};
struct DoublePicks {
  int64_t v[2];
};
SOFTCLASS_LANEWISE(DoublePicks, load_picks, (Doubles, const int64_t* p), p[l])
SOFTCLASS_LANEWISE(FloatPicks, load_picks, (Floats, const int64_t* p), p[l])
SOFTCLASS_MASKWISE(FloatMask, picks, (FloatPicks x, int c), x.v[l] == c)
SOFTCLASS_MASKWISE(DoubleMask, picks, (DoublePicks x, int c), x.v[l] == c)

template <int Count, class Real, class V>
SOFTCLASS_INLINE void store_starts(Real* p, int64_t, V x) {
  memcpy(p, x.v, size_t(Count) * sizeof(Real));
}
SOFTCLASS_INLINE void transpose_quarters(Floats* a) {
  for (int r = 0; r < 4; ++r)
    for (int c = r + 1; c < 4; ++c) {
      const float kept = a[r].v[c];
      a[r].v[c] = a[c].v[r];
      a[c].v[r] = kept;
    }
}
SOFTCLASS_INLINE void transpose_quarters(Doubles* a) {
  const double kept = a[0].v[1];
  a[0].v[1] = a[1].v[0];
  a[1].v[0] = kept;
}

#undef SOFTCLASS_BOTH
#undef SOFTCLASS_LANEWISE
#undef SOFTCLASS_MASKWISE

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
