// Masks of lanes from bits that were kept, the other way of bits_of.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

#if defined(SOFTCLASS_TARGET_avx512)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) { return {__mmask16(bits)}; }
#elif defined(SOFTCLASS_TARGET_avx2)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  const __m256i own = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(bits)), own), own))};
}
#elif defined(SOFTCLASS_TARGET_neon)
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  const uint32_t own[4] = {1, 2, 4, 8};
  return {vtstq_u32(vdupq_n_u32(bits), vld1q_u32(own))};
}
#else
SOFTCLASS_INLINE FloatMask mask_of(unsigned bits) {
  FloatMask m;
  for (int l = 0; l < Floats::lanes; ++l) m.m[l] = (bits >> l) & 1;
  return m;
}
#endif

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
