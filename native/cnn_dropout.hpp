// Dropout before a dense layer. A dropped feature of a map is a window without a winner, so nothing on the way back has
// to know of it; a dropped hidden value is 0, which is where relu has no gradient. What is kept is divided by its
// probability.
#pragma once

#include "cnn.hpp"
#include "cnn_stage.hpp"
#include "philox_wide.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Dropout {
  bool is_on;
  float scale;
  double probability;
};
SOFTCLASS_INLINE Dropout dropout_of(const CnnDense& layer, const LaneCall& call) {
  const double probability = layer.dropout * call.dropout_factor;
  const bool is_on = layer.mask >= 0 && (call.masks || (call.is_training && probability > 0.0));
  return {is_on, is_on ? float(1.0 / (1.0 - probability)) : 1.0f, probability};
}

// 1 for every logical input of the layer that is kept; `row` counts from the lane's first one.
static const uint8_t* kept_inputs(const CnnDense& layer, int number, const Dropout& dropout, const LaneCall& call,
                                  int64_t row, uint8_t* keep) {
  if (call.masks) return call.masks[layer.mask] + (call.first + row) * layer.real_inputs;
  const Philox place{call.seed, uint32_t(call.indices[row]), call.epoch, uint32_t(Stream::dropout) + uint32_t(number)};
  keep_pieces(place, drop_threshold(dropout.probability), layer.real_inputs, keep);
  return keep;
}

// Of the first `count` bytes, at most a vector of them.
SOFTCLASS_INLINE unsigned kept_bits(const uint8_t* keep, int count) {
  if (count >= Floats::lanes) return bits_of_bytes(keep);
  unsigned bits = 0;
  for (int l = 0; l < count; ++l) bits |= unsigned(keep[l]) << l;
  return bits;
}

// The last map of a row, whose positions have real_outputs logical channels of `outputs`.
static void drop_features(const CnnStage& stage, const uint8_t* keep, float scale, float* h, Winners* winners) {
  constexpr int L = Floats::lanes;
  const Floats factor = broadcast(scale);
  for (int64_t w = 0; w < stage.windows; ++w, keep += stage.real_outputs)
    for (int c = 0; c < stage.outputs; c += L, h += L, ++winners) {
      const unsigned bits = kept_bits(keep + c, stage.real_outputs - c);
      winners->alive &= uint16_t(bits);
      store(h, keep_where(mask_of(bits), load(h) * factor));
    }
}

static void drop_hidden(int64_t count, const uint8_t* keep, float scale, float* h) {
  for (int64_t j = 0; j < count; ++j) h[j] = keep[j] ? h[j] * scale : 0.0f;
}

static void scale_all(int64_t count, float scale, float* values) {
  const Floats factor = broadcast(scale);
  for (int64_t j = 0; j < count; j += Floats::lanes) store(values + j, load(values + j) * factor);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
