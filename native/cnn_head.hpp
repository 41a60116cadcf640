// The narrow head: few classes on many features, weights (class, feature).
//
// A logit is 16 sums, feature f in sum f mod 16, put together by a fixed tree, then the bias. Features are taken in
// blocks, so that a block of the weights meets all rows while it is in the first cache; the sums wait in `sums`
// meanwhile.
#pragma once

#include "cnn.hpp"
#include "cnn_stage.hpp"
#include "dot_step.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int head_sums = dot_unit, head_sum_vectors = dot_parts<float>;
constexpr int64_t head_block = 512;

// Rows and classes whose sums are in registers at once, and classes whose weights and gradients are.
#if defined(SOFTCLASS_TARGET_avx512)
constexpr int head_rows = 4, head_classes = 5, head_back = 12;
#elif defined(SOFTCLASS_TARGET_avx2)
constexpr int head_rows = 2, head_classes = 3, head_back = 5;
#elif defined(SOFTCLASS_TARGET_neon)
constexpr int head_rows = 2, head_classes = 3, head_back = 12;
#else
constexpr int head_rows = 1, head_classes = 1, head_back = 4;
#endif

struct HeadBlock {
  const float* features;  // rows `step` apart
  int64_t step;
  const float* weight;    // classes `inputs` apart
  int64_t inputs;
  int64_t count;          // features of this block, a multiple of 16
  float* sums;            // (row, class, 16)
  int64_t classes;
};

template <int rows, int classes>
SOFTCLASS_INLINE void add_head_block(const HeadBlock& b, int64_t row, int64_t c) {
  constexpr int L = Floats::lanes, V = head_sum_vectors;
  Floats sum[rows][classes][V];
  SOFTCLASS_UNROLL
  for (int r = 0; r < rows; ++r)
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k)
      SOFTCLASS_UNROLL
      for (int v = 0; v < V; ++v) sum[r][k][v] = load(b.sums + ((row + r) * b.classes + c + k) * head_sums + v * L);
  const float* h[rows];
  const float* w[classes];
  SOFTCLASS_UNROLL
  for (int r = 0; r < rows; ++r) h[r] = b.features + (row + r) * b.step;
  SOFTCLASS_UNROLL
  for (int k = 0; k < classes; ++k) w[k] = b.weight + (c + k) * b.inputs;
  for (int64_t f = 0; f < b.count; f += head_sums) add_dot_step<float>(h, w, f, sum);
  SOFTCLASS_UNROLL
  for (int r = 0; r < rows; ++r)
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k)
      SOFTCLASS_UNROLL
      for (int v = 0; v < V; ++v) store(b.sums + ((row + r) * b.classes + c + k) * head_sums + v * L, sum[r][k][v]);
}

template <int rows, int classes>
SOFTCLASS_APART void add_head_part(const HeadBlock& b, int64_t row, int64_t c) {
  add_head_block<rows, classes>(b, row, c);
}
template <int rows, int classes>
SOFTCLASS_INLINE void add_head_classes(int wanted, const HeadBlock& b, int64_t row, int64_t c) {
  if (wanted == classes) return add_head_part<rows, classes>(b, row, c);
  if constexpr (classes > 1) add_head_classes<rows, classes - 1>(wanted, b, row, c);
}
// All classes of some rows, evenly: 12 classes are 4, 4 and 4.
template <int rows>
SOFTCLASS_INLINE void add_head_rows(const HeadBlock& b, int64_t row) {
  const int64_t groups = (b.classes + head_classes - 1) / head_classes;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t c = b.classes * g / groups, end = b.classes * (g + 1) / groups;
    add_head_classes<rows, head_classes>(int(end - c), b, row, c);
  }
}

// logits (rows, step), from features (rows, feature_step); `sums` has room for rows x classes x 16.
static void head_forward(const CnnDense& layer, const float* features, int64_t feature_step, int64_t rows,
                         const float* weight, const float* bias, float* logits, int64_t step, float* sums) {
  const int64_t K = layer.real_outputs;
  for (int64_t j = 0; j < rows * K * head_sums; ++j) sums[j] = 0.0f;
  for (int64_t f = 0; f < layer.inputs; f += head_block) {
    const int64_t count = layer.inputs - f < head_block ? layer.inputs - f : head_block;
    const HeadBlock block{features + f, feature_step, weight + f, layer.inputs, count, sums, K};
    int64_t row = 0;
    for (; row + head_rows <= rows; row += head_rows) add_head_rows<head_rows>(block, row);
    for (; row < rows; ++row) add_head_rows<1>(block, row);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < K; ++k) {
      float* const s = sums + (r * K + k) * head_sums;
      for (int half = head_sums / 2; half > 0; half /= 2)
        for (int j = 0; j < half; ++j) s[j] = s[j] + s[j + half];
      logits[r * step + k] = s[0] + bias[k];
    }
}

