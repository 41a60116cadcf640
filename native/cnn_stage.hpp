// A stage of the convolutional network, forward: convolution, 2 x 2 maximum, relu. The four positions under a window
// are sums in registers; only the largest is written, never the map of the convolution.
//
// Maps are (row, column, channel). The taps of one row of the kernel are then a run of r C floats, of the input as of
// the weights. A value is its bias, then its taps in the order (row, column, channel), one fma each: the same bits on
// every target and for any blocking.
#pragma once

#include "cnn.hpp"
#include "cnn_masks.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Kernels that the compiler may not mix with their callers: it would spill the sums.
#if defined(_MSC_VER)
#define SOFTCLASS_APART static __declspec(noinline)
#else
#define SOFTCLASS_APART static __attribute__((noinline))
#endif

// Vectors of channels, and windows side by side, that are in registers at once.
#if defined(SOFTCLASS_TARGET_avx512)
constexpr int stage_vectors = 2, stage_windows = 3, held_windows = 4;
#elif defined(SOFTCLASS_TARGET_avx2)
constexpr int stage_vectors = 2, stage_windows = 1, held_windows = 1;
#elif defined(SOFTCLASS_TARGET_neon)
constexpr int stage_vectors = 4, stage_windows = 1, held_windows = 3;
#else
constexpr int stage_vectors = 1, stage_windows = 1, held_windows = 1;
#endif

// What is kept of a window for the way back, a vector of channels: bit l of a word is channel l.
//   right_above, right_below: the right position of the row is larger than the left one; below: the lower row has the
//   larger one; alive: it is positive. Ties fall to the first in row order.
struct Winners {
  uint16_t right_above, right_below, below, alive;
};

struct StageInput {
  const float* map;  // at the first position, zeros around it included
  int row;           // floats from one row to the next
  int step;          // floats from one position to the next: the channels
};

SOFTCLASS_INLINE Floats pool(Floats a00, Floats a01, Floats a10, Floats a11, Winners* winners) {
  const Floats zero = broadcast(0.0f);
  const Floats above = greater_of(a00, a01), below = greater_of(a10, a11), m = greater_of(above, below);
  keep_bits(less(a00, a01), &winners->right_above);
  keep_bits(less(a10, a11), &winners->right_below);
  keep_bits(less(above, below), &winners->below);
  keep_bits(less(zero, m), &winners->alive);
  return greater_of(zero, m);  // a NaN stays
}

// `vectors` of channels of the windows from number n on, row after row; the weights are part of a panel, `step` floats
// from tap to tap.
template <int vectors, int windows>
SOFTCLASS_INLINE void pool_windows(const CnnStage& stage, StageInput input, int n, const float* weight, int step,
                                   const float* bias, float* h, Winners* winners) {
  constexpr int L = Floats::lanes;
  const float* x[windows];
  float* to[windows];
  SOFTCLASS_UNROLL
  for (int q = 0; q < windows; ++q) {
    const int py = (n + q) / stage.pooled_width, px = (n + q) % stage.pooled_width;
    x[q] = input.map + int64_t(2 * py) * input.row + int64_t(2 * px) * input.step;
    to[q] = h + int64_t(py) * stage.out_row + int64_t(px) * stage.outputs;
  }
  Floats sum[windows][4][vectors];
  SOFTCLASS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const Floats b = load(bias + v * L);
    SOFTCLASS_UNROLL
    for (int q = 0; q < windows; ++q)
      SOFTCLASS_UNROLL
      for (int k = 0; k < 4; ++k) sum[q][k][v] = b;
  }
  const int64_t run = int64_t(stage.kernel) * input.step, right = input.step, below = input.row, both = right + below;
  for (int i = 0; i < stage.kernel; ++i) {
    for (int64_t t = 0; t < run; ++t, weight += step) {
      Floats w[vectors];
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) w[v] = load(weight + v * L);
      SOFTCLASS_UNROLL
      for (int q = 0; q < windows; ++q) {
        const Floats x00 = broadcast(x[q][0]), x01 = broadcast(x[q][right]);
        const Floats x10 = broadcast(x[q][below]), x11 = broadcast(x[q][both]);
        ++x[q];
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v) {
          sum[q][0][v] = fma(x00, w[v], sum[q][0][v]);
          sum[q][1][v] = fma(x01, w[v], sum[q][1][v]);
          sum[q][2][v] = fma(x10, w[v], sum[q][2][v]);
          sum[q][3][v] = fma(x11, w[v], sum[q][3][v]);
        }
      }
    }
    SOFTCLASS_UNROLL
    for (int q = 0; q < windows; ++q) x[q] += input.row - run;
  }
  SOFTCLASS_UNROLL
  for (int q = 0; q < windows; ++q)
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v)
      store(to[q] + v * L, pool(sum[q][0][v], sum[q][1][v], sum[q][2][v], sum[q][3][v],
                                winners + int64_t(n + q) * (stage.outputs / L) + v));
}

