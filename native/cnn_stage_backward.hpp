// A stage backward. Of the four positions under a window only the winner has a gradient, and none if it is not
// positive.
//
// For pixels every channel of a window picks its winner's pixel out of four, tap by tap. For maps of many channels the
// winners are listed, and only they are touched. Gradients of weights sum the windows of an image in order, then the
// images; the gradient of the input map takes rows of the kernel, windows, positions and channels in order.
#pragma once

#include "cnn_stage.hpp"
#include "fetch.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

struct Positions {
  unsigned of[4];  // bits of the channels whose winner is position k
};
SOFTCLASS_INLINE Positions positions_of(const Winners& w) {
  const unsigned above = w.alive & ~unsigned(w.below), below = w.alive & unsigned(w.below);
  return {{above & ~unsigned(w.right_above), above & w.right_above, below & ~unsigned(w.right_below),
           below & w.right_below}};
}

SOFTCLASS_INLINE void add_to(float* to, Floats x) { store(to, load(to) + x); }

// Vectors of outputs, and rows of a kernel of 5, whose gradients are in registers at once.
#if defined(SOFTCLASS_TARGET_avx512)
constexpr int picked_vectors = 2, picked_rows_of_5 = 5;
#elif defined(SOFTCLASS_TARGET_neon)
constexpr int picked_vectors = 2, picked_rows_of_5 = 5;
#else
constexpr int picked_vectors = 1, picked_rows_of_5 = 2;
#endif

// The image with every pixel beside the one below it: for row y, channel c and column x the pixels (y, x) and (y + 1,
// x). Those of (y, x) and (y, x + 1) are then the four that a tap can meet under a window.
static void pair_rows(const CnnStage& stage, const float* image, float* pairs) {
  const int C = stage.channels, width = stage.in_width;
  for (int y = 0; y + 1 < stage.in_height; ++y, image += stage.in_row)
    for (int c = 0; c < C; ++c, pairs += 2 * width) {
      const float *above = image + c, *below = above + stage.in_row;
      if (C == 1) {
        for (int x = 0; x < width; ++x) {
          pairs[2 * x] = above[x];
          pairs[2 * x + 1] = below[x];
        }
      } else {
        for (int x = 0; x < width; ++x) {
          pairs[2 * x] = above[x * C];
          pairs[2 * x + 1] = below[x * C];
        }
      }
    }
}

// Adds to `rows` rows of taps of one channel of pixels, for some vectors of outputs, and with `bias` to that. `pairs`
// begins at the first of these rows, of that channel.
template <int kernel, int rows, int vectors>
SOFTCLASS_APART void pick_rows(const CnnStage& stage, const float* pairs, const float* g, const Winners* winners,
                               float* weight, float* bias) {
  constexpr int L = Floats::lanes;
  Floats sum[vectors][rows][kernel], all[vectors];
  const int tap = stage.channels * stage.outputs, each = stage.outputs / L;
  const int64_t row = int64_t(2) * stage.channels * stage.in_width;
  SOFTCLASS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    SOFTCLASS_UNROLL
    for (int i = 0; i < rows; ++i)
      SOFTCLASS_UNROLL
      for (int j = 0; j < kernel; ++j) sum[v][i][j] = broadcast(0.0f);
    all[v] = broadcast(0.0f);
  }
  for (int py = 0; py < stage.pooled_height; ++py) {
    const float* from = pairs + 2 * py * row;
    const float* gradient = g + int64_t(py) * stage.out_row;
    for (int px = 0; px < stage.pooled_width; ++px, from += 4, gradient += stage.outputs, winners += each) {
      Floats alive[vectors];
      Choice choice[vectors];
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Winners w = winners[v];
        const unsigned below = w.below, right = (w.right_below & below) | (w.right_above & ~below);
        choice[v] = choice_of(right, below);
        alive[v] = keep_where(mask_of(w.alive), load(gradient + v * L));
        all[v] = all[v] + alive[v];
      }
      const float* four = from;
      SOFTCLASS_UNROLL
      for (int i = 0; i < rows; ++i, four += row) {
        SOFTCLASS_UNROLL
        for (int j = 0; j < kernel; ++j) {
          SOFTCLASS_UNROLL
          for (int v = 0; v < vectors; ++v)
            sum[v][i][j] = fma(chosen(four + 2 * j, choice[v]), alive[v], sum[v][i][j]);
        }
      }
    }
  }
  SOFTCLASS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    SOFTCLASS_UNROLL
    for (int i = 0; i < rows; ++i)
      SOFTCLASS_UNROLL
      for (int j = 0; j < kernel; ++j) add_to(weight + (i * kernel + j) * tap + v * L, sum[v][i][j]);
    if (bias) add_to(bias + v * L, all[v]);
  }
}

