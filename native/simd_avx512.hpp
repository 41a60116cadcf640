// AVX-512 (F, DQ, BW, VL): 16 floats, 8 doubles. See simd.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Floats {
  static constexpr int lanes = 16;
  __m512 v;
};
struct Doubles {
  static constexpr int lanes = 8;
  __m512d v;
};
struct FloatMask {
  __mmask16 m;
};
struct DoubleMask {
  __mmask8 m;
};

SOFTCLASS_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
SOFTCLASS_INLINE Doubles load(const double* p) { return {_mm512_loadu_pd(p)}; }
SOFTCLASS_INLINE void store(float* p, Floats x) { _mm512_storeu_ps(p, x.v); }
SOFTCLASS_INLINE void store(double* p, Doubles x) { _mm512_storeu_pd(p, x.v); }
// Past the caches; p is aligned to the vector.
SOFTCLASS_INLINE void stream(float* p, Floats x) { _mm512_stream_ps(p, x.v); }
SOFTCLASS_INLINE void stream(double* p, Doubles x) { _mm512_stream_pd(p, x.v); }
SOFTCLASS_INLINE void stream_fence() { _mm_sfence(); }
// The first `count` lanes, 0 <= count <= lanes; memory behind them is not touched.
SOFTCLASS_INLINE Floats load_first(const float* p, int count, Floats otherwise) {
  return {_mm512_mask_loadu_ps(otherwise.v, __mmask16((1u << count) - 1), p)};
}
SOFTCLASS_INLINE Doubles load_first(const double* p, int count, Doubles otherwise) {
  return {_mm512_mask_loadu_pd(otherwise.v, __mmask8((1u << count) - 1), p)};
}
SOFTCLASS_INLINE void store_first(float* p, Floats x, int count) {
  _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), x.v);
}
SOFTCLASS_INLINE void store_first(double* p, Doubles x, int count) {
  _mm512_mask_storeu_pd(p, __mmask8((1u << count) - 1), x.v);
}
SOFTCLASS_INLINE Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
SOFTCLASS_INLINE Doubles broadcast(double x) { return {_mm512_set1_pd(x)}; }

SOFTCLASS_INLINE Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles add(Doubles a, Doubles b) { return {_mm512_add_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats subtract(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles subtract(Doubles a, Doubles b) { return {_mm512_sub_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats multiply(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles multiply(Doubles a, Doubles b) { return {_mm512_mul_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats divide(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles divide(Doubles a, Doubles b) { return {_mm512_div_pd(a.v, b.v)}; }
// a b + c, rounded once.
SOFTCLASS_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SOFTCLASS_INLINE Doubles fma(Doubles a, Doubles b, Doubles c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
// x > best ? x : best: a NaN in x is passed over, a NaN in `best` stays.
SOFTCLASS_INLINE Floats greater_of(Floats x, Floats best) { return {_mm512_max_ps(x.v, best.v)}; }
SOFTCLASS_INLINE Doubles greater_of(Doubles x, Doubles best) { return {_mm512_max_pd(x.v, best.v)}; }
SOFTCLASS_INLINE Floats round_to_even(Floats x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
SOFTCLASS_INLINE Doubles round_to_even(Doubles x) {
  return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// x 2^n for whole n in [-2000, 127] (float: [-220, 127]), rounded once, subnormal results too.
SOFTCLASS_INLINE Floats times_power_of_two(Floats x, Floats n) { return {_mm512_scalef_ps(x.v, n.v)}; }
SOFTCLASS_INLINE Doubles times_power_of_two(Doubles x, Doubles n) { return {_mm512_scalef_pd(x.v, n.v)}; }
// The lowest 9 (12) bits of x moved to the place of the exponent: a power of two, if they hold a biased exponent.
SOFTCLASS_INLINE Floats as_exponent(Floats x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x.v), 23))};
}
SOFTCLASS_INLINE Doubles as_exponent(Doubles x) {
  return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(x.v), 52))};
}
// x 2^n where the lowest bits of `biased` are n and the bias, and the result is a normal number.
SOFTCLASS_INLINE Floats times_normal_power(Floats x, Floats n, Floats) { return {_mm512_scalef_ps(x.v, n.v)}; }
SOFTCLASS_INLINE Doubles times_normal_power(Doubles x, Doubles n, Doubles) { return {_mm512_scalef_pd(x.v, n.v)}; }
constexpr bool multiplies_by_powers = true;  // times_normal_power does not look at `biased`
constexpr int exp_group = 4;  // vectors whose exponentials are computed in step: 32 registers hold them
// floor(log2(x)) of a normal x > 0.
SOFTCLASS_INLINE Doubles exponent_of(Doubles x) { return {_mm512_getexp_pd(x.v)}; }

SOFTCLASS_INLINE FloatMask less(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
SOFTCLASS_INLINE DoubleMask less(Doubles a, Doubles b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ)}; }
// Also where a or b is NaN.
SOFTCLASS_INLINE FloatMask not_less(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NLT_UQ)}; }
SOFTCLASS_INLINE DoubleMask not_less(Doubles a, Doubles b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_NLT_UQ)}; }
SOFTCLASS_INLINE FloatMask equal(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
SOFTCLASS_INLINE DoubleMask equal(Doubles a, Doubles b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ)}; }
SOFTCLASS_INLINE FloatMask both(FloatMask a, FloatMask b) { return {__mmask16(a.m & b.m)}; }
SOFTCLASS_INLINE DoubleMask both(DoubleMask a, DoubleMask b) { return {__mmask8(a.m & b.m)}; }
SOFTCLASS_INLINE FloatMask either(FloatMask a, FloatMask b) { return {__mmask16(a.m | b.m)}; }
SOFTCLASS_INLINE DoubleMask either(DoubleMask a, DoubleMask b) { return {__mmask8(a.m | b.m)}; }
SOFTCLASS_INLINE FloatMask none_of(FloatMask a) { return {__mmask16(~a.m)}; }
SOFTCLASS_INLINE DoubleMask none_of(DoubleMask a) { return {__mmask8(~a.m)}; }
// Bit l is lane l.
SOFTCLASS_INLINE unsigned bits_of(FloatMask a) { return a.m; }
SOFTCLASS_INLINE unsigned bits_of(DoubleMask a) { return a.m; }
SOFTCLASS_INLINE Floats select(FloatMask m, Floats yes, Floats no) { return {_mm512_mask_mov_ps(no.v, m.m, yes.v)}; }
SOFTCLASS_INLINE Doubles select(DoubleMask m, Doubles yes, Doubles no) { return {_mm512_mask_mov_pd(no.v, m.m, yes.v)}; }
SOFTCLASS_INLINE Floats zero_where(FloatMask m, Floats x) { return {_mm512_maskz_mov_ps(__mmask16(~m.m), x.v)}; }
SOFTCLASS_INLINE Doubles zero_where(DoubleMask m, Doubles x) { return {_mm512_maskz_mov_pd(__mmask8(~m.m), x.v)}; }
SOFTCLASS_INLINE Floats keep_where(FloatMask m, Floats x) { return {_mm512_maskz_mov_ps(m.m, x.v)}; }
SOFTCLASS_INLINE Doubles keep_where(DoubleMask m, Doubles x) { return {_mm512_maskz_mov_pd(m.m, x.v)}; }
// x + y in the lanes of m, x in the others.
SOFTCLASS_INLINE Floats add_where(FloatMask m, Floats x, Floats y) { return {_mm512_mask_add_ps(x.v, m.m, x.v, y.v)}; }
SOFTCLASS_INLINE Doubles add_where(DoubleMask m, Doubles x, Doubles y) {
  return {_mm512_mask_add_pd(x.v, m.m, x.v, y.v)};
}

