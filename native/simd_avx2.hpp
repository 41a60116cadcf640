// AVX2 with FMA and F16C: 8 floats, 4 doubles. See simd.hpp; simd_avx512.hpp says what each function is.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Floats {
  static constexpr int lanes = 8;
  __m256 v;
};
struct Doubles {
  static constexpr int lanes = 4;
  __m256d v;
};
struct FloatMask {
  __m256 m;
};
struct DoubleMask {
  __m256d m;
};

SOFTCLASS_INLINE Floats load(const float* p) { return {_mm256_loadu_ps(p)}; }
SOFTCLASS_INLINE Doubles load(const double* p) { return {_mm256_loadu_pd(p)}; }
SOFTCLASS_INLINE void store(float* p, Floats x) { _mm256_storeu_ps(p, x.v); }
SOFTCLASS_INLINE void store(double* p, Doubles x) { _mm256_storeu_pd(p, x.v); }
SOFTCLASS_INLINE void stream(float* p, Floats x) { _mm256_stream_ps(p, x.v); }
SOFTCLASS_INLINE void stream(double* p, Doubles x) { _mm256_stream_pd(p, x.v); }
SOFTCLASS_INLINE void stream_fence() { _mm_sfence(); }
SOFTCLASS_INLINE __m256i first_lanes(Floats, int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SOFTCLASS_INLINE __m256i first_lanes(Doubles, int count) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}
SOFTCLASS_INLINE Floats load_first(const float* p, int count, Floats otherwise) {
  const __m256i m = first_lanes(otherwise, count);
  return {_mm256_blendv_ps(otherwise.v, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m))};
}
SOFTCLASS_INLINE Doubles load_first(const double* p, int count, Doubles otherwise) {
  const __m256i m = first_lanes(otherwise, count);
  return {_mm256_blendv_pd(otherwise.v, _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m))};
}
SOFTCLASS_INLINE void store_first(float* p, Floats x, int count) { _mm256_maskstore_ps(p, first_lanes(x, count), x.v); }
SOFTCLASS_INLINE void store_first(double* p, Doubles x, int count) {
  _mm256_maskstore_pd(p, first_lanes(x, count), x.v);
}
SOFTCLASS_INLINE Floats broadcast(float x) { return {_mm256_set1_ps(x)}; }
SOFTCLASS_INLINE Doubles broadcast(double x) { return {_mm256_set1_pd(x)}; }

SOFTCLASS_INLINE Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles add(Doubles a, Doubles b) { return {_mm256_add_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats subtract(Floats a, Floats b) { return {_mm256_sub_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles subtract(Doubles a, Doubles b) { return {_mm256_sub_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats multiply(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles multiply(Doubles a, Doubles b) { return {_mm256_mul_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats divide(Floats a, Floats b) { return {_mm256_div_ps(a.v, b.v)}; }
SOFTCLASS_INLINE Doubles divide(Doubles a, Doubles b) { return {_mm256_div_pd(a.v, b.v)}; }
SOFTCLASS_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
SOFTCLASS_INLINE Doubles fma(Doubles a, Doubles b, Doubles c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
SOFTCLASS_INLINE Floats greater_of(Floats x, Floats best) { return {_mm256_max_ps(x.v, best.v)}; }
SOFTCLASS_INLINE Doubles greater_of(Doubles x, Doubles best) { return {_mm256_max_pd(x.v, best.v)}; }
SOFTCLASS_INLINE Floats round_to_even(Floats x) {
  return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
SOFTCLASS_INLINE Doubles round_to_even(Doubles x) {
  return {_mm256_round_pd(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for whole n in the range of normal numbers.
SOFTCLASS_INLINE Floats power_of_two(Floats n) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23))};
}
SOFTCLASS_INLINE Doubles power_of_two(Doubles n) {
  const __m256i whole = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n.v));
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(whole, _mm256_set1_epi64x(1023)), 52))};
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
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.v), 23))};
}
SOFTCLASS_INLINE Doubles as_exponent(Doubles x) {
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(x.v), 52))};
}
SOFTCLASS_INLINE Doubles exponent_of(Doubles x) {
  // The biased exponent, as the low bits of a double between 2^52 and 2^53.
  const __m256i biased = _mm256_srli_epi64(_mm256_castpd_si256(x.v), 52);
  const __m256d shifted = _mm256_castsi256_pd(_mm256_or_si256(biased, _mm256_castpd_si256(_mm256_set1_pd(0x1p52))));
  return {_mm256_sub_pd(shifted, _mm256_set1_pd(0x1p52 + 1023.0))};
}

