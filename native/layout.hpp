// Arrays of any shape and strides as rows: the axes of a row's number, the axes of its classes, and for every operand
// the strides along both. Axes of length 1 are dropped and neighbours that lie together in all operands become one.
#pragma once

#include <cstdint>

namespace softclass {

enum class Element { float16, bfloat16, float32, float64, boolean, int64 };
constexpr int64_t size_of(Element element) {
  return element == Element::float64 || element == Element::int64 ? 8
         : element == Element::float32                            ? 4
         : element == Element::boolean                            ? 1
                                                                  : 2;
}

constexpr int most_axes = 64;  // NumPy's limit
constexpr int most_operands = 4;

// Strides in bytes. `strides` has one entry an axis of the whole shape; 0 along an axis that the array has not.
struct Strided {
  char* data;
  Element element;
  int64_t strides[most_axes];
};

struct Axis {
  int64_t length;
  int64_t strides[most_operands];
};

// At least one axis of either kind, be it of length 1.
struct Layout {
  int64_t n_rows;
  int64_t n_classes;
  int n_row_axes;
  int n_class_axes;
  int n_operands;
  bool is_aligned;  // every element of every operand lies at a multiple of its size
  char* data[most_operands];
  Element element[most_operands];
  Axis rows[most_axes];
  Axis classes[most_axes];

  // The classes of a row of this operand lie one after the other.
  bool has_unit_classes(int operand) const {
    return n_class_axes == 1 && (n_classes == 1 || classes[0].strides[operand] == size_of(element[operand]));
  }
  const Axis& last_rows() const { return rows[n_row_axes - 1]; }
};

// With `in_order` the rows are numbered in C order of their axes; else as they lie in the memory of operand 0.
void lay_out(int n_axes, const int64_t* shape, const bool* is_class, const Strided* operands, int n_operands,
             bool in_order, Layout* layout) noexcept;

// Where row `row` begins.
static inline char* row_of(const Layout& layout, int operand, int64_t row) {
  char* p = layout.data[operand];
  for (int a = layout.n_row_axes - 1; a > 0; --a) {
    const int64_t length = layout.rows[a].length, rest = row / length;
    p += (row - rest * length) * layout.rows[a].strides[operand];
    row = rest;
  }
  return p + row * layout.rows[0].strides[operand];
}

}  // namespace softclass
