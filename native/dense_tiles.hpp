// The products of dense layers, in register tiles: C = start + A B, where C is rows x columns, columns a multiple of
// 16.
//
// Every element is one chain: start, then the depth ascending, an fma each. A tile's vectors lie over columns and
// nothing is ever summed across a vector, so the bits depend neither on its width nor on the blocking. One product
// serves all:
//   forward            A activations (rows x in), B weight [in][out], start bias
//   weight gradient    A activations read down their rows (in x rows), B gradients (rows x out), start what is there
//   input gradient     A gradients (rows x out), B transposed weight [out][in], start zero; where the weight is large
//                      and the rows are few, dense_back
// matmul.hpp sums in blocks of its depth; there the rows are those of one call, here a chain goes on in the next one.
#pragma once

#include "fetch.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

enum class Start { zero, bias, kept };

// What comes from memory, read once and in order, and is fetched ahead: contiguous rows of A, as many as the product
// has, or contiguous rows of B, a block of the depth.
enum class Streams { none, a, b };

struct DenseProduct {
  int64_t rows, columns, depth;
  const float* a;  // element (i, k) at a + i a_row + k a_step
  int64_t a_row, a_step;
  const float* b;  // row k at b + k b_row
  int64_t b_row;
  float* c;  // row i at c + i c_row
  int64_t c_row;
  Start start;
  const float* bias;  // (columns,), for Start::bias
  Streams streams = Streams::none;
  float* room = nullptr;  // (rows, columns), for depths above chain_terms; without it a chain there is one block
};

// Chains that start from zero or a bias are cut at so many terms; the sums of the parts are added in order.
constexpr int64_t chain_terms = 1024;

// Rows of a tile of one, two, ... vectors; its accumulators, a row of B and a broadcast fill the registers.
#if defined(SOFTCLASS_TARGET_avx512) || defined(SOFTCLASS_TARGET_neon)
constexpr int dense_tile_rows[] = {16, 12, 8, 6};
#elif defined(SOFTCLASS_TARGET_avx2)
constexpr int dense_tile_rows[] = {8, 6};
#else
constexpr int dense_tile_rows[] = {2, 2, 2, 2};
#endif
constexpr int dense_tile_vectors = int(sizeof dense_tile_rows / sizeof dense_tile_rows[0]);
// Depth of a row block of B that is used for all rows before the next: a panel of it stays in the first cache.
constexpr int64_t dense_depth = 128;

struct DenseTile {
  int64_t depth;
  const float* a;
  int64_t a_row, a_step;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  Start start;
  const float* bias;
  bool adds;  // to C, after the chain
  const float* ahead;  // what is fetched meanwhile: so many lines every fetch_steps of the depth
  int64_t lines;
};
constexpr int64_t fetch_steps = 8;

template <int rows, int vectors>
static void dense_tile(const DenseTile& t) {
  constexpr int L = Floats::lanes;
  Floats sum[rows][vectors];
  if (t.start == Start::kept) {
    SOFTCLASS_UNROLL
    for (int i = 0; i < rows; ++i) {
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = load(t.c + i * t.c_row + v * L);
    }
  } else {
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const Floats first = t.start == Start::bias ? load(t.bias + v * L) : broadcast(0.0f);
      SOFTCLASS_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][v] = first;
    }
  }
  // A pointer for four rows and three distances: sixteen pointers would not fit the registers.
  constexpr int quads = (rows + 3) / 4;
  const int64_t distance[4] = {0, t.a_row, 2 * t.a_row, 3 * t.a_row};
  const float* a[quads];
  for (int q = 0; q < quads; ++q) a[q] = t.a + 4 * q * t.a_row;
  const float* b = t.b;
  const float* ahead = t.ahead;
  for (int64_t k = 0; k < t.depth;) {
    for (int64_t l = 0; l < t.lines; ++l, ahead += line_floats) fetch_line(ahead);
    for (const int64_t end = t.depth - k < fetch_steps ? t.depth : k + fetch_steps; k < end; ++k, b += t.b_row) {
      Floats row[vectors];
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) row[v] = load(b + v * L);
      SOFTCLASS_UNROLL
      for (int i = 0; i < rows; ++i) {
        const Floats factor = broadcast(a[i / 4][distance[i % 4]]);
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v) sum[i][v] = fma(factor, row[v], sum[i][v]);
      }
      SOFTCLASS_UNROLL
      for (int q = 0; q < quads; ++q) a[q] += t.a_step;
    }
  }
  SOFTCLASS_UNROLL
  for (int i = 0; i < rows; ++i) {
    float* const c = t.c + i * t.c_row;
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) store(c + v * L, t.adds ? load(c + v * L) + sum[i][v] : sum[i][v]);
  }
}

