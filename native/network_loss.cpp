#include "network_loss.hpp"

#include "cross_entropy.hpp"

namespace softclass {
namespace {

// A matrix of rows of classes, as cross_entropy.hpp sees it; the classes lie one after the other.
Layout layout_of(const LossBlock& block, const float* shares) {
  const int64_t K = block.n_classes;
  Layout layout = {};
  layout.n_rows = block.count;
  layout.n_classes = K;
  layout.n_row_axes = 1;
  layout.n_class_axes = 1;
  layout.n_operands = shares ? 3 : 2;
  layout.is_aligned = true;
  layout.rows[0].length = block.count;
  layout.classes[0].length = K;
  for (int o = 0; o < layout.n_operands; ++o) {
    const bool is_logits = o != CrossEntropy::shares;
    layout.data[o] = is_logits ? reinterpret_cast<char*>(block.logits)
                               : const_cast<char*>(reinterpret_cast<const char*>(shares));
    layout.element[o] = Element::float32;
    layout.rows[0].strides[o] = 4 * (is_logits ? block.step : K);
    layout.classes[0].strides[o] = 4;
  }
  return layout;
}

int64_t place_of_largest(const float* values, int64_t count) {
  int64_t place = 0;
  for (int64_t j = 1; j < count; ++j)
    if (values[j] > values[place]) place = j;
  return place;
}

// Without effect on any weight (AdamW's epsilon is 1e-8), but products with them would be subnormal numbers, which took
// ten times the time of an epoch once a network was sure of most rows.
constexpr float least_gradient = 1e-20f;

void drop_least(float* gradient, int64_t count) {
  for (int64_t j = 0; j < count; ++j)
    gradient[j] = gradient[j] < least_gradient && gradient[j] > -least_gradient ? 0.0f : gradient[j];
}

}  // namespace

void network_loss(const LossBlock& block, LaneSums* sums) noexcept {
  const NetworkRows& rows = *block.rows;
  const int64_t n = block.count, K = block.n_classes;
  double* const losses = static_cast<double*>(block.room);
  double* const weights = losses + n;
  int64_t* const targets = reinterpret_cast<int64_t*>(weights + n);
  float* const shares = rows.shares ? reinterpret_cast<float*>(targets + n) : nullptr;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = block.indices[i];
    weights[i] = rows.weights ? double(rows.weights[row]) : 1.0;
    if (shares) {
      for (int64_t c = 0; c < K; ++c) shares[i * K + c] = rows.shares[row * K + c];
      targets[i] = place_of_largest(shares + i * K, K);
    } else {
      targets[i] = rows.targets[row];
    }
    sums->weight += weights[i];
    if (place_of_largest(block.logits + i * block.step, K) == targets[i]) sums->correct += weights[i];
  }
  CrossEntropy call = {};
  call.layout = layout_of(block, shares);
  call.has_gradient = block.has_gradient;
  call.has_shares = shares != nullptr;
  call.targets = targets;
  call.sample_weight = rows.weights ? weights : nullptr;
  call.label_smoothing = block.label_smoothing;
  call.weight_scale = 1.0;
  call.tolerance = 1.0;  // shares were checked when they came
  call.divisor = block.divisor;
  call.factor = 1.0;
  call.losses = losses;
  for (int64_t first = 0; first < n; first += most_unit_rows) {
    CrossEntropySum sum = {0.0, 0.0, 0.0, 0.0, -1, 0};
    const int64_t left = n - first;
    chosen_cross_entropy_table().float32(call, first, left < most_unit_rows ? left : most_unit_rows, &sum);
  }
  for (int64_t i = 0; i < n; ++i) sums->loss += losses[i];
  for (int64_t i = 0; block.has_gradient && i < n; ++i) drop_least(block.logits + i * block.step, K);
}

}  // namespace softclass
