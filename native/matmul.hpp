// C = A B and C += A B, register-blocked, for float and double.
//
// Numbers are broadcast from A (any strides) and read as vectors from B: whole rows of it, or panels of it that were
// packed by matmul_pack.hpp. Every element of C is a sum in the order of the depth index, by fma, in blocks of
// `depth_block`; so its bits depend on its row of A, its column of B and the depth alone, not on its place, and are the
// same on every target.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Rows of a tile of C of one, two and three vectors. Its accumulators, a row of B and a broadcast fill the registers:
// 24 + 3 + 1 of 32, 12 + 3 + 1 of 16.
#if defined(SOFTCLASS_TARGET_avx512) || defined(SOFTCLASS_TARGET_neon)
constexpr int tile_rows[] = {16, 12, 8};
#elif defined(SOFTCLASS_TARGET_avx2)
constexpr int tile_rows[] = {8, 6, 4};
#else
constexpr int tile_rows[] = {4};
#endif
constexpr int tile_vectors = int(sizeof tile_rows / sizeof tile_rows[0]);
template <class Real>
constexpr int panel_width = tile_vectors* lanes_of<Real>;

// Rows of B that one pass takes: a panel of them is 24 KB with AVX-512 and stays in the first cache.
constexpr int64_t depth_block = 128;

// Element (i, k) at data + i row + k step.
template <class Real>
struct Left {
  const Real* data;
  int64_t row;
  int64_t step;
};

// Columns j width ... j width + width - 1 of row k at data + j panel + k step, contiguous. Rows of an ordinary matrix:
// panel = width, step = its row stride; the columns must then fill whole vectors.
template <class Real>
struct Right {
  const Real* data;
  int64_t panel;
  int64_t step;
};

template <class Real>
struct Tile {
  int64_t depth;
  const Real* a;
  int64_t a_row, a_step;
  const Real* b;
  int64_t b_step;
  Real* c;
  int64_t c_row;
  const Real* next_c;  // the tile that follows, fetched meanwhile
  const Real* ahead;   // rows of A that will be wanted: lines `line` ..., `lines` of them a row of the tile
  int64_t line;
  int lines;
  int last_columns;  // columns of the last vector that belong to C
  bool add;
};

#if defined(_MSC_VER)
SOFTCLASS_INLINE void fetch_to_write(const void*) {}
SOFTCLASS_INLINE void fetch_to_read(const void*) {}
#else
SOFTCLASS_INLINE void fetch_to_write(const void* p) { __builtin_prefetch(p, 1, 3); }
SOFTCLASS_INLINE void fetch_to_read(const void* p) { __builtin_prefetch(p, 0, 2); }
#endif

template <class Real>
constexpr int64_t line_elements = 64 / int64_t(sizeof(Real));
template <class Real>
constexpr int64_t lines_of_block = depth_block / line_elements<Real>;

// What the memory should bring while row i of a tile is at work.
template <class Real, int vectors>
SOFTCLASS_INLINE void fetch_ahead(const Tile<Real>& t, int i) {
  constexpr int L = lanes_of<Real>;
  const Real* const c = t.next_c + i * t.c_row;
  for (int v = 0; v < vectors; ++v) fetch_to_write(c + v * L);
  fetch_to_write(c + vectors * L - 1);
  for (int64_t l = t.line + i * t.lines; l < t.line + (i + 1) * t.lines; ++l)
    fetch_to_read(t.ahead + l / lines_of_block<Real> * t.a_row + l % lines_of_block<Real> * line_elements<Real>);
}