SOFTCLASS_INLINE FloatMask less(Floats a, Floats b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
SOFTCLASS_INLINE DoubleMask less(Doubles a, Doubles b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
SOFTCLASS_INLINE FloatMask not_less(Floats a, Floats b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NLT_UQ)}; }
SOFTCLASS_INLINE DoubleMask not_less(Doubles a, Doubles b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_NLT_UQ)}; }
SOFTCLASS_INLINE FloatMask equal(Floats a, Floats b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
SOFTCLASS_INLINE DoubleMask equal(Doubles a, Doubles b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ)}; }
SOFTCLASS_INLINE FloatMask both(FloatMask a, FloatMask b) { return {_mm256_and_ps(a.m, b.m)}; }
SOFTCLASS_INLINE DoubleMask both(DoubleMask a, DoubleMask b) { return {_mm256_and_pd(a.m, b.m)}; }
SOFTCLASS_INLINE FloatMask either(FloatMask a, FloatMask b) { return {_mm256_or_ps(a.m, b.m)}; }
SOFTCLASS_INLINE DoubleMask either(DoubleMask a, DoubleMask b) { return {_mm256_or_pd(a.m, b.m)}; }
SOFTCLASS_INLINE FloatMask none_of(FloatMask a) {
  return {_mm256_xor_ps(a.m, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
SOFTCLASS_INLINE DoubleMask none_of(DoubleMask a) {
  return {_mm256_xor_pd(a.m, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))};
}
SOFTCLASS_INLINE unsigned bits_of(FloatMask a) { return unsigned(_mm256_movemask_ps(a.m)); }
SOFTCLASS_INLINE unsigned bits_of(DoubleMask a) { return unsigned(_mm256_movemask_pd(a.m)); }
SOFTCLASS_INLINE Floats select(FloatMask m, Floats yes, Floats no) { return {_mm256_blendv_ps(no.v, yes.v, m.m)}; }
SOFTCLASS_INLINE Doubles select(DoubleMask m, Doubles yes, Doubles no) { return {_mm256_blendv_pd(no.v, yes.v, m.m)}; }
SOFTCLASS_INLINE Floats zero_where(FloatMask m, Floats x) { return {_mm256_andnot_ps(m.m, x.v)}; }
SOFTCLASS_INLINE Doubles zero_where(DoubleMask m, Doubles x) { return {_mm256_andnot_pd(m.m, x.v)}; }
SOFTCLASS_INLINE Floats keep_where(FloatMask m, Floats x) { return {_mm256_and_ps(m.m, x.v)}; }
SOFTCLASS_INLINE Doubles keep_where(DoubleMask m, Doubles x) { return {_mm256_and_pd(m.m, x.v)}; }
SOFTCLASS_INLINE Floats add_where(FloatMask m, Floats x, Floats y) { return select(m, add(x, y), x); }
SOFTCLASS_INLINE Doubles add_where(DoubleMask m, Doubles x, Doubles y) { return select(m, add(x, y), x); }

SOFTCLASS_INLINE Doubles low_half(Floats x) { return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.v))}; }
SOFTCLASS_INLINE Doubles high_half(Floats x) { return {_mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1))}; }
SOFTCLASS_INLINE Floats narrow(Doubles low, Doubles high) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low.v)), _mm256_cvtpd_ps(high.v), 1)};
}