// Classes first ... first + classes - 1 over one vector of features of all rows: gradients of the weights, and what
// goes back to the features: `passed` has what the classes before have sent, if there are any; the last ones write it
// over the features.
template <int classes>
SOFTCLASS_INLINE void send_head_back(const float* deltas, int64_t delta_step, int64_t rows, float* features,
                                     int64_t feature_step, const float* weight, float* gradient, int64_t inputs,
                                     bool is_first, bool is_last, float* passed) {
  constexpr int L = Floats::lanes;
  Floats w[classes], dw[classes];
  SOFTCLASS_UNROLL
  for (int k = 0; k < classes; ++k) {
    w[k] = load(weight + k * inputs);
    dw[k] = load(gradient + k * inputs);
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* const feature = features + r * feature_step;
    const float* const delta = deltas + r * delta_step;
    const Floats h = load(feature);
    Floats back = is_first ? broadcast(0.0f) : load(passed + r * L);
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k) {
      const Floats d = broadcast(delta[k]);
      dw[k] = fma(h, d, dw[k]);
      back = fma(w[k], d, back);
    }
    store(is_last ? feature : passed + r * L, back);
  }
  SOFTCLASS_UNROLL
  for (int k = 0; k < classes; ++k) store(gradient + k * inputs, dw[k]);
}

template <int classes>
SOFTCLASS_APART void send_head_group(const CnnDense& layer, const float* deltas, int64_t delta_step, int64_t rows,
                                     float* features, int64_t feature_step, const float* weight, float* gradient) {
  for (int64_t f = 0; f < layer.inputs; f += Floats::lanes)
    send_head_back<classes>(deltas, delta_step, rows, features + f, feature_step, weight + f, gradient + f,
                            layer.inputs, true, true, nullptr);
}
template <int classes>
SOFTCLASS_INLINE void send_head_whole(const CnnDense& layer, const float* deltas, int64_t delta_step, int64_t rows,
                                      float* features, int64_t feature_step, const float* weight, float* gradient) {
  if (layer.real_outputs == classes)
    return send_head_group<classes>(layer, deltas, delta_step, rows, features, feature_step, weight, gradient);
  if constexpr (classes > 1)
    send_head_whole<classes - 1>(layer, deltas, delta_step, rows, features, feature_step, weight, gradient);
}
template <int classes>
SOFTCLASS_INLINE void send_head_part(int wanted, const float* deltas, int64_t delta_step, int64_t rows, float* features,
                                     int64_t feature_step, const float* weight, float* gradient, int64_t inputs,
                                     bool is_first, bool is_last, float* passed) {
  if (wanted == classes)
    return send_head_back<classes>(deltas, delta_step, rows, features, feature_step, weight, gradient, inputs, is_first,
                                   is_last, passed);
  if constexpr (classes > 1)
    send_head_part<classes - 1>(wanted, deltas, delta_step, rows, features, feature_step, weight, gradient, inputs,
                                is_first, is_last, passed);
}

// Adds to the gradients of weight and bias and writes the gradient of the features over the features: classes
// ascending, one fma each. `passed` has room for rows x 16.
static void head_backward(const CnnDense& layer, const float* deltas, int64_t delta_step, int64_t rows, float* features,
                          int64_t feature_step, const float* weight, float* weight_gradient, float* bias_gradient,
                          float* passed) {
  constexpr int L = Floats::lanes;
  const int64_t K = layer.real_outputs;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < K; ++k) bias_gradient[k] += deltas[r * delta_step + k];
  if (K <= head_back)
    return send_head_whole<head_back>(layer, deltas, delta_step, rows, features, feature_step, weight, weight_gradient);
  const int64_t groups = (K + head_back - 1) / head_back;
  for (int64_t f = 0; f < layer.inputs; f += L)
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t c = K * g / groups, end = K * (g + 1) / groups;
      send_head_part<head_back>(int(end - c), deltas + c, delta_step, rows, features + f, feature_step,
                                weight + c * layer.inputs + f, weight_gradient + c * layer.inputs + f, layer.inputs,
                                g == 0, g + 1 == groups, passed);
    }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