// `rows` rows of taps from row i on, all outputs, all channels.
template <int kernel, int rows, int vectors>
SOFTCLASS_INLINE void pick_all(const CnnStage& stage, int i, const float* pairs, const float* g, const Winners* winners,
                               float* weight, float* bias) {
  constexpr int L = Floats::lanes;
  const int C = stage.channels;
  for (int channel = 0; channel < C; ++channel) {
    const float* const from = pairs + int64_t(2) * (i * C + channel) * stage.in_width;
    float* const to = weight + int64_t(i * kernel * C + channel) * stage.outputs;
    const bool is_first = i == 0 && channel == 0;
    int c = 0;
    for (; c + vectors * L <= stage.outputs; c += vectors * L)
      pick_rows<kernel, rows, vectors>(stage, from, g + c, winners + c / L, to + c, is_first ? bias + c : nullptr);
    for (; c < stage.outputs; c += L)
      pick_rows<kernel, rows, 1>(stage, from, g + c, winners + c / L, to + c, is_first ? bias + c : nullptr);
  }
}

// For pixels: adds to the gradients of weight (r, r, C, M) and bias; g is laid out like the map. `pairs` is scratch.
static void stage_backward_of_pixels(const CnnStage& stage, const float* image, const float* g, const Winners* winners,
                                     float* weight, float* bias, float* pairs) {
  pair_rows(stage, image, pairs);
  if (stage.kernel == 3) {
    pick_all<3, 3, picked_vectors>(stage, 0, pairs, g, winners, weight, bias);
  } else {
    int i = 0;
    for (; i + picked_rows_of_5 <= 5; i += picked_rows_of_5)
      pick_all<5, picked_rows_of_5, 1>(stage, i, pairs, g, winners, weight, bias);
    for (; i < 5; ++i) pick_all<5, 1, 1>(stage, i, pairs, g, winners, weight, bias);
  }
}

// A winner with its gradient: where its taps begin in the map.
struct Entry {
  int32_t place;
  float gradient;
};

// Vectors of a row of taps, and rows, whose sums are in registers at once; `columns` divides the vectors of a row.
template <int kernel>
struct TapBlock;
#if defined(SOFTCLASS_TARGET_avx512)
template <>
struct TapBlock<3> {
  static constexpr int rows = 3, columns = 3, wide = 6;
};
template <>
struct TapBlock<5> {
  static constexpr int rows = 5, columns = 5, wide = 5;
};
#elif defined(SOFTCLASS_TARGET_neon)
template <>
struct TapBlock<3> {
  static constexpr int rows = 3, columns = 6, wide = 6;
};
template <>
struct TapBlock<5> {
  static constexpr int rows = 5, columns = 5, wide = 5;
};
#else
template <>
struct TapBlock<3> {
  static constexpr int rows = 3, columns = 3, wide = 3;
};
template <>
struct TapBlock<5> {
  static constexpr int rows = 1, columns = 10, wide = 10;
};
#endif

// Adds to weights, rows `run` apart, what the winners of one channel meet in the map: rows of it `row` apart.
template <int rows, int columns>
SOFTCLASS_INLINE void add_taps(const float* map, int64_t row, int64_t run, const Entry* entries, int64_t count,
                               float* weight) {
  constexpr int L = Floats::lanes;
  Floats sum[rows][columns];
  SOFTCLASS_UNROLL
  for (int i = 0; i < rows; ++i)
    SOFTCLASS_UNROLL
    for (int v = 0; v < columns; ++v) sum[i][v] = broadcast(0.0f);
  for (int64_t n = 0; n < count; ++n) {
    const Floats g = broadcast(entries[n].gradient);
    const float* x = map + entries[n].place;
    SOFTCLASS_UNROLL
    for (int i = 0; i < rows; ++i, x += row)
      SOFTCLASS_UNROLL
      for (int v = 0; v < columns; ++v) sum[i][v] = fma(load(x + v * L), g, sum[i][v]);
  }
  SOFTCLASS_UNROLL
  for (int i = 0; i < rows; ++i)
    SOFTCLASS_UNROLL
    for (int v = 0; v < columns; ++v) add_to(weight + i * run + v * L, sum[i][v]);
}

