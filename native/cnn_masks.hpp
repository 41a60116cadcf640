// Lanes by bits and bytes that were kept: masks, the other way of bits_of, and one of four numbers for every lane.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// keep_bits: bit l of lane l. mask_of: lane l where bit l is set. choice_of: number 2 right + below of every lane;
// chosen: that one of four numbers. bits_of_bytes: bit l where byte l, 0 or 1, is 1.
#if defined(SOFTCLASS_TARGET_avx512)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) { return {__mmask16(bits)}; }
// Volatile: put together in a register, four masks would take the port of the multiplications.
SOFTCLASS_INLINE void keep_bits(FloatMask m, uint16_t* bits) { *static_cast<volatile __mmask16*>(bits) = m.m; }
struct Choice {
  __m512i v;
};
SOFTCLASS_INLINE Choice choice_of(unsigned right, unsigned below) {
  const __m512i down = _mm512_maskz_set1_epi32(__mmask16(below), 1);
  return {_mm512_mask_or_epi32(down, __mmask16(right), down, _mm512_set1_epi32(2))};
}
SOFTCLASS_INLINE Floats chosen(const float* four, Choice c) {
  // By hand: GCC would keep what the next window loads again, and spread it with the port that permutes.
  __m512 x;
  __asm__("vbroadcastf32x4 %1, %0" : "=v"(x) : "m"(*reinterpret_cast<const float(*)[4]>(four)));
  return {_mm512_permutevar_ps(x, c.v)};
}
SOFTCLASS_INLINE unsigned bits_of_bytes(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm_test_epi8_mask(bytes, bytes);
}
#elif defined(SOFTCLASS_TARGET_avx2)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  const __m256i own = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(bits)), own), own))};
}
struct Choice {
  __m256i v;
};
SOFTCLASS_INLINE Choice choice_of(unsigned right, unsigned below) {
  const __m256i r = _mm256_castps_si256(mask_of(right).m), b = _mm256_castps_si256(mask_of(below).m);
  return {_mm256_or_si256(_mm256_and_si256(r, _mm256_set1_epi32(2)), _mm256_and_si256(b, _mm256_set1_epi32(1)))};
}
SOFTCLASS_INLINE Floats chosen(const float* four, Choice c) {
  return {_mm256_permutevar_ps(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(four)), c.v)};
}
SOFTCLASS_INLINE unsigned bits_of_bytes(const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return unsigned(_mm_movemask_epi8(_mm_cmpgt_epi8(bytes, _mm_setzero_si128())));
}
#elif defined(SOFTCLASS_TARGET_neon)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  const uint32_t own[4] = {1, 2, 4, 8};
  return {vtstq_u32(vdupq_n_u32(bits), vld1q_u32(own))};
}
struct Choice {
  uint8x16_t v;  // of every byte its place
};
SOFTCLASS_INLINE Choice choice_of(unsigned right, unsigned below) {
  const uint32x4_t r = vandq_u32(mask_of(right).m, vdupq_n_u32(0x08080808u));
  const uint32x4_t b = vandq_u32(mask_of(below).m, vdupq_n_u32(0x04040404u));
  return {vreinterpretq_u8_u32(vorrq_u32(vorrq_u32(r, b), vdupq_n_u32(0x03020100u)))};
}
SOFTCLASS_INLINE Floats chosen(const float* four, Choice c) {
  return {vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(vld1q_f32(four)), c.v))};
}
#else
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  FloatMask m;
  for (int l = 0; l < Floats::lanes; ++l) m.m[l] = (bits >> l) & 1;
  return m;
}
struct Choice {
  int v[Floats::lanes];
};
SOFTCLASS_INLINE Choice choice_of(unsigned right, unsigned below) {
  Choice c;
  for (int l = 0; l < Floats::lanes; ++l) c.v[l] = int(2 * ((right >> l) & 1) + ((below >> l) & 1));
  return c;
}
SOFTCLASS_INLINE Floats chosen(const float* four, Choice c) {
  Floats x;
  for (int l = 0; l < Floats::lanes; ++l) x.v[l] = four[c.v[l]];
  return x;
}
#endif

// Place of the lowest bit that is set; there is one.
#if defined(_MSC_VER)
SOFTCLASS_INLINE int lowest_bit(unsigned bits) {
  int place = 0;
  for (; !(bits & 1); bits >>= 1) ++place;
  return place;
}
#else
SOFTCLASS_INLINE int lowest_bit(unsigned bits) { return __builtin_ctz(bits); }
#endif
#if !defined(SOFTCLASS_TARGET_avx512)
SOFTCLASS_INLINE void keep_bits(FloatMask m, uint16_t* bits) { *bits = uint16_t(bits_of(m)); }
#endif
#if !defined(SOFTCLASS_TARGET_avx512) && !defined(SOFTCLASS_TARGET_avx2)
SOFTCLASS_INLINE unsigned bits_of_bytes(const uint8_t* p) {
  unsigned bits = 0;
  for (int l = 0; l < Floats::lanes; ++l) bits |= unsigned(p[l]) << l;
  return bits;
}
#endif

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
