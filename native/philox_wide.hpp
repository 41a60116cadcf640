// keep_mask of philox.hpp with as many counters side by side as a vector has lanes; the same numbers.
#pragma once

#include "philox.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// What keep_pieces may write behind the last piece.
constexpr int64_t wide_pieces = 128;

#if defined(SOFTCLASS_TARGET_avx512)

struct WideProduct {
  __m512i low, high;
};
SOFTCLASS_INLINE WideProduct wide_product(__m512i a, uint32_t factor) {
  const __m512i f = _mm512_set1_epi32(int(factor));
  const __m512i even = _mm512_mul_epu32(a, f), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), f);
  return {_mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32)),
          _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd)};
}

static void keep_pieces(const Philox& place, uint32_t threshold, int64_t count, uint8_t* keep) {
  // Counters stand so that blocks come out in order when four words of four of them are transposed in every quarter.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i least = _mm512_set1_epi16(int16_t(uint16_t(threshold)));
  const __mmask32 some = threshold > 65535 ? 0 : ~__mmask32(0);
  for (int64_t j = 0; j < count; j += 128) {
    __m512i a = _mm512_add_epi32(order, _mm512_set1_epi32(int(j / 8))), b = _mm512_set1_epi32(int(place.row));
    __m512i c = _mm512_set1_epi32(int(place.epoch)), d = _mm512_set1_epi32(int(place.stream));
    uint32_t key0 = uint32_t(place.seed), key1 = uint32_t(place.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const WideProduct x = wide_product(a, 0xD2511F53u), y = wide_product(c, 0xCD9E8D57u);
      a = _mm512_xor_si512(_mm512_xor_si512(y.high, b), _mm512_set1_epi32(int(key0)));
      c = _mm512_xor_si512(_mm512_xor_si512(x.high, d), _mm512_set1_epi32(int(key1)));
      b = y.low;
      d = x.low;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    const __m512i ab_high = _mm512_unpackhi_epi32(a, b), cd_high = _mm512_unpackhi_epi32(c, d);
    const __m512i words[4] = {_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd),
                              _mm512_unpacklo_epi64(ab_high, cd_high), _mm512_unpackhi_epi64(ab_high, cd_high)};
    for (int q = 0; q < 4; ++q) {
      const __mmask32 kept = _mm512_mask_cmpge_epu16_mask(some, words[q], least);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(keep + j + 32 * q), _mm256_maskz_set1_epi8(kept, 1));
    }
  }
}

#elif defined(SOFTCLASS_TARGET_avx2)

struct WideProduct {
  __m256i low, high;
};
SOFTCLASS_INLINE WideProduct wide_product(__m256i a, uint32_t factor) {
  const __m256i f = _mm256_set1_epi32(int(factor));
  const __m256i even = _mm256_mul_epu32(a, f), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), f);
  return {_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa),
          _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)};
}

static void keep_pieces(const Philox& place, uint32_t threshold, int64_t count, uint8_t* keep) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);  // as above
  const __m256i least = _mm256_set1_epi16(int16_t(uint16_t(threshold)));
  const __m256i one = _mm256_set1_epi16(threshold > 65535 ? 0 : 1);
  for (int64_t j = 0; j < count; j += 64) {
    __m256i a = _mm256_add_epi32(order, _mm256_set1_epi32(int(j / 8))), b = _mm256_set1_epi32(int(place.row));
    __m256i c = _mm256_set1_epi32(int(place.epoch)), d = _mm256_set1_epi32(int(place.stream));
    uint32_t key0 = uint32_t(place.seed), key1 = uint32_t(place.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const WideProduct x = wide_product(a, 0xD2511F53u), y = wide_product(c, 0xCD9E8D57u);
      a = _mm256_xor_si256(_mm256_xor_si256(y.high, b), _mm256_set1_epi32(int(key0)));
      c = _mm256_xor_si256(_mm256_xor_si256(x.high, d), _mm256_set1_epi32(int(key1)));
      b = y.low;
      d = x.low;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
    const __m256i ab_high = _mm256_unpackhi_epi32(a, b), cd_high = _mm256_unpackhi_epi32(c, d);
    const __m256i words[4] = {_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd),
                              _mm256_unpacklo_epi64(ab_high, cd_high), _mm256_unpackhi_epi64(ab_high, cd_high)};
    for (int q = 0; q < 4; ++q) {
      const __m256i is_kept = _mm256_cmpeq_epi16(_mm256_max_epu16(words[q], least), words[q]);
      const __m256i ones = _mm256_and_si256(is_kept, one);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(keep + j + 16 * q),
                       _mm_packus_epi16(_mm256_castsi256_si128(ones), _mm256_extracti128_si256(ones, 1)));
    }
  }
}

#else

static void keep_pieces(const Philox& place, uint32_t threshold, int64_t count, uint8_t* keep) {
  keep_mask(place, threshold, count, keep);
}

#endif

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
