// Rows before their logits are made: what each weighs, whether its target is one. A row of weight 0 is left out of all
// products, so that nothing in it can reach a result.
#pragma once

#include "matmul_pack.hpp"
#include "row_state.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Takes pieces, each at a multiple of 64 bytes, from memory; from a null pointer it only counts.
class Pieces {
 public:
  explicit Pieces(void* memory) : start_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(int64_t count) {
    const int64_t at = bytes_;
    bytes_ += rounded_up(count * int64_t(sizeof(T)), 64);
    return start_ ? reinterpret_cast<T*>(start_ + at) : nullptr;
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* start_;
  int64_t bytes_ = 0;
};

constexpr int64_t sum_rows = 256;  // rows of one partial sum of losses and of weights

// Rows that take part, one entry a row.
struct ActiveRows {
  int64_t count;
  int64_t* row;
  int64_t* target;  // class index; -1 where the targets are distributions
  double* weight;   // NaN: the target is none
};

struct RowTarget {
  int64_t index;
  double weight;
};

// The weight of a row whose target is a distribution; NaN if it is none.
static double weight_of_distribution(const LinearLoss& call, int64_t row, double weight) {
  double shares[64], sum = 0.0, weighted = 0.0;
  bool is_bad = false;
  for (int64_t c = 0; c < call.n_classes; c += 64) {
    const int64_t count = least(64, call.n_classes - c);
    copy_of_row(call.distributions, row, c, count, shares);
    for (int64_t j = 0; j < count; ++j) {
      is_bad |= !(shares[j] >= 0.0);
      sum += shares[j];
      if (call.class_weight) weighted += shares[j] * call.class_weight[c + j];
    }
  }
  is_bad |= !(sum - 1.0 <= call.tolerance && 1.0 - sum <= call.tolerance);
  if (is_bad) return not_a_number<double>();
  return call.class_weight ? weight * weighted : weight;
}

SOFTCLASS_INLINE RowTarget target_of(const LinearLoss& call, int64_t row) {
  double weight = call.weight_scale * (call.sample_weight ? call.sample_weight[row] : 1.0);
  if (weight == 0.0) return {-1, 0.0};
  if (!call.indices) return {-1, weight_of_distribution(call, row, weight)};
  const int64_t index = call.indices[row];
  if (call.has_ignored && index == call.ignored) return {-1, 0.0};
  if (uint64_t(index) >= uint64_t(call.n_classes)) return {-1, not_a_number<double>()};
  if (call.class_weight) weight *= call.class_weight[index];
  return {index, weight};
}

// Appends the rows first ... end - 1 that weigh anything.
[[maybe_unused]] static void collect_rows(const LinearLoss& call, int64_t first, int64_t end, ActiveRows& rows) {
  for (int64_t i = first; i < end; ++i) {
    const RowTarget target = target_of(call, i);
    if (target.weight == 0.0) continue;
    rows.row[rows.count] = i;
    rows.target[rows.count] = target.index;
    rows.weight[rows.count++] = target.weight;
  }
}

// Sums over the rows in their order, by parts of `sum_rows` rows that are added in their order.
SOFTCLASS_INLINE int64_t n_sums(const LinearLoss& call) { return (call.n_rows + sum_rows - 1) / sum_rows; }

SOFTCLASS_INLINE double sum_of_parts(const double* parts, int64_t count) {
  double sum = 0.0, lost = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double next = sum + parts[i], back = next - sum;
    lost += (sum - (next - back)) + (parts[i] - back);
    sum = next;
  }
  return is_finite(sum) ? sum + lost : sum;
}

// Weights and bad targets of all rows; `parts` has room for three numbers a part. A bad row counts as one row.
[[maybe_unused]] static LossSum weigh_rows(const LinearLoss& call, double* parts) {
  const int64_t n_parts = n_sums(call);
  double* const bad = parts + n_parts;
  double* const first_bad = bad + n_parts;
  parallel(n_parts, call.n_rows < 16384 && call.indices ? 1 : call.threads, [&](int64_t part) {
    double sum = 0.0, n_bad = 0.0;
    first_bad[part] = -1.0;
    const int64_t end = least((part + 1) * sum_rows, call.n_rows);
    for (int64_t i = part * sum_rows; i < end; ++i) {
      const RowTarget target = target_of(call, i);
      const bool is_bad = target.weight != target.weight;
      if (is_bad && n_bad++ == 0.0) first_bad[part] = double(i);
      sum += is_bad ? call.weight_scale : target.weight;
    }
    parts[part] = sum;
    bad[part] = n_bad;
  });
  LossSum total{0.0, sum_of_parts(parts, n_parts), -1, 0, false};
  for (int64_t part = 0; part < n_parts; ++part) {
    if (total.n_bad == 0 && bad[part] > 0.0) total.first_bad = int64_t(first_bad[part]);
    total.n_bad += int64_t(bad[part]);
  }
  return total;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