template <class Real, int rows, int vectors>
static void multiply_tile(const Tile<Real>& t) {
  using V = Vector<Real>;
  constexpr int L = V::lanes;
  V sum[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) sum[i][v] = broadcast_as(V{}, Real(0));
  // A pointer for four rows and three distances: sixteen pointers would not fit the registers.
  constexpr int quads = (rows + 3) / 4;
  const int64_t distance[4] = {0, t.a_row, 2 * t.a_row, 3 * t.a_row};
  const Real* a[quads];
  for (int q = 0; q < quads; ++q) a[q] = t.a + 4 * q * t.a_row;
  const Real* b = t.b;
  constexpr int parts = (rows + 1) / 2;
  for (int64_t part = 0, k = 0; part < parts; ++part) {
    fetch_ahead<Real, vectors>(t, int(2 * part));
    if (2 * part + 1 < rows) fetch_ahead<Real, vectors>(t, int(2 * part + 1));
    for (const int64_t end = t.depth * (part + 1) / parts; k < end; ++k, b += t.b_step) {
      V column[vectors];
      for (int v = 0; v < vectors; ++v) column[v] = load(b + v * L);
      for (int i = 0; i < rows; ++i) {
        const V factor = broadcast_as(V{}, a[i / 4][distance[i % 4]]);
        for (int v = 0; v < vectors; ++v) sum[i][v] = fma(factor, column[v], sum[i][v]);
      }
      for (int q = 0; q < quads; ++q) a[q] += t.a_step;
    }
  }
  const V zero = broadcast_as(V{}, Real(0));
  for (int i = 0; i < rows; ++i) {
    Real* c = t.c + i * t.c_row;
    for (int v = 0; v < vectors - 1; ++v) store(c + v * L, t.add ? load(c + v * L) + sum[i][v] : sum[i][v]);
    Real* last = c + (vectors - 1) * L;
    if (t.last_columns == L)
      store(last, t.add ? load(last) + sum[i][vectors - 1] : sum[i][vectors - 1]);
    else
      store_first(last, t.add ? load_first(last, t.last_columns, zero) + sum[i][vectors - 1] : sum[i][vectors - 1],
                  t.last_columns);
  }
}

template <class Real, int vectors, int rows>
SOFTCLASS_INLINE void multiply_tile_of(int wanted, const Tile<Real>& t) {
  if constexpr (rows > 0) {
    if (wanted == rows) return multiply_tile<Real, rows, vectors>(t);
    multiply_tile_of<Real, vectors, rows - 1>(wanted, t);
  }
}

// All rows of at most `vectors` vectors of columns.
template <class Real, int vectors>
SOFTCLASS_INLINE void multiply_column_of_tiles(int64_t rows, int columns, Tile<Real> t) {
  constexpr int L = lanes_of<Real>, most = tile_rows[vectors - 1];
  if constexpr (vectors > 1)
    if (columns <= (vectors - 1) * L) return multiply_column_of_tiles<Real, vectors - 1>(rows, columns, t);
  t.last_columns = columns - (vectors - 1) * L;
  const Real* const a = t.a;
  Real* const c = t.c;
  const int64_t groups = (rows + most - 1) / most;
  for (int64_t g = 0; g < groups; ++g) {  // rows are spread evenly: 10 are 5 and 5, not 8 and 2
    const int64_t i = rows * g / groups, end = rows * (g + 1) / groups;
    t.a = a + i * t.a_row;
    t.c = c + i * t.c_row;
    t.next_c = g + 1 < groups ? c + end * t.c_row : c + vectors * L;
    multiply_tile_of<Real, vectors, most>(int(end - i), t);
    t.line += t.lines * (end - i);
  }
}

// C (rows x columns, row stride c_row) = A B, or += with `add`. With `streams`, A comes from memory, row after row, and
// is fetched a block of its depth ahead; then what lies behind its last row, since that is likely to be asked for next.
template <class Real>
static void matmul(int64_t rows, int64_t columns, int64_t depth, Left<Real> a, Right<Real> b, Real* c, int64_t c_row,
                   bool add, bool streams = false) {
  constexpr int width = panel_width<Real>;
  if (depth == 0 && !add)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) c[i * c_row + j] = Real(0);
  const int64_t n_panels = (columns + width - 1) / width, lines = lines_of_block<Real>;
  for (int64_t k = 0; k < depth; k += depth_block) {
    const bool is_last = depth - k <= depth_block;
    const Real* const ahead = is_last ? a.data + rows * a.row : a.data + k + depth_block;
    for (int64_t j = 0; j < n_panels; ++j) {
      Tile<Real> t = {};
      t.depth = is_last ? depth - k : depth_block;
      t.a = a.data + k * a.step;
      t.a_row = a.row;
      t.a_step = a.step;
      t.b = b.data + j * b.panel + k * b.step;
      t.b_step = b.step;
      t.c = c + j * width;
      t.c_row = c_row;
      t.ahead = ahead;
      t.lines = streams ? int((lines + n_panels - 1) / n_panels) : 0;
      t.line = j * t.lines * rows;
      t.add = add || k > 0;
      const int64_t left = columns - j * width;
      multiply_column_of_tiles<Real, tile_vectors>(rows, int(left < width ? left : width), t);
    }
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
