#include "layout.hpp"

namespace softclass {
namespace {

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// Insertion sort, stable: the axis that takes the longest steps in operand 0 comes first.
void sort_by_stride(Axis* axes, int count) {
  for (int i = 1; i < count; ++i)
    for (int j = i; j > 0 && magnitude(axes[j - 1].strides[0]) < magnitude(axes[j].strides[0]); --j) {
      const Axis kept = axes[j];
      axes[j] = axes[j - 1];
      axes[j - 1] = kept;
    }
}

bool lie_together(const Axis& outer, const Axis& inner, int n_operands) {
  for (int o = 0; o < n_operands; ++o)
    if (outer.strides[o] != inner.strides[o] * inner.length) return false;
  return true;
}

int merged(Axis* axes, int count, int n_operands) {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    if (kept > 0 && lie_together(axes[kept - 1], axes[i], n_operands)) {
      const int64_t length = axes[kept - 1].length;
      axes[kept - 1] = axes[i];
      axes[kept - 1].length *= length;
    } else {
      axes[kept++] = axes[i];
    }
  }
  return kept;
}

}  // namespace

void lay_out(int n_axes, const int64_t* shape, const bool* is_class, const Strided* operands, int n_operands,
             bool in_order, Layout* layout) noexcept {
  layout->n_rows = layout->n_classes = 1;
  layout->n_row_axes = layout->n_class_axes = 0;
  layout->n_operands = n_operands;
  layout->is_aligned = true;
  for (int o = 0; o < n_operands; ++o) {
    layout->data[o] = operands[o].data;
    layout->element[o] = operands[o].element;
    layout->is_aligned &= reinterpret_cast<uintptr_t>(operands[o].data) % uintptr_t(size_of(operands[o].element)) == 0;
  }
  for (int a = 0; a < n_axes; ++a) {
    (is_class[a] ? layout->n_classes : layout->n_rows) *= shape[a];
    if (shape[a] == 1) continue;
    Axis& axis = is_class[a] ? layout->classes[layout->n_class_axes++] : layout->rows[layout->n_row_axes++];
    axis.length = shape[a];
    for (int o = 0; o < n_operands; ++o) {
      axis.strides[o] = operands[o].strides[a];
      layout->is_aligned &= axis.strides[o] % size_of(operands[o].element) == 0;
    }
  }
  if (!in_order) sort_by_stride(layout->rows, layout->n_row_axes);
  layout->n_row_axes = merged(layout->rows, layout->n_row_axes, n_operands);
  layout->n_class_axes = merged(layout->classes, layout->n_class_axes, n_operands);
  if (layout->n_class_axes == 0) {
    layout->n_class_axes = 1;
    layout->classes[0].length = 1;
    for (int o = 0; o < n_operands; ++o) layout->classes[0].strides[o] = size_of(operands[o].element);
  }
  if (layout->n_row_axes == 0) {
    layout->n_row_axes = 1;
    layout->rows[0].length = 1;
    for (int o = 0; o < n_operands; ++o) layout->rows[0].strides[o] = layout->n_classes * size_of(operands[o].element);
  }
}

}  // namespace softclass
