// Elements of any type and distance to numbers in scratch, and back. What a kernel cannot read where it lies (16-bit
// types, odd strides, a result of another type) is computed there, a few rows or a block at a time.
#pragma once

#include "halves.hpp"
#include "layout.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// memcpy, since strides need not keep elements aligned.
template <class Stored, class Real, class Convert>
SOFTCLASS_INLINE void read_each(const char* from, int64_t step, int64_t count, Real* to, const Convert& convert) {
  for (int64_t i = 0; i < count; ++i) {
    Stored x;
    memcpy(&x, from + i * step, sizeof x);
    to[i] = Real(convert(x));
  }
}
template <class Stored, class Real, class Convert>
SOFTCLASS_INLINE void write_each(const Real* from, int64_t count, char* to, int64_t step, const Convert& convert) {
  for (int64_t i = 0; i < count; ++i) {
    const Stored x = convert(from[i]);
    memcpy(to + i * step, &x, sizeof x);
  }
}

template <class Real>
static void read_elements(Element element, const char* from, int64_t step, int64_t count, Real* to) {
  if (element == Element::float32) return read_each<float>(from, step, count, to, [](float x) { return x; });
  if (element == Element::float64) return read_each<double>(from, step, count, to, [](double x) { return x; });
  if constexpr (sizeof(Real) == sizeof(float)) {
    const uint16_t* lying_together = reinterpret_cast<const uint16_t*>(from);
    if (step == 2 && element == Element::float16) return widen_float16(lying_together, count, to);
    if (step == 2) return widen_bfloat16(lying_together, count, to);
  }
  if (element == Element::float16) return read_each<uint16_t>(from, step, count, to, float_of_float16);
  read_each<uint16_t>(from, step, count, to, float_of_bfloat16);
}
// What rounds to 16 bits as x does.
SOFTCLASS_INLINE float to_be_rounded(float x) { return x; }
SOFTCLASS_INLINE float to_be_rounded(double x) { return float_to_odd(x, 0.0); }

template <class Real>
static void write_elements(Element element, const Real* from, int64_t count, char* to, int64_t step) {
  if (element == Element::float32) return write_each<float>(from, count, to, step, [](Real x) { return float(x); });
  if (element == Element::float64) return write_each<double>(from, count, to, step, [](Real x) { return double(x); });
  if constexpr (sizeof(Real) == sizeof(float)) {
    uint16_t* lying_together = reinterpret_cast<uint16_t*>(to);
    if (step == 2 && element == Element::float16) return narrow_to_float16(from, count, lying_together);
    if (step == 2) return narrow_to_bfloat16(from, count, lying_together);
  }
  if (element == Element::float16)
    return write_each<uint16_t>(from, count, to, step, [](Real x) { return float16_of_float(to_be_rounded(x)); });
  write_each<uint16_t>(from, count, to, step, [](Real x) { return bfloat16_of_float(to_be_rounded(x)); });
}

// body(pointer, step, offset, length) for every run of classes begin ... begin + count - 1 of a row that starts at
// `row`.
template <class Body>
SOFTCLASS_INLINE void each_run(const Layout& layout, int operand, char* row, int64_t begin, int64_t count,
                               const Body& body) {
  const Axis& last = layout.classes[layout.n_class_axes - 1];
  const int64_t step = last.strides[operand];
  for (int64_t done = 0; done < count;) {
    int64_t index = begin + done;
    const int64_t inside = index % last.length;
    int64_t length = last.length - inside;
    if (length > count - done) length = count - done;
    char* p = row + inside * step;
    index /= last.length;
    for (int a = layout.n_class_axes - 2; a >= 0; --a) {
      p += index % layout.classes[a].length * layout.classes[a].strides[operand];
      index /= layout.classes[a].length;
    }
    body(p, step, done, length);
    done += length;
  }
}

template <class Real>
static void read_classes(const Layout& layout, int operand, int64_t row, int64_t begin, int64_t count, Real* to) {
  each_run(layout, operand, row_of(layout, operand, row), begin, count,
           [&](const char* p, int64_t step, int64_t offset, int64_t length) {
             read_elements(layout.element[operand], p, step, length, to + offset);
           });
}
template <class Real>
static void write_classes(const Layout& layout, int operand, int64_t row, int64_t begin, int64_t count,
                          const Real* from) {
  each_run(layout, operand, row_of(layout, operand, row), begin, count,
           [&](char* p, int64_t step, int64_t offset, int64_t length) {
             write_elements(layout.element[operand], from + offset, length, p, step);
           });
}
template <class Real>
SOFTCLASS_INLINE void mask_elements(const char* is_there, int64_t step, int64_t count, Real* logits) {
  const Real absent = Real(-__builtin_huge_val());
  for (int64_t i = 0; i < count; ++i) logits[i] = is_there[i * step] != 0 ? logits[i] : absent;
}
// -inf where the boolean operand is False.
template <class Real>
static void mask_classes(const Layout& layout, int operand, int64_t row, int64_t begin, int64_t count, Real* logits) {
  each_run(layout, operand, row_of(layout, operand, row), begin, count,
           [&](const char* p, int64_t step, int64_t offset, int64_t length) {
             if (step == 1) return mask_elements(p, 1, length, logits + offset);
             mask_elements(p, step, length, logits + offset);
           });
}
// How many are True.
static inline int64_t count_classes(const Layout& layout, int operand, int64_t row, int64_t begin, int64_t count) {
  int64_t present = 0;
  each_run(layout, operand, row_of(layout, operand, row), begin, count,
           [&](const char* p, int64_t step, int64_t, int64_t length) {
             for (int64_t i = 0; i < length; ++i) present += p[i * step] != 0;
           });
  return present;
}

// Rows of the operand lie one after the other without a gap: many of them are read as one.
static inline bool is_dense(const Layout& layout, int operand) {
  return layout.n_row_axes == 1 && layout.has_unit_classes(operand) &&
         (layout.n_rows == 1 || layout.rows[0].strides[operand] == layout.n_classes * size_of(layout.element[operand]));
}
template <class Real>
static void read_rows(const Layout& layout, int operand, int64_t first, int64_t count, Real* to) {
  const int64_t K = layout.n_classes;
  if (is_dense(layout, operand))
    return read_elements(layout.element[operand], row_of(layout, operand, first), size_of(layout.element[operand]),
                         count * K, to);
  for (int64_t i = 0; i < count; ++i) read_classes(layout, operand, first + i, 0, K, to + i * K);
}
template <class Real>
static void mask_rows(const Layout& layout, int operand, int64_t first, int64_t count, Real* logits) {
  const int64_t K = layout.n_classes;
  if (is_dense(layout, operand)) return mask_elements(row_of(layout, operand, first), 1, count * K, logits);
  for (int64_t i = 0; i < count; ++i) mask_classes(layout, operand, first + i, 0, K, logits + i * K);
}
template <class Real>
static void write_rows(const Layout& layout, int operand, int64_t first, int64_t count, const Real* from) {
  const int64_t K = layout.n_classes;
  if (is_dense(layout, operand))
    return write_elements(layout.element[operand], from, count * K, row_of(layout, operand, first),
                          size_of(layout.element[operand]));
  for (int64_t i = 0; i < count; ++i) write_classes(layout, operand, first + i, 0, K, from + i * K);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
