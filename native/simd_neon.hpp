// NEON of 64-bit ARM: 4 floats, 2 doubles. See simd.hpp; simd_avx512.hpp says what each function is.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Floats {
  static constexpr int lanes = 4;
  float32x4_t v;
};
struct Doubles {
  static constexpr int lanes = 2;
  float64x2_t v;
};
struct FloatMask {
  uint32x4_t m;
};
struct DoubleMask {
  uint64x2_t m;
};

SOFTCLASS_INLINE Floats load(const float* p) { return {vld1q_f32(p)}; }
SOFTCLASS_INLINE Doubles load(const double* p) { return {vld1q_f64(p)}; }
SOFTCLASS_INLINE void store(float* p, Floats x) { vst1q_f32(p, x.v); }
SOFTCLASS_INLINE void store(double* p, Doubles x) { vst1q_f64(p, x.v); }
SOFTCLASS_INLINE void stream(float* p, Floats x) { store(p, x); }
SOFTCLASS_INLINE void stream(double* p, Doubles x) { store(p, x); }
SOFTCLASS_INLINE void stream_fence() {}
SOFTCLASS_INLINE Floats load_first(const float* p, int count, Floats otherwise) {
  float lane[4];
  store(lane, otherwise);
  for (int l = 0; l < count; ++l) lane[l] = p[l];
  return load(lane);
}
SOFTCLASS_INLINE Doubles load_first(const double* p, int count, Doubles otherwise) {
  double lane[2];
  store(lane, otherwise);
  for (int l = 0; l < count; ++l) lane[l] = p[l];
  return load(lane);
}
SOFTCLASS_INLINE void store_first(float* p, Floats x, int count) {
  float lane[4];
  store(lane, x);
  for (int l = 0; l < count; ++l) p[l] = lane[l];
}
SOFTCLASS_INLINE void store_first(double* p, Doubles x, int count) {
  double lane[2];
  store(lane, x);
  for (int l = 0; l < count; ++l) p[l] = lane[l];
}
SOFTCLASS_INLINE Floats broadcast(float x) { return {vdupq_n_f32(x)}; }
SOFTCLASS_INLINE Doubles broadcast(double x) { return {vdupq_n_f64(x)}; }