// `vectors` of channels of a whole image.
template <int vectors>
SOFTCLASS_APART void pool_panel(const CnnStage& stage, StageInput x, const float* weight, int step, const float* bias,
                                float* h, Winners* winners) {
  int n = 0;
  for (; n + stage_windows <= stage.windows; n += stage_windows)
    pool_windows<vectors, stage_windows>(stage, x, n, weight, step, bias, h, winners);
  if constexpr (stage_windows > 2)
    if (n + 2 <= stage.windows) {
      pool_windows<vectors, 2>(stage, x, n, weight, step, bias, h, winners);
      n += 2;
    }
  if (n < stage.windows) pool_windows<vectors, 1>(stage, x, n, weight, step, bias, h, winners);
}

// Kernel 3 on one channel: the nine weights stay in registers, and a pixel is broadcast once for all positions it is
// under. Every position meets its taps in the same order as above.
template <int windows>
SOFTCLASS_INLINE void pool_held_windows(const Floats* w, Floats bias, const float* x, int row, int outputs, float* h,
                                        Winners* winners) {
  Floats sum[windows][4];
  SOFTCLASS_UNROLL
  for (int q = 0; q < windows; ++q)
    SOFTCLASS_UNROLL
    for (int k = 0; k < 4; ++k) sum[q][k] = bias;
  SOFTCLASS_UNROLL
  for (int a = 0; a < 4; ++a) {
    SOFTCLASS_UNROLL
    for (int b = 0; b < 2 * windows + 2; ++b) {
      const Floats pixel = broadcast(x[a * row + b]);
      SOFTCLASS_UNROLL
      for (int q = 0; q < windows; ++q) {
        SOFTCLASS_UNROLL
        for (int k = 0; k < 4; ++k) {
          const int i = a - k / 2, j = b - 2 * q - k % 2;
          if (i >= 0 && i < 3 && j >= 0 && j < 3) sum[q][k] = fma(pixel, w[3 * i + j], sum[q][k]);
        }
      }
    }
  }
  SOFTCLASS_UNROLL
  for (int q = 0; q < windows; ++q)
    store(h + int64_t(q) * outputs,
          pool(sum[q][0], sum[q][1], sum[q][2], sum[q][3], winners + int64_t(q) * (outputs / Floats::lanes)));
}

SOFTCLASS_APART void pool_held(const CnnStage& stage, StageInput x, const float* weight, int weight_step,
                               const float* bias, float* h, Winners* winners) {
  Floats w[9];
  SOFTCLASS_UNROLL
  for (int t = 0; t < 9; ++t) w[t] = load(weight + t * weight_step);
  const Floats b = load(bias);
  const int each = stage.outputs / Floats::lanes;
  for (int py = 0; py < stage.pooled_height; ++py) {
    const float* const from = x.map + int64_t(2 * py) * x.row;
    float* const row = h + int64_t(py) * stage.out_row;
    Winners* const kept = winners + int64_t(py) * stage.pooled_width * each;
    int px = 0;
    for (; px + held_windows <= stage.pooled_width; px += held_windows)
      pool_held_windows<held_windows>(w, b, from + 2 * px, x.row, stage.outputs, row + int64_t(px) * stage.outputs,
                                      kept + int64_t(px) * each);
    for (; px < stage.pooled_width; ++px)
      pool_held_windows<1>(w, b, from + 2 * px, x.row, stage.outputs, row + int64_t(px) * stage.outputs,
                           kept + int64_t(px) * each);
  }
}

// Image -> map and winners; h is at the first inner position. `panels` as pack_panel has left them.
static void stage_forward(const CnnStage& stage, const float* image, const float* panels, const float* bias, float* h,
                          Winners* winners) {
  constexpr int L = Floats::lanes;
  const StageInput x{image, stage.in_row, stage.channels};
  const int64_t taps = int64_t(stage.kernel) * stage.kernel * stage.channels;
  for (int first = 0; first < stage.outputs; first += panel_channels, panels += taps * panel_channels) {
    const int step = stage.outputs - first < panel_channels ? stage.outputs - first : panel_channels;
    const float* const b = bias + first;
    float* const to = h + first;
    Winners* const kept = winners + first / L;
    if (stage.kernel == 3 && stage.channels == 1) {
      for (int c = 0; c < step; c += L) pool_held(stage, x, panels + c, step, b + c, to + c, kept + c / L);
    } else {
      int c = 0;
      for (; c + stage_vectors * L <= step; c += stage_vectors * L)
        pool_panel<stage_vectors>(stage, x, panels + c, step, b + c, to + c, kept + c / L);
      for (; c < step; c += L) pool_panel<1>(stage, x, panels + c, step, b + c, to + c, kept + c / L);
    }
  }
}

// Panel `p` of the weights: of every tap, panel_channels outputs side by side, or as many as are left. `tap` and
// `output` are the steps of the weights from one to the next.
static void pack_panel(const CnnStage& stage, int64_t p, const float* weight, int64_t tap, int64_t output,
                       float* panels) {
  const int64_t taps = int64_t(stage.kernel) * stage.kernel * stage.channels, first = p * panel_channels;
  const int64_t count = stage.outputs - first < panel_channels ? stage.outputs - first : panel_channels;
  float* to = panels + first * taps;
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t l = 0; l < count; ++l) *to++ = weight[t * tap + (first + l) * output];
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