// float to double: lanes 0-7 and lanes 8-15; back with one rounding.
SOFTCLASS_INLINE Doubles low_half(Floats x) { return {_mm512_cvtps_pd(_mm512_castps512_ps256(x.v))}; }
SOFTCLASS_INLINE Doubles high_half(Floats x) { return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1))}; }
SOFTCLASS_INLINE Floats narrow(Doubles low, Doubles high) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.v)), _mm512_cvtpd_ps(high.v), 1)};
}

// The largest lane of numbers without NaN.
SOFTCLASS_INLINE float largest(Floats x) { return _mm512_reduce_max_ps(x.v); }
SOFTCLASS_INLINE double largest(Doubles x) { return _mm512_reduce_max_pd(x.v); }
// Lane l is added to lane l + lanes/2, and so on.
SOFTCLASS_INLINE double sum_of_lanes(Doubles x) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(x.v), _mm512_extractf64x4_pd(x.v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Whole numbers that pick a class in each lane. Loaded from int64; what lies outside [0, 2^31) picks none.
struct FloatPicks {
  __m512i v;
};
struct DoublePicks {
  __m512i v;
};
SOFTCLASS_INLINE DoublePicks load_picks(Doubles, const int64_t* p) { return {_mm512_loadu_si512(p)}; }
SOFTCLASS_INLINE FloatPicks load_picks(Floats, const int64_t* p) {
  const __m512i low = _mm512_loadu_si512(p), high = _mm512_loadu_si512(p + 8);
  const __m512i limit = _mm512_set1_epi64(int64_t(1) << 31), none = _mm512_set1_epi64(-1);
  const __m256i a = _mm512_cvtepi64_epi32(_mm512_mask_mov_epi64(none, _mm512_cmplt_epu64_mask(low, limit), low));
  const __m256i b = _mm512_cvtepi64_epi32(_mm512_mask_mov_epi64(none, _mm512_cmplt_epu64_mask(high, limit), high));
  return {_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1)};
}
SOFTCLASS_INLINE FloatMask picks(FloatPicks x, int c) { return {_mm512_cmpeq_epi32_mask(x.v, _mm512_set1_epi32(c))}; }
SOFTCLASS_INLINE DoubleMask picks(DoublePicks x, int c) { return {_mm512_cmpeq_epi64_mask(x.v, _mm512_set1_epi64(c))}; }