SOFTCLASS_INLINE float largest(Floats x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
SOFTCLASS_INLINE double largest(Doubles x) {
  const __m128d two = _mm_max_pd(_mm256_castpd256_pd128(x.v), _mm256_extractf128_pd(x.v, 1));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}
SOFTCLASS_INLINE double sum_of_lanes(Doubles x) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(x.v), _mm256_extractf128_pd(x.v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

SOFTCLASS_INLINE Floats times_normal_power(Floats x, Floats, Floats biased) { return multiply(x, as_exponent(biased)); }
SOFTCLASS_INLINE Doubles times_normal_power(Doubles x, Doubles, Doubles biased) {
  return multiply(x, as_exponent(biased));
}
constexpr bool multiplies_by_powers = false;
constexpr int exp_group = 2;

struct FloatPicks {
  __m256i v;
};
struct DoublePicks {
  __m256i v;
};
SOFTCLASS_INLINE DoublePicks load_picks(Doubles, const int64_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
SOFTCLASS_INLINE FloatPicks load_picks(Floats, const int64_t* p) {
  alignas(32) int32_t lane[8];
  for (int l = 0; l < 8; ++l) lane[l] = p[l] >= 0 && p[l] < (int64_t(1) << 31) ? int32_t(p[l]) : -1;
  return {_mm256_load_si256(reinterpret_cast<const __m256i*>(lane))};
}
SOFTCLASS_INLINE FloatMask picks(FloatPicks x, int c) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(x.v, _mm256_set1_epi32(c)))};
}
SOFTCLASS_INLINE DoubleMask picks(DoublePicks x, int c) {
  return {_mm256_castsi256_pd(_mm256_cmpeq_epi64(x.v, _mm256_set1_epi64x(c)))};
}

SOFTCLASS_INLINE Floats load_quarters(const float* p, int64_t step) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1)};
}
SOFTCLASS_INLINE Doubles load_quarters(const double* p, int64_t step) {
  return {_mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1)};
}
SOFTCLASS_INLINE void store_quarters(float* p, int64_t step, Floats x) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(x.v));
  _mm_storeu_ps(p + step, _mm256_extractf128_ps(x.v, 1));
}
SOFTCLASS_INLINE void store_quarters(double* p, int64_t step, Doubles x) {
  _mm_storeu_pd(p, _mm256_castpd256_pd128(x.v));
  _mm_storeu_pd(p + step, _mm256_extractf128_pd(x.v, 1));
}
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
  store_start<Count>(p, _mm256_castps256_ps128(x.v));
  store_start<Count>(p + step, _mm256_extractf128_ps(x.v, 1));
}
template <int Count>
SOFTCLASS_INLINE void store_starts(double* p, int64_t step, Doubles x) {
  static_assert(Count == 1, "a whole quarter is for store_quarters");
  _mm_store_sd(p, _mm256_castpd256_pd128(x.v));
  _mm_store_sd(p + step, _mm256_extractf128_pd(x.v, 1));
}
SOFTCLASS_INLINE void transpose_quarters(Floats* a) {
  const __m256 t0 = _mm256_unpacklo_ps(a[0].v, a[1].v), t1 = _mm256_unpackhi_ps(a[0].v, a[1].v);
  const __m256 t2 = _mm256_unpacklo_ps(a[2].v, a[3].v), t3 = _mm256_unpackhi_ps(a[2].v, a[3].v);
  a[0].v = _mm256_shuffle_ps(t0, t2, 0x44);
  a[1].v = _mm256_shuffle_ps(t0, t2, 0xee);
  a[2].v = _mm256_shuffle_ps(t1, t3, 0x44);
  a[3].v = _mm256_shuffle_ps(t1, t3, 0xee);
}
SOFTCLASS_INLINE void transpose_quarters(Doubles* a) {
  const __m256d low = _mm256_unpacklo_pd(a[0].v, a[1].v), high = _mm256_unpackhi_pd(a[0].v, a[1].v);
  a[0].v = low;
  a[1].v = high;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
