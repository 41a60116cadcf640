// An image as the first stage reads it: (row, column, channel), normalised, zeros around it, flipped and moved if the
// row's random numbers say so. Normalising is the graph's own Sub and Mul, each rounded to float. Moved images repeat
// the pixels of their edge.
#pragma once

#include "cnn.hpp"
#include "fetch.hpp"
#include "philox.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE int between(int x, int last) { return x < 0 ? 0 : x > last ? last : x; }

// `count` values that follow each other, of channel 0 first.
template <class Pixel>
SOFTCLASS_INLINE void normalise(const CnnShape& shape, const Pixel* from, int64_t count, float* to) {
  const int C = shape.channels;
  if (C == 1) {
    const float offset = shape.subtract[0], scale = shape.multiply[0];
    for (int64_t j = 0; j < count; ++j) to[j] = (float(from[j]) - offset) * scale;
    return;
  }
  for (int64_t j = 0; j < count; j += C)
    for (int c = 0; c < C; ++c) to[j + c] = (float(from[j + c]) - shape.subtract[c]) * shape.multiply[c];
}

template <class Pixel>
SOFTCLASS_INLINE void fill_image(const CnnShape& shape, Augmentation how, const Pixel* pixels, float* image) {
  const CnnStage& stage = shape.stages[0];
  const int C = shape.channels, row = shape.width * C;
  if (stage.in_height == shape.height && stage.in_width == shape.width && !how.is_flipped && how.right == 0 &&
      how.down == 0)
    return normalise(shape, pixels, int64_t(shape.height) * row, image);
  for (int64_t j = 0; j < int64_t(stage.in_height) * stage.in_row; ++j) image[j] = 0.0f;
  for (int y = 0; y < shape.height; ++y) {
    const Pixel* const from = pixels + int64_t(between(y - how.down, shape.height - 1)) * row;
    float* const to = image + int64_t(shape.top + y) * stage.in_row + int64_t(shape.left) * C;
    if (!how.is_flipped && how.right == 0) {
      normalise(shape, from, row, to);
      continue;
    }
    for (int x = 0; x < shape.width; ++x) {
      const int moved = between(x - how.right, shape.width - 1);
      normalise(shape, from + (how.is_flipped ? shape.width - 1 - moved : moved) * C, C, to + x * C);
    }
  }
}

// Asks the memory for a row that will be filled soon: rows of the data lie anywhere.
SOFTCLASS_INLINE void fetch_row(const CnnShape& shape, const LaneCall& call, int64_t index) {
  const int64_t size = int64_t(shape.height) * shape.width * shape.channels * (call.rows->pixels ? 1 : 4);
  const char* const row = (call.rows->pixels ? reinterpret_cast<const char*>(call.rows->pixels)
                                             : reinterpret_cast<const char*>(call.rows->numbers)) + index * size;
  for (int64_t j = 0; j < size; j += 64) fetch_line(row + j);
}

// Row `index` of the data.
SOFTCLASS_INLINE void fill_row(const CnnShape& shape, const LaneCall& call, int64_t index, float* image) {
  Augmentation how{false, 0, 0};
  if (call.is_training && (call.flips || call.shift > 0))
    how = augmentation_of(call.seed, call.epoch, uint32_t(index), call.flips, call.shift);
  const int64_t size = int64_t(shape.height) * shape.width * shape.channels;
  if (call.rows->pixels)
    fill_image(shape, how, call.rows->pixels + index * size, image);
  else
    fill_image(shape, how, call.rows->numbers + index * size, image);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