template <int vectors, int rows>
SOFTCLASS_INLINE void dense_tile_of(int wanted, const DenseTile& t) {
  if constexpr (rows > 0) {
    if (wanted == rows) return dense_tile<rows, vectors>(t);
    dense_tile_of<vectors, rows - 1>(wanted, t);
  }
}

// All rows of at most `vectors` vectors of columns, spread evenly: 10 are 5 and 5, not 8 and 2. Returns where fetching
// has to go on.
template <int vectors>
static const float* dense_panel(int64_t rows, int64_t columns, DenseTile t) {
  constexpr int L = Floats::lanes, most = dense_tile_rows[vectors - 1];
  if constexpr (vectors > 1)
    if (columns < vectors * L) return dense_panel<vectors - 1>(rows, columns, t);
  const float* const a = t.a;
  float* const c = t.c;
  const int64_t groups = (rows + most - 1) / most;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t i = rows * g / groups, end = rows * (g + 1) / groups;
    t.a = a + i * t.a_row;
    t.c = c + i * t.c_row;
    dense_tile_of<vectors, most>(int(end - i), t);
    t.ahead += (t.depth + fetch_steps - 1) / fetch_steps * t.lines * line_floats;
  }
  return t.ahead;
}

// One block of the depth, all columns.
static inline void dense_block(const DenseProduct& p, int64_t k, int64_t depth, Start start, bool adds) {
  constexpr int64_t width = dense_tile_vectors * Floats::lanes, height = dense_tile_rows[dense_tile_vectors - 1];
  const float* ahead = p.b;
  int64_t lines = 0;
  if (p.streams != Streams::none) {
    const bool is_a = p.streams == Streams::a;
    ahead = is_a ? p.a + p.rows * p.a_row + k * p.rows : p.b + (k + depth) * p.b_row;
    const int64_t all = depth * (is_a ? p.rows : p.columns) / line_floats;
    const int64_t steps = (depth + fetch_steps - 1) / fetch_steps;
    const int64_t tiles = (p.columns + width - 1) / width * ((p.rows + height - 1) / height);
    lines = (all + tiles * steps - 1) / (tiles * steps);
  }
  for (int64_t j = 0; j < p.columns; j += width) {
    const int64_t left = p.columns - j;
    const DenseTile t = {depth, p.a + k * p.a_step, p.a_row, p.a_step, p.b + k * p.b_row + j, p.b_row, p.c + j,
                         p.c_row, start, start == Start::bias ? p.bias + j : nullptr, adds, ahead, lines};
    ahead = dense_panel<dense_tile_vectors>(p.rows, left < width ? left : width, t);
  }
}

// A depth of 0 leaves the start.
static inline void dense_product(const DenseProduct& p) {
  const int64_t first_chain = p.start == Start::kept || p.depth < chain_terms ? p.depth : chain_terms;
  int64_t k = 0;
  do {
    const int64_t left = first_chain - k, depth = left < 2 * dense_depth ? left : dense_depth;
    dense_block(p, k, depth, k == 0 ? p.start : Start::kept, false);
    k += depth;
  } while (k < first_chain);
  for (; k < p.depth; k += chain_terms) {
    const int64_t left = p.depth - k, depth = left < chain_terms ? left : chain_terms;
    if (!p.room) {
      dense_block(p, k, depth, Start::zero, true);
      continue;
    }
    DenseProduct chain = p;
    chain.depth = depth;
    chain.a += k * p.a_step;
    chain.b += k * p.b_row;
    chain.c = p.room;
    chain.c_row = p.columns;
    chain.start = Start::zero;
    dense_product(chain);
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t j = 0; j < p.columns; j += Floats::lanes)
        store(p.c + i * p.c_row + j, load(p.c + i * p.c_row + j) + load(p.room + i * p.columns + j));
  }
}

