// The inputs of a fully connected network: gathered, made of waves and tables, scaled; and their derivatives.
#pragma once

#include "dense_tiles.hpp"
#include "mlp_elementary.hpp"
#include "philox.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Rows that go through at once.
struct MlpBlock {
  const MlpShape& shape;
  const LaneCall& call;
  int64_t first, count;  // rows of the lane
  char* room;

  float* floats(int64_t place) const { return reinterpret_cast<float*>(room + place); }
  int32_t* codes() const { return reinterpret_cast<int32_t*>(room + shape.codes); }
  const int64_t* indices() const { return call.indices + first; }
  const float* parameters(int64_t place) const { return call.parameters + place; }
  float* gradient(int64_t place) const { return call.gradient + place; }
};

SOFTCLASS_INLINE void fetch_row(const float* row, int64_t size) {
#if defined(__GNUC__)
  for (int64_t j = 0; j < size; j += 16) __builtin_prefetch(row + j, 0, 2);
#else
  (void)row;
  (void)size;
#endif
}

SOFTCLASS_INLINE void copy_row(const float* from, int64_t size, float* to) {
  constexpr int L = Floats::lanes;
  int64_t j = 0;
  for (; j + L <= size; j += L) store(to + j, load(from + j));
  if (j < size) store_first(to + j, load_first(from + j, int(size - j), broadcast(0.0f)), int(size - j));
}

// Codes of the rows; in training some become 1, "other": piece j of stream unknown_codes says so of column j.
static void gather_codes(const MlpBlock& b) {
  const int64_t n = b.shape.n_columns;
  const NetworkRows& rows = *b.call.rows;
  const uint32_t threshold = b.call.is_training ? drop_threshold(b.call.unknown_codes) : 0;
  for (int64_t i = 0; i < b.count; ++i) {
    const int64_t row = b.indices()[i];
    int32_t* const to = b.codes() + i * n;
    memcpy(to, rows.codes + row * n, size_t(n) * sizeof(int32_t));
    if (threshold == 0) continue;
    uint8_t keep[64];
    for (int64_t j = 0; j < n; ++j) {
      if (j % 64 == 0) {
        uint32_t words[32];
        philox_blocks({b.call.seed, uint32_t(row), b.call.epoch, uint32_t(Stream::unknown_codes)}, uint32_t(j / 8), 8,
                      words);
        for (int p = 0; p < 64; ++p) keep[p] = (words[p / 2] >> (p % 2 * 16) & 0xffffu) >= threshold;
      }
      if (!keep[j % 64]) to[j] = 1;
    }
  }
}

// cos(2 pi (frequency x) + phase) and its sine, 16 of a number; sums of them, weighted, behind the numbers.
static void make_waves(const MlpBlock& b, int64_t i, float* inputs, float* cosines, float* sines) {
  constexpr int L = Floats::lanes;
  const MlpShape& s = b.shape;
  const Floats by_turn = broadcast(0.15915494309189535f);
  for (int64_t n = 0; n < s.numbers; ++n) {
    float* const cosine = cosines + (i * s.numbers + n) * waves;
    float* const sine = sines + (i * s.numbers + n) * waves;
    Floats part[wave_sums][16 / L];
    for (int v = 0; v < 16 / L; ++v) {
      const int64_t at = n * waves + v * L;
      const Floats turns = load(b.parameters(s.frequency) + at) * broadcast(inputs[n]);
      const Floats near = turns - round_to_even(turns);
      const Wave wave = wave_at(fma(load(b.parameters(s.phase) + at), by_turn, near));
      store(cosine + v * L, wave.cosine);
      store(sine + v * L, wave.sine);
      for (int o = 0; o < wave_sums; ++o)
        part[o][v] = wave.cosine * load(b.parameters(s.wave_weight) + (n * wave_sums + o) * waves + v * L);
    }
    for (int o = 0; o < wave_sums; ++o)
      inputs[s.numbers + n * wave_sums + o] =
          sum_of_sixteen(part[o]) + b.parameters(s.wave_bias)[n * wave_sums + o];
  }
}

// All inputs but the indicators, (count, dense_step), and scaled ones if there is a scale.
static void make_inputs(const MlpBlock& b) {
  constexpr int L = Floats::lanes;
  constexpr int64_t ahead = 8;
  const MlpShape& s = b.shape;
  const NetworkRows& rows = *b.call.rows;
  if (s.n_columns > 0) gather_codes(b);
  for (int64_t i = 0; i < b.count; ++i) {
    float* const to = b.floats(s.inputs) + i * s.dense_step;
    if (s.numbers > 0) {
      if (b.first + i + ahead < b.call.count)
        fetch_row(rows.numbers + b.indices()[i + ahead] * s.numbers, s.numbers);
      copy_row(rows.numbers + b.indices()[i] * s.numbers, s.numbers, to);
    }
    if (s.has_waves) make_waves(b, i, to, b.floats(s.cosines), b.floats(s.sines));
    for (int64_t j = 0; j < s.n_columns; ++j) {
      const MlpColumn& column = s.columns[j];
      if (column.table < 0) continue;
      const float* const from = b.parameters(column.table) + b.codes()[i * s.n_columns + j] * s.embedding_step;
      for (int64_t q = 0; q < s.embedding_width; ++q) to[column.input + q] = from[q];
    }
    for (int64_t q = s.dense; q < s.dense_width; ++q) to[q] = 0.0f;
    if (!s.has_scale) continue;
    float* const scaled = b.floats(s.scaled) + i * s.dense_step;
    for (int64_t q = 0; q < s.dense; q += L) {
      const int64_t left = s.dense - q;
      const Floats zero = broadcast(0.0f), x = load(to + q);
      const float* const scale = b.parameters(s.scale) + q;
      const Floats factor = left < L ? load_first(scale, int(left), zero) : load(scale);
      store(scaled + q, x * factor);
    }
  }
}