template <int kernel, int columns>
SOFTCLASS_APART void add_channel(const CnnStage& stage, const float* map, const Entry* entries, int64_t count,
                                 float* weight) {
  constexpr int rows = TapBlock<kernel>::rows, width = columns * Floats::lanes;
  const int run = kernel * stage.channels;
  for (int i = 0; i < kernel; i += rows)
    for (int t = 0; t < run; t += width)
      add_taps<rows, columns>(map + int64_t(i) * stage.in_row + t, stage.in_row, run, entries, count,
                              weight + i * run + t);
}

// All winners of a map: window by window, position by position, channel by channel; room for one a channel of a window,
// and one vector more.
struct WinnerList {
  int32_t* channels;
  int32_t* places;   // where their taps begin in the map
  float* gradients;
  int32_t* starts;  // of every position of every window, and the end
  Entry* sorted;    // channel by channel
};

// Appends the channels of `bits`, whose gradients are at g. Returns how many.
#if defined(SOFTCLASS_TARGET_avx512)
SOFTCLASS_INLINE int list_winners(unsigned bits, int channel, const float* g, int32_t place, const WinnerList& list,
                                  int32_t at) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i channels = _mm512_add_epi32(lane, _mm512_set1_epi32(channel));
  _mm512_storeu_si512(list.channels + at, _mm512_maskz_compress_epi32(__mmask16(bits), channels));
  _mm512_storeu_ps(list.gradients + at, _mm512_maskz_compress_ps(__mmask16(bits), _mm512_loadu_ps(g)));
  _mm512_storeu_si512(list.places + at, _mm512_set1_epi32(place));
  return __builtin_popcount(bits);
}
#else
SOFTCLASS_INLINE int list_winners(unsigned bits, int channel, const float* g, int32_t place, const WinnerList& list,
                                  int32_t at) {
  int count = 0;
  for (; bits; bits &= bits - 1, ++count) {
    const int l = lowest_bit(bits);
    list.channels[at + count] = channel + l;
    list.gradients[at + count] = g[l];
    list.places[at + count] = place;
  }
  return count;
}
#endif

// Fills the list, but for what is sorted; adds to the gradient of the bias.
SOFTCLASS_APART void list_all_winners(const CnnStage& stage, const float* g, const Winners* winners,
                                      const WinnerList& list, float* bias) {
  constexpr int L = Floats::lanes;
  const int each = stage.outputs / L;
  float sums[most_maps];
  for (int c = 0; c < stage.outputs; ++c) sums[c] = 0.0f;
  int32_t count = 0;
  int32_t* start = list.starts;
  for (int py = 0; py < stage.pooled_height; ++py)
    for (int px = 0; px < stage.pooled_width; ++px, winners += each) {
      const float* const gradient = g + int64_t(py) * stage.out_row + int64_t(px) * stage.outputs;
      Positions of[most_maps / L];
      for (int v = 0; v < each; ++v) {
        add_to(sums + v * L, keep_where(mask_of(winners[v].alive), load(gradient + v * L)));
        of[v] = positions_of(winners[v]);
      }
      for (int k = 0; k < 4; ++k) {
        const int32_t place = (2 * py + k / 2) * stage.in_row + (2 * px + k % 2) * stage.channels;
        *start++ = count;
        for (int v = 0; v < each; ++v) count += list_winners(of[v].of[k], v * L, gradient + v * L, place, list, count);
      }
    }
  *start = count;
  for (int c = 0; c < stage.outputs; c += L) add_to(bias + c, load(sums + c));
}

SOFTCLASS_APART void sort_by_channel(const CnnStage& stage, const WinnerList& list, int32_t* ends) {
  for (int c = 0; c < stage.outputs; ++c) ends[c] = int32_t(c * stage.windows);
  for (int32_t n = 0, count = list.starts[4 * stage.windows]; n < count; ++n)
    list.sorted[ends[list.channels[n]]++] = {list.places[n], list.gradients[n]};
}