SOFTCLASS_INLINE Floats add(Floats a, Floats b) { return {vaddq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles add(Doubles a, Doubles b) { return {vaddq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE Floats subtract(Floats a, Floats b) { return {vsubq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles subtract(Doubles a, Doubles b) { return {vsubq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE Floats multiply(Floats a, Floats b) { return {vmulq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles multiply(Doubles a, Doubles b) { return {vmulq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE Floats divide(Floats a, Floats b) { return {vdivq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles divide(Doubles a, Doubles b) { return {vdivq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE Floats fma(Floats a, Floats b, Floats c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
SOFTCLASS_INLINE Doubles fma(Doubles a, Doubles b, Doubles c) { return {vfmaq_f64(c.v, a.v, b.v)}; }

SOFTCLASS_INLINE FloatMask less(Floats a, Floats b) { return {vcltq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE DoubleMask less(Doubles a, Doubles b) { return {vcltq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE FloatMask not_less(Floats a, Floats b) { return {vmvnq_u32(vcltq_f32(a.v, b.v))}; }
SOFTCLASS_INLINE DoubleMask not_less(Doubles a, Doubles b) {
  return {veorq_u64(vcltq_f64(a.v, b.v), vdupq_n_u64(~uint64_t(0)))};
}
SOFTCLASS_INLINE FloatMask equal(Floats a, Floats b) { return {vceqq_f32(a.v, b.v)}; }
SOFTCLASS_INLINE DoubleMask equal(Doubles a, Doubles b) { return {vceqq_f64(a.v, b.v)}; }
SOFTCLASS_INLINE FloatMask both(FloatMask a, FloatMask b) { return {vandq_u32(a.m, b.m)}; }
SOFTCLASS_INLINE DoubleMask both(DoubleMask a, DoubleMask b) { return {vandq_u64(a.m, b.m)}; }
SOFTCLASS_INLINE FloatMask either(FloatMask a, FloatMask b) { return {vorrq_u32(a.m, b.m)}; }
SOFTCLASS_INLINE DoubleMask either(DoubleMask a, DoubleMask b) { return {vorrq_u64(a.m, b.m)}; }
SOFTCLASS_INLINE FloatMask none_of(FloatMask a) { return {vmvnq_u32(a.m)}; }
SOFTCLASS_INLINE DoubleMask none_of(DoubleMask a) { return {veorq_u64(a.m, vdupq_n_u64(~uint64_t(0)))}; }
SOFTCLASS_INLINE unsigned bits_of(FloatMask a) {
  const uint32_t weights[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(a.m, vld1q_u32(weights)));
}
SOFTCLASS_INLINE unsigned bits_of(DoubleMask a) {
  return unsigned((vgetq_lane_u64(a.m, 0) & 1) | (vgetq_lane_u64(a.m, 1) & 2));
}
SOFTCLASS_INLINE Floats select(FloatMask m, Floats yes, Floats no) { return {vbslq_f32(m.m, yes.v, no.v)}; }
SOFTCLASS_INLINE Doubles select(DoubleMask m, Doubles yes, Doubles no) { return {vbslq_f64(m.m, yes.v, no.v)}; }
SOFTCLASS_INLINE Floats zero_where(FloatMask m, Floats x) {
  return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x.v), m.m))};
}
SOFTCLASS_INLINE Doubles zero_where(DoubleMask m, Doubles x) {
  return {vreinterpretq_f64_u64(vbicq_u64(vreinterpretq_u64_f64(x.v), m.m))};
}
SOFTCLASS_INLINE Floats keep_where(FloatMask m, Floats x) {
  return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x.v), m.m))};
}
SOFTCLASS_INLINE Doubles keep_where(DoubleMask m, Doubles x) {
  return {vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(x.v), m.m))};
}
SOFTCLASS_INLINE Floats add_where(FloatMask m, Floats x, Floats y) { return select(m, add(x, y), x); }
SOFTCLASS_INLINE Doubles add_where(DoubleMask m, Doubles x, Doubles y) { return select(m, add(x, y), x); }
// vmaxq would return a NaN of either side.
SOFTCLASS_INLINE Floats greater_of(Floats x, Floats best) { return {vbslq_f32(vcgtq_f32(x.v, best.v), x.v, best.v)}; }
SOFTCLASS_INLINE Doubles greater_of(Doubles x, Doubles best) {
  return {vbslq_f64(vcgtq_f64(x.v, best.v), x.v, best.v)};
}
SOFTCLASS_INLINE Floats round_to_even(Floats x) { return {vrndnq_f32(x.v)}; }
SOFTCLASS_INLINE Doubles round_to_even(Doubles x) { return {vrndnq_f64(x.v)}; }
// 2^n for whole n in the range of normal numbers.
SOFTCLASS_INLINE Floats power_of_two(Floats n) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), 23))};
}
SOFTCLASS_INLINE Doubles power_of_two(Doubles n) {
  return {vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(vcvtq_s64_f64(n.v), vdupq_n_s64(1023)), 52))};
}
// In two steps, of which only the last can round.
SOFTCLASS_INLINE Floats times_power_of_two(Floats x, Floats n) {
  const Floats half = round_to_even(multiply(n, broadcast(0.5f)));
  return multiply(multiply(x, power_of_two(half)), power_of_two(subtract(n, half)));
}
SOFTCLASS_INLINE Doubles times_power_of_two(Doubles x, Doubles n) {
  const Doubles half = round_to_even(multiply(n, broadcast(0.5)));
  return multiply(multiply(x, power_of_two(half)), power_of_two(subtract(n, half)));
}
SOFTCLASS_INLINE Floats as_exponent(Floats x) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(x.v), 23))};
}
SOFTCLASS_INLINE Doubles as_exponent(Doubles x) {
  return {vreinterpretq_f64_s64(vshlq_n_s64(vreinterpretq_s64_f64(x.v), 52))};
}
SOFTCLASS_INLINE Doubles exponent_of(Doubles x) {
  const int64x2_t biased = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(x.v), 52));
  return {vcvtq_f64_s64(vsubq_s64(biased, vdupq_n_s64(1023)))};
}