// Adds the rows of the first weight that the codes stand for.
static void add_indicators(const MlpBlock& b, float* out) {
  constexpr int L = Floats::lanes;
  const MlpShape& s = b.shape;
  const int64_t width = s.layers[0].width, step = s.layers[0].step;
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t j = 0; j < s.n_columns; ++j) {
      if (s.columns[j].table >= 0) continue;
      const int64_t input = s.columns[j].input + b.codes()[i * s.n_columns + j];
      const float* const weight = b.parameters(s.layers[0].weight) + input * step;
      const Floats factor = broadcast(s.has_scale ? b.parameters(s.scale)[input] : 1.0f);
      for (int64_t q = 0; q < width; q += L) {
        float* const to = out + i * step + q;
        store(to, fma(factor, load(weight + q), load(to)));
      }
    }
}

// From the gradient at the first layer's outputs, (count, step), already times its factor.
static void indicator_gradients(const MlpBlock& b, const float* delta) {
  constexpr int L = Floats::lanes;
  const MlpShape& s = b.shape;
  const int64_t width = s.layers[0].width, step = s.layers[0].step;
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t j = 0; j < s.n_columns; ++j) {
      if (s.columns[j].table >= 0) continue;
      const int64_t input = s.columns[j].input + b.codes()[i * s.n_columns + j];
      const float* const weight = b.parameters(s.layers[0].weight) + input * step;
      float* const gradient = b.gradient(s.layers[0].weight) + input * step;
      const Floats factor = broadcast(s.has_scale ? b.parameters(s.scale)[input] : 1.0f);
      Floats product[16 / L];
      for (int v = 0; v < 16 / L; ++v) product[v] = broadcast(0.0f);
      for (int64_t q = 0; q < width; q += 16)
        for (int v = 0; v < 16 / L; ++v) {
          const Floats d = load(delta + i * step + q + v * L);
          store(gradient + q + v * L, fma(factor, d, load(gradient + q + v * L)));
          product[v] = fma(load(weight + q + v * L), d, product[v]);
        }
      if (s.has_scale) b.gradient(s.scale)[input] += sum_of_sixteen(product);
    }
}

static void wave_gradients(const MlpBlock& b, int64_t i, const float* by_input) {
  constexpr int L = Floats::lanes;
  const MlpShape& s = b.shape;
  const Floats circle = broadcast(6.2831853071795865f);
  const float* const inputs = b.floats(s.inputs) + i * s.dense_step;
  for (int64_t n = 0; n < s.numbers; ++n) {
    const float* const by_sum = by_input + s.numbers + n * wave_sums;
    for (int v = 0; v < 16 / L; ++v) {
      const int64_t at = n * waves + v * L, wave = i * s.numbers * waves + at;
      const Floats cosine = load(b.floats(s.cosines) + wave), sine = load(b.floats(s.sines) + wave);
      Floats by_cosine = broadcast(0.0f);
      for (int o = 0; o < wave_sums; ++o) {
        const int64_t weight = s.wave_weight + (n * wave_sums + o) * waves + v * L;
        const Floats d = broadcast(by_sum[o]);
        store(b.gradient(weight), fma(cosine, d, load(b.gradient(weight))));
        by_cosine = fma(load(b.parameters(weight)), d, by_cosine);
      }
      const Floats by_angle = negated(by_cosine * sine), by_frequency = circle * broadcast(inputs[n]);
      store(b.gradient(s.phase + at), load(b.gradient(s.phase + at)) + by_angle);
      store(b.gradient(s.frequency + at), fma(by_frequency, by_angle, load(b.gradient(s.frequency + at))));
    }
    for (int o = 0; o < wave_sums; ++o) b.gradient(s.wave_bias)[n * wave_sums + o] += by_sum[o];
  }
}

// From the gradient at the scaled inputs, (count, dense_step), which becomes that at the inputs.
static void input_gradients(const MlpBlock& b, float* by_scaled) {
  constexpr int L = Floats::lanes;
  const MlpShape& s = b.shape;
  for (int64_t i = 0; i < b.count; ++i) {
    float* const row = by_scaled + i * s.dense_step;
    const float* const inputs = b.floats(s.inputs) + i * s.dense_step;
    for (int64_t q = 0; s.has_scale && q < s.dense; q += L) {  // behind `dense` the inputs are 0, and nothing is added
      const int64_t left = s.dense - q;
      const int count = left < L ? int(left) : L;
      const Floats zero = broadcast(0.0f), d = load(row + q);
      const Floats sum = load_first(b.gradient(s.scale) + q, count, zero);
      store_first(b.gradient(s.scale) + q, fma(load(inputs + q), d, sum), count);
      store(row + q, d * load_first(b.parameters(s.scale) + q, count, zero));
    }
    for (int64_t j = 0; j < s.n_columns; ++j) {
      const MlpColumn& column = s.columns[j];
      if (column.table < 0) continue;
      float* const to = b.gradient(column.table) + b.codes()[i * s.n_columns + j] * s.embedding_step;
      for (int64_t q = 0; q < s.embedding_width; ++q) to[q] += row[column.input + q];
    }
    if (s.has_waves) wave_gradients(b, i, row);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
