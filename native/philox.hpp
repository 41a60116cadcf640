// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, 2011): random numbers by place. The four words of a counter are
// (block, row or tensor, epoch, stream), the key is the seed; so any number can be had alone, in any order.
#pragma once

#include <cstdint>

namespace softclass {

enum class Stream : uint32_t { start_weights = 0, order = 1, augmentation = 2, unknown_codes = 3, dropout = 8 };

struct Philox {
  uint64_t seed;
  uint32_t row, epoch, stream;
};

// `count` blocks of four words from block `first` on, as they follow each other. Whole vectors of them at a time.
static inline void philox_blocks(const Philox& place, uint32_t first, int64_t count, uint32_t* words) {
  constexpr int at_once = 16;
  uint32_t a[at_once], b[at_once], c[at_once], d[at_once];
  for (int64_t begin = 0; begin < count; begin += at_once) {
    for (int i = 0; i < at_once; ++i) {
      a[i] = first + uint32_t(begin) + uint32_t(i);
      b[i] = place.row;
      c[i] = place.epoch;
      d[i] = place.stream;
    }
    uint32_t key0 = uint32_t(place.seed), key1 = uint32_t(place.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < at_once; ++i) {
        const uint64_t x = uint64_t(a[i]) * 0xD2511F53u, y = uint64_t(c[i]) * 0xCD9E8D57u;
        const uint32_t from_y = uint32_t(y >> 32) ^ b[i] ^ key0, from_x = uint32_t(x >> 32) ^ d[i] ^ key1;
        a[i] = from_y;
        b[i] = uint32_t(y);
        c[i] = from_x;
        d[i] = uint32_t(x);
      }
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const int left = count - begin < at_once ? int(count - begin) : at_once;
    for (int i = 0; i < left; ++i) {
      uint32_t* const to = words + 4 * (begin + i);
      to[0] = a[i];
      to[1] = b[i];
      to[2] = c[i];
      to[3] = d[i];
    }
  }
}

static inline float uniform_of(uint32_t word) { return float(word >> 8) * 0x1p-24f; }  // [0, 1)

// Of 16-bit pieces: a piece below it says "drop".
static inline uint32_t drop_threshold(double probability) {
  const double t = probability * 65536.0 + 0.5;
  return t <= 0.0 ? 0u : t >= 65536.0 ? 65536u : uint32_t(t);
}

// keep[j] = 1 where piece j of the stream from block `first` on (eight pieces each, the low half of a word before the
// high one) is not below the threshold.
static inline void keep_mask(const Philox& place, uint32_t threshold, int64_t count, uint8_t* keep,
                             uint32_t first = 0) {
  constexpr int64_t blocks = 32;
  uint32_t words[4 * blocks];
  for (int64_t j = 0; j < count;) {
    const int64_t left = count - j, some = left < 8 * blocks ? (left + 7) / 8 : blocks;
    philox_blocks(place, first + uint32_t(j / 8), some, words);
    const int64_t end = j + 8 * some < count ? j + 8 * some : count;
    const uint32_t* word = words;
    for (; j + 1 < end; j += 2, ++word) {
      keep[j] = (*word & 0xffffu) >= threshold;
      keep[j + 1] = (*word >> 16) >= threshold;
    }
    if (j < end) {
      keep[j] = (*word & 0xffffu) >= threshold;
      ++j;
    }
  }
}

// The order of the rows in an epoch: from the last place down, place i swaps with one of 0 ... i, the upper half of
// word (i + 1); a word whose lower half lies below 2^32 mod (i + 1) is passed over (Lemire, 2019).
static inline void shuffled_rows(uint64_t seed, uint32_t epoch, int64_t n, int64_t* order) {
  constexpr int64_t blocks = 64;
  uint32_t words[4 * blocks];
  int64_t used = 4 * blocks;
  uint32_t block = 0;
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    const uint64_t places = uint64_t(i) + 1;
    uint64_t product;
    do {
      if (used == 4 * blocks) {
        philox_blocks({seed, 0, epoch, uint32_t(Stream::order)}, block, blocks, words);
        block += uint32_t(blocks);
        used = 0;
      }
      product = words[used++] * places;
    } while (uint32_t(product) < places && uint32_t(product) < uint32_t((uint64_t(1) << 32) % places));
    const int64_t j = int64_t(product >> 32), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

// What augmentation does to a row in an epoch: word 0 flips, words 1 and 2 move it down and to the right.
struct Augmentation {
  bool is_flipped;
  int down, right;  // -shift ... shift
};
static inline Augmentation augmentation_of(uint64_t seed, uint32_t epoch, uint32_t row, bool flips, int shift) {
  uint32_t words[4];
  philox_blocks(Philox{seed, row, epoch, uint32_t(Stream::augmentation)}, 0, 1, words);
  const uint64_t places = uint64_t(2 * shift + 1);
  return {flips && (words[0] >> 31) != 0, int(words[1] * places >> 32) - shift, int(words[2] * places >> 32) - shift};
}

}  // namespace softclass