SOFTCLASS_INLINE Doubles low_half(Floats x) { return {vcvt_f64_f32(vget_low_f32(x.v))}; }
SOFTCLASS_INLINE Doubles high_half(Floats x) { return {vcvt_high_f64_f32(x.v)}; }
SOFTCLASS_INLINE Floats narrow(Doubles low, Doubles high) {
  return {vcvt_high_f32_f64(vcvt_f32_f64(low.v), high.v)};
}

SOFTCLASS_INLINE float largest(Floats x) { return vmaxvq_f32(x.v); }
SOFTCLASS_INLINE double largest(Doubles x) { return vmaxvq_f64(x.v); }
SOFTCLASS_INLINE double sum_of_lanes(Doubles x) { return vgetq_lane_f64(x.v, 0) + vgetq_lane_f64(x.v, 1); }

SOFTCLASS_INLINE Floats times_normal_power(Floats x, Floats, Floats biased) { return multiply(x, as_exponent(biased)); }
SOFTCLASS_INLINE Doubles times_normal_power(Doubles x, Doubles, Doubles biased) {
  return multiply(x, as_exponent(biased));
}
constexpr bool multiplies_by_powers = false;
constexpr int exp_group = 4;

struct FloatPicks {
  int32x4_t v;
};
struct DoublePicks {
  int64x2_t v;
};
SOFTCLASS_INLINE DoublePicks load_picks(Doubles, const int64_t* p) { return {vld1q_s64(p)}; }
SOFTCLASS_INLINE FloatPicks load_picks(Floats, const int64_t* p) {
  int32_t lane[4];
  for (int l = 0; l < 4; ++l) lane[l] = p[l] >= 0 && p[l] < (int64_t(1) << 31) ? int32_t(p[l]) : -1;
  return {vld1q_s32(lane)};
}
SOFTCLASS_INLINE FloatMask picks(FloatPicks x, int c) { return {vceqq_s32(x.v, vdupq_n_s32(c))}; }
SOFTCLASS_INLINE DoubleMask picks(DoublePicks x, int c) { return {vceqq_s64(x.v, vdupq_n_s64(c))}; }

// A vector is one quarter here.
SOFTCLASS_INLINE Floats load_quarters(const float* p, int64_t) { return load(p); }
SOFTCLASS_INLINE Doubles load_quarters(const double* p, int64_t) { return load(p); }
SOFTCLASS_INLINE void store_quarters(float* p, int64_t, Floats x) { store(p, x); }
SOFTCLASS_INLINE void store_quarters(double* p, int64_t, Doubles x) { store(p, x); }
template <int Count>
SOFTCLASS_INLINE void store_starts(float* p, int64_t, Floats x) {
  static_assert(Count >= 1 && Count <= 3, "a whole quarter is for store_quarters");
  if constexpr (Count == 1) {
    vst1q_lane_f32(p, x.v, 0);
  } else {
    vst1_f32(p, vget_low_f32(x.v));
    if constexpr (Count == 3) vst1q_lane_f32(p + 2, x.v, 2);
  }
}
template <int Count>
SOFTCLASS_INLINE void store_starts(double* p, int64_t, Doubles x) {
  static_assert(Count == 1, "a whole quarter is for store_quarters");
  vst1q_lane_f64(p, x.v, 0);
}
SOFTCLASS_INLINE void transpose_quarters(Floats* a) {
  const float64x2_t t0 = vreinterpretq_f64_f32(vzip1q_f32(a[0].v, a[1].v));
  const float64x2_t t1 = vreinterpretq_f64_f32(vzip2q_f32(a[0].v, a[1].v));
  const float64x2_t t2 = vreinterpretq_f64_f32(vzip1q_f32(a[2].v, a[3].v));
  const float64x2_t t3 = vreinterpretq_f64_f32(vzip2q_f32(a[2].v, a[3].v));
  a[0].v = vreinterpretq_f32_f64(vzip1q_f64(t0, t2));
  a[1].v = vreinterpretq_f32_f64(vzip2q_f64(t0, t2));
  a[2].v = vreinterpretq_f32_f64(vzip1q_f64(t1, t3));
  a[3].v = vreinterpretq_f32_f64(vzip2q_f64(t1, t3));
}
SOFTCLASS_INLINE void transpose_quarters(Doubles* a) {
  const float64x2_t low = vzip1q_f64(a[0].v, a[1].v), high = vzip2q_f64(a[0].v, a[1].v);
  a[0].v = low;
  a[1].v = high;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
