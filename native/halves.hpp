// float16 and bfloat16 to float, exactly, and back with one rounding to nearest, ties to even; a NaN stays a (quiet)
// NaN and subnormal numbers stay what they are, which the instructions for bfloat16 do not promise.
#pragma once

#include "simd.hpp"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
SOFTCLASS_INLINE uint32_t bits_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

SOFTCLASS_INLINE float float_of_bfloat16(uint16_t x) { return float_of_bits(uint32_t(x) << 16); }
SOFTCLASS_INLINE uint16_t bfloat16_of_float(float x) {
  const uint32_t bits = bits_of_float(x);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

SOFTCLASS_INLINE float float_of_float16(uint16_t x) {
  const uint32_t magnitude = x & 0x7fff, sign = uint32_t(x & 0x8000) << 16;
  // A subnormal number counts units of 2^-24; all others move their exponent by 127 - 15.
  const uint32_t small = bits_of_float(float(int32_t(magnitude)) * 0x1p-24f);
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = magnitude << 13 | 0x7f800000 | (magnitude > 0x7c00 ? 0x400000 : 0);
  return float_of_bits(sign | (magnitude < 0x400 ? small : magnitude < 0x7c00 ? normal : special));
}
SOFTCLASS_INLINE uint16_t float16_of_float(float x) {
  const uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
  // Below 2^-14: adding 2^-1 leaves units of 2^-24 in the last place, rounded by the addition itself.
  const uint32_t small = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  const uint32_t special = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x1ff) : 0x7c00;
  return uint16_t(sign | (magnitude < 0x38800000 ? small : magnitude < 0x477ff000 ? normal : special));
}

// A double and what it lacks, rounded to odd: if it is no float, to the neighbour whose last bit is 1. To 16 bits that one
// rounds as the number itself would, where the nearest float may lie half way (Boldo and Melquiond, 2008).
SOFTCLASS_INLINE float float_to_odd(double x, double lost) {
  const float near = float(x);
  const double left = (x - double(near)) + lost;
  const uint32_t bits = bits_of_float(near);
  if (bits & 1 || !(left > 0 || left < 0)) return near;
  return float_of_bits((left > 0) == (near > 0) ? bits + 1 : bits - 1);
}

SOFTCLASS_INLINE void widen_bfloat16(const uint16_t* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = float_of_bfloat16(from[i]);
}
SOFTCLASS_INLINE void narrow_to_bfloat16(const float* from, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = bfloat16_of_float(from[i]);
}
SOFTCLASS_INLINE void widen_float16(const uint16_t* from, int64_t count, float* to) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
  for (; i < count; ++i) to[i] = float_of_float16(from[i]);
}
SOFTCLASS_INLINE void narrow_to_float16(const float* from, int64_t count, uint16_t* to) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
  for (; i < count; ++i) to[i] = float16_of_float(from[i]);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
