// Matrices of any strides and element, made into what matmul.hpp reads: contiguous rows, panels, panels of the
// transpose.
#pragma once

#include "linear_cross_entropy.hpp"
#include "matmul.hpp"
#include "staging.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t rounded_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Rows that the kernels can read where they lie.
template <class Real>
SOFTCLASS_INLINE bool has_plain_rows(const Matrix& m) {
  constexpr int64_t size = sizeof(Real);
  return m.element == (size == 4 ? Element::float32 : Element::float64) && m.column == size && m.row % size == 0 &&
         uintptr_t(m.data) % size == 0;
}
template <class Real>
SOFTCLASS_INLINE const Real* plain_row(const Matrix& m, int64_t i) {
  return reinterpret_cast<const Real*>(m.data + i * m.row);
}

// Elements (i, j) ... (i, j + count - 1).
template <class Real>
static void copy_of_row(const Matrix& m, int64_t i, int64_t j, int64_t count, Real* out) {
  if (has_plain_rows<Real>(m))
    memcpy(out, plain_row<Real>(m, i) + j, size_t(count) * sizeof(Real));
  else
    read_elements(m.element, m.data + i * m.row + j * m.column, m.column, count, out);
}

// Elements start ... start + count - 1 of a contiguous array.
template <class Real>
SOFTCLASS_INLINE void store_rounded(const Real* from, int64_t count, Element element, void* data, int64_t start) {
  const int64_t size = size_of(element);
  if (size == int64_t(sizeof(Real)))
    memcpy(static_cast<char*>(data) + start * size, from, size_t(count) * sizeof(Real));
  else
    write_elements(element, from, count, static_cast<char*>(data) + start * size, size);
}

template <class Real>
SOFTCLASS_INLINE void fill(Real* out, int64_t count, Real value) {
  for (int64_t j = 0; j < count; ++j) out[j] = value;
}

// Panels of columns: row k of panel j at out + j panel + k panel_width, zeros behind the last column.
template <class Real>
static void pack(const Real* rows, int64_t row_step, int64_t n_rows, int64_t n_columns, Real* out, int64_t panel) {
  constexpr int width = panel_width<Real>;
  for (int64_t j = 0; j < n_columns; j += width, out += panel) {
    const int64_t here = least(width, n_columns - j);
    for (int64_t k = 0; k < n_rows; ++k) {
      if (here < width) fill(out + k * width + here, width - here, Real(0));
      if (here == width)
        for (int v = 0; v < tile_vectors; ++v)
          store(out + k * width + v * lanes_of<Real>, load(rows + k * row_step + j + v * lanes_of<Real>));
      else
        memcpy(out + k * width, rows + k * row_step + j, size_t(here) * sizeof(Real));
    }
  }
}

// Vector l of `out` is column l of `lanes` rows; whole 16 bytes of columns.
template <class Real>
SOFTCLASS_INLINE void transpose_rows(const Real* rows, int64_t row_step, int64_t n_columns, Real* out, int64_t step) {
  using V = Vector<Real>;
  constexpr int quarter = 16 / int(sizeof(Real));
  for (int64_t k = 0; k < n_columns; k += quarter) {
    V part[quarter];
    for (int q = 0; q < quarter; ++q) part[q] = load_quarters(rows + q * row_step + k, quarter * row_step);
    transpose_quarters(part);
    for (int q = 0; q < quarter; ++q) store(out + (k + q) * step, part[q]);
  }
}

// Panels of rows, transposed: column k of panel j at out + j panel + k panel_width. Rows and columns that fill whole
// panels and 16 bytes.
template <class Real>
static void pack_transposed(const Real* rows, int64_t row_step, int64_t n_rows, int64_t n_columns, Real* out,
                            int64_t panel) {
  constexpr int width = panel_width<Real>, L = lanes_of<Real>;
  for (int64_t i = 0; i < n_rows; i += L)
    transpose_rows(rows + i * row_step, row_step, n_columns, out + i / width * panel + i % width, width);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
