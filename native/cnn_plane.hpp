// An image as the first stage reads it: (row, column, channel), normalised, zeros around it, flipped and moved if the row's
// random numbers say so. Pixels are whole numbers, so all their values come from a table made with the same two operations
// as the graph's; moved images repeat the pixels of their edge.
#pragma once

#include "cnn.hpp"
#include "philox.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE int between(int x, int last) { return x < 0 ? 0 : x > last ? last : x; }

template <class Value>
SOFTCLASS_INLINE void fill_image(const CnnShape& shape, Augmentation how, float* image, const Value& value) {
  const CnnStage& stage = shape.stages[0];
  const int C = shape.channels;
  for (int64_t j = 0; j < int64_t(stage.in_height) * stage.in_row; ++j) image[j] = 0.0f;
  for (int y = 0; y < shape.height; ++y) {
    const int64_t row = int64_t(between(y - how.down, shape.height - 1)) * shape.width;
    float* to = image + int64_t(shape.top + y) * stage.in_row + int64_t(shape.left) * C;
    if (!how.is_flipped && how.right == 0) {
      for (int64_t j = row * C, end = j + int64_t(shape.width) * C; j < end;)
        for (int c = 0; c < C; ++c, ++j) *to++ = value(j, c);
      continue;
    }
    for (int x = 0; x < shape.width; ++x) {
      const int moved = between(x - how.right, shape.width - 1);
      const int64_t from = (row + (how.is_flipped ? shape.width - 1 - moved : moved)) * C;
      for (int c = 0; c < C; ++c) *to++ = value(from + c, c);
    }
  }
}

// Row `index` of the data.
SOFTCLASS_INLINE void fill_row(const CnnShape& shape, const LaneCall& call, int64_t index, float* image) {
  Augmentation how{false, 0, 0};
  if (call.is_training && (call.flips || call.shift > 0))
    how = augmentation_of(call.seed, call.epoch, uint32_t(index), call.flips, call.shift);
  const int64_t size = int64_t(shape.height) * shape.width * shape.channels;
  if (call.rows->pixels) {
    const uint8_t* const pixels = call.rows->pixels + index * size;
    if (shape.channels == 1)
      fill_image(shape, how, image, [&](int64_t j, int) { return shape.table[0][pixels[j]]; });
    else
      fill_image(shape, how, image, [&](int64_t j, int c) { return shape.table[c][pixels[j]]; });
  } else {
    const float* const numbers = call.rows->numbers + index * size;
    fill_image(shape, how, image,
               [&](int64_t j, int c) { return (numbers[j] - shape.subtract[c]) * shape.multiply[c]; });
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