// Quarter j (16 bytes) of the vector is what lies at p + j step; step counts elements.
SOFTCLASS_INLINE Floats load_quarters(const float* p, int64_t step) {
  __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p));
  x = _mm512_mask_broadcast_f32x4(x, 0x00f0, _mm_loadu_ps(p + step));
  x = _mm512_mask_broadcast_f32x4(x, 0x0f00, _mm_loadu_ps(p + 2 * step));
  return {_mm512_mask_broadcast_f32x4(x, 0xf000, _mm_loadu_ps(p + 3 * step))};
}
SOFTCLASS_INLINE Doubles load_quarters(const double* p, int64_t step) {
  __m512d x = _mm512_castpd128_pd512(_mm_loadu_pd(p));
  x = _mm512_mask_broadcast_f64x2(x, 0x0c, _mm_loadu_pd(p + step));
  x = _mm512_mask_broadcast_f64x2(x, 0x30, _mm_loadu_pd(p + 2 * step));
  return {_mm512_mask_broadcast_f64x2(x, 0xc0, _mm_loadu_pd(p + 3 * step))};
}
SOFTCLASS_INLINE void store_quarters(float* p, int64_t step, Floats x) {
  _mm_storeu_ps(p, _mm512_castps512_ps128(x.v));
  _mm_storeu_ps(p + step, _mm512_extractf32x4_ps(x.v, 1));
  _mm_storeu_ps(p + 2 * step, _mm512_extractf32x4_ps(x.v, 2));
  _mm_storeu_ps(p + 3 * step, _mm512_extractf32x4_ps(x.v, 3));
}
SOFTCLASS_INLINE void store_quarters(double* p, int64_t step, Doubles x) {
  _mm_storeu_pd(p, _mm512_castpd512_pd128(x.v));
  _mm_storeu_pd(p + step, _mm512_extractf64x2_pd(x.v, 1));
  _mm_storeu_pd(p + 2 * step, _mm512_extractf64x2_pd(x.v, 2));
  _mm_storeu_pd(p + 3 * step, _mm512_extractf64x2_pd(x.v, 3));
}
// Only the first Count elements of every quarter: 1 to 3 floats, 1 double.
template <int Count>
SOFTCLASS_INLINE void store_start(float* p, __m128 x) {
  static_assert(Count >= 1 && Count <= 3, "a whole quarter is for store_quarters");
  if constexpr (Count == 1) {
    _mm_store_ss(p, x);
  } else {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), x);
    if constexpr (Count == 3) _mm_store_ss(p + 2, _mm_movehl_ps(x, x));
  }
}
template <int Count>
SOFTCLASS_INLINE void store_starts(float* p, int64_t step, Floats x) {
  store_start<Count>(p, _mm512_castps512_ps128(x.v));
  store_start<Count>(p + step, _mm512_extractf32x4_ps(x.v, 1));
  store_start<Count>(p + 2 * step, _mm512_extractf32x4_ps(x.v, 2));
  store_start<Count>(p + 3 * step, _mm512_extractf32x4_ps(x.v, 3));
}
template <int Count>
SOFTCLASS_INLINE void store_starts(double* p, int64_t step, Doubles x) {
  static_assert(Count == 1, "a whole quarter is for store_quarters");
  _mm_store_sd(p, _mm512_castpd512_pd128(x.v));
  _mm_store_sd(p + step, _mm512_extractf64x2_pd(x.v, 1));
  _mm_store_sd(p + 2 * step, _mm512_extractf64x2_pd(x.v, 2));
  _mm_store_sd(p + 3 * step, _mm512_extractf64x2_pd(x.v, 3));
}
// 4 x 4 floats, 2 x 2 doubles, transposed inside every quarter.
SOFTCLASS_INLINE void transpose_quarters(Floats* a) {
  const __m512 t0 = _mm512_unpacklo_ps(a[0].v, a[1].v), t1 = _mm512_unpackhi_ps(a[0].v, a[1].v);
  const __m512 t2 = _mm512_unpacklo_ps(a[2].v, a[3].v), t3 = _mm512_unpackhi_ps(a[2].v, a[3].v);
  a[0].v = _mm512_shuffle_ps(t0, t2, 0x44);
  a[1].v = _mm512_shuffle_ps(t0, t2, 0xee);
  a[2].v = _mm512_shuffle_ps(t1, t3, 0x44);
  a[3].v = _mm512_shuffle_ps(t1, t3, 0xee);
}
SOFTCLASS_INLINE void transpose_quarters(Doubles* a) {
  const __m512d low = _mm512_unpacklo_pd(a[0].v, a[1].v), high = _mm512_unpackhi_pd(a[0].v, a[1].v);
  a[0].v = low;
  a[1].v = high;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