static void weight_gradients(const CnnStage& stage, const float* map, const float* next, const WinnerList& list,
                             float* weight) {
  const int64_t size = int64_t(stage.in_height) * stage.in_row;
  int32_t ends[most_maps];
  sort_by_channel(stage, list, ends);
  const int64_t taps = int64_t(stage.kernel) * stage.kernel * stage.channels;
  for (int c = 0; c < stage.outputs; ++c, weight += taps) {
    const Entry* const own = list.sorted + c * stage.windows;
    for (int64_t j = size * c / stage.outputs, end = size * (c + 1) / stage.outputs; j < end; j += line_floats)
      fetch_line(next + j);
    const int64_t count = ends[c] - c * stage.windows;
    if (stage.kernel == 3) {
      if (stage.channels * 3 % (TapBlock<3>::wide * Floats::lanes) == 0)
        add_channel<3, TapBlock<3>::wide>(stage, map, own, count, weight);
      else
        add_channel<3, TapBlock<3>::columns>(stage, map, own, count, weight);
    } else {
      add_channel<5, TapBlock<5>::columns>(stage, map, own, count, weight);
    }
  }
}

// Rows of taps, and vectors of a row, that go back at once.
template <int kernel>
struct SentBlock;
#if defined(SOFTCLASS_TARGET_avx512) || defined(SOFTCLASS_TARGET_neon)
template <>
struct SentBlock<3> {
  static constexpr int rows = 3, columns = 3, wide = 6;
};
template <>
struct SentBlock<5> {
  static constexpr int rows = 5, columns = 5, wide = 5;
};
#else
template <>
struct SentBlock<3> {
  static constexpr int rows = 1, columns = 6, wide = 12;
};
template <>
struct SentBlock<5> {
  static constexpr int rows = 1, columns = 10, wide = 10;
};
#endif

// Adds to the map, whose rows are `row` apart, what `count` winners of one position, the first of them `first`, send
// back through part of some rows of taps, `run` apart.
template <int rows, int columns>
SOFTCLASS_INLINE void send_back(const float* weight, int64_t run, int64_t taps, const WinnerList& list, int32_t first,
                                int32_t count, float* map, int64_t row) {
  constexpr int L = Floats::lanes;
  Floats sum[rows][columns];
  SOFTCLASS_UNROLL
  for (int i = 0; i < rows; ++i)
    SOFTCLASS_UNROLL
    for (int v = 0; v < columns; ++v) sum[i][v] = broadcast(0.0f);
  for (int32_t n = first; n < first + count; ++n) {
    const Floats g = broadcast(list.gradients[n]);
    const float* w = weight + list.channels[n] * taps;
    SOFTCLASS_UNROLL
    for (int i = 0; i < rows; ++i, w += run)
      SOFTCLASS_UNROLL
      for (int v = 0; v < columns; ++v) sum[i][v] = fma(load(w + v * L), g, sum[i][v]);
  }
  SOFTCLASS_UNROLL
  for (int i = 0; i < rows; ++i)
    SOFTCLASS_UNROLL
    for (int v = 0; v < columns; ++v) add_to(map + i * row + v * L, sum[i][v]);
}

// Positions from the last row to the first, so that a number of the map meets the rows of the kernel in order.
template <int kernel, int columns>
SOFTCLASS_APART void send_back_all(const CnnStage& stage, const float* weight, const WinnerList& list, float* map) {
  constexpr int rows = SentBlock<kernel>::rows, width = columns * Floats::lanes;
  const int run = kernel * stage.channels;
  const int64_t taps = int64_t(kernel) * run;
  for (int i = 0; i < kernel; i += rows)
    for (int y = 2 * stage.pooled_height - 1; y >= 0; --y)
      for (int x = 0; x < 2 * stage.pooled_width; ++x) {
        const int32_t* const start = list.starts + 4 * ((y / 2) * stage.pooled_width + x / 2) + 2 * (y % 2) + x % 2;
        if (start[1] == start[0]) continue;
        float* const to = map + int64_t(y + i) * stage.in_row + x * stage.channels;
        for (int t = 0; t < run; t += width)
          send_back<rows, columns>(weight + i * run + t, run, taps, list, start[0], start[1] - start[0], to + t,
                                   stage.in_row);
      }
}

// Gradient of the input map, zeros around it included.
static void map_gradient(const CnnStage& stage, const float* weight, const WinnerList& list, float* map) {
  constexpr int L = Floats::lanes;
  for (int64_t j = 0; j < int64_t(stage.in_height) * stage.in_row; ++j) map[j] = 0.0f;
  if (stage.kernel == 3) {
    if (stage.channels * 3 % (SentBlock<3>::wide * L) == 0)
      send_back_all<3, SentBlock<3>::wide>(stage, weight, list, map);
    else
      send_back_all<3, SentBlock<3>::columns>(stage, weight, list, map);
  } else {
    send_back_all<5, SentBlock<5>::columns>(stage, weight, list, map);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