// Adds the sum over rows, in order, to `sums`: the gradient of a bias. Columns a multiple of 16.
static inline void add_rows(const float* rows, int64_t count, int64_t step, int64_t columns, float* sums) {
  constexpr int L = Floats::lanes;
  for (int64_t j = 0; j < columns; j += 16) {
    Floats sum[16 / L];
    SOFTCLASS_UNROLL
    for (int v = 0; v < 16 / L; ++v) sum[v] = load(sums + j + v * L);
    for (int64_t i = 0; i < count; ++i) {
      SOFTCLASS_UNROLL
      for (int v = 0; v < 16 / L; ++v) sum[v] = sum[v] + load(rows + i * step + j + v * L);
    }
    SOFTCLASS_UNROLL
    for (int v = 0; v < 16 / L; ++v) store(sums + j + v * L, sum[v]);
  }
}

// to[j][i] = from[i][j] for i < rows, j < columns; what lies behind is not touched.
static inline void transpose_into(const float* from, int64_t rows, int64_t from_row, int64_t columns, float* to,
                           int64_t to_row) {
  constexpr int64_t block = 16;
  for (int64_t i = 0; i < rows; i += block)
    for (int64_t j = 0; j < columns; j += block) {
      const int64_t last_i = i + block < rows ? i + block : rows, last_j = j + block < columns ? j + block : columns;
      for (int64_t y = j; y < last_j; ++y)
        for (int64_t x = i; x < last_i; ++x) to[y * to_row + x] = from[x * from_row + y];
    }
}

// Column j of a vector of rows becomes row j of `to`; columns are a multiple of 4.
static inline void transpose_vector(const float* from, int64_t from_row, int64_t columns, float* to, int64_t to_row) {
  for (int64_t j = 0; j < columns; j += 4) {
    Floats part[4];
    for (int q = 0; q < 4; ++q) part[q] = load_quarters(from + q * from_row + j, 4 * from_row);
    transpose_quarters(part);
    for (int q = 0; q < 4; ++q) store(to + (j + q) * to_row, part[q]);
  }
}

// Inputs at a time, which are then in the first cache.
constexpr int64_t dense_back_inputs = 48;

// The gradient of the inputs of few rows, back (rows x inputs) = gradients (rows x outputs) times the weight [in][out]
// turned round: the weight is read once, in order, and no transposed copy of it has to be kept. Some inputs at a time,
// weight times transposed gradients, which is then transposed; the chains are those of dense_product. Inputs and
// outputs are multiples of 16. `room` has (outputs + dense_back_inputs) x (rows, a multiple of 16) floats. Rows are
// written in fours, up to three behind the last one.
static inline void dense_back(int64_t rows, int64_t inputs, int64_t outputs, const float* gradients,
                              const float* weight, float* back, float* room) {
  const int64_t step = (rows + 15) / 16 * 16, fours = (rows + 3) / 4 * 4;
  float* const turned = room + outputs * step;
  for (int64_t k = 0; k < outputs; ++k)
    for (int64_t r = 0; r < step; ++r) room[k * step + r] = r < rows ? gradients[r * outputs + k] : 0.0f;
  for (int64_t i = 0; i < inputs; i += dense_back_inputs) {
    const int64_t count = inputs - i < dense_back_inputs ? inputs - i : dense_back_inputs;
    dense_product({count, step, outputs, weight + i * outputs, outputs, 1, room, step, turned, step, Start::zero,
                   nullptr, Streams::a});
    for (int64_t j = 0; j < count; j += Floats::lanes)
      transpose_vector(turned + j * step, step, fours, back + i + j, inputs);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
