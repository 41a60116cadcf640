// Cuts a call into units of rows, has them computed, and adds their sums in order.
#include "cross_entropy.hpp"

#include <cmath>

#include "threads.hpp"

namespace softclass {
namespace {

constexpr int64_t task_elements = 32768;
constexpr int64_t serial_elements = 2 * task_elements;

// Rows of a unit, whose sums are added by themselves: a power of two that depends on the number of classes alone.
int64_t unit_rows(int64_t n_classes) {
  int64_t rows = most_unit_rows;
  while (rows > 1 && (rows / 2) * n_classes >= task_elements) rows /= 2;
  return rows;
}

void add(double& high, double& low, double x, double x_low) {
  const double sum = high + x, back = sum - high;
  low += ((high - (sum - back)) + (x - back)) + x_low;
  high = sum;
}

void add(CrossEntropySum& all, const CrossEntropySum& part) {
  add(all.loss, all.loss_low, part.loss, part.loss_low);
  add(all.weight, all.weight_low, part.weight, part.weight_low);
  if (all.n_bad == 0) all.first_bad = part.first_bad;
  all.n_bad += part.n_bad;
}

double rounded(double high, double low) { return std::isfinite(high) ? high + low : high; }

constexpr CrossEntropySum nothing{0.0, 0.0, 0.0, 0.0, -1, 0};

using Unit = void (*)(const CrossEntropy&, int64_t, int64_t, CrossEntropySum*);

CrossEntropySum sum_of_units(const CrossEntropy& call, Unit unit, int threads) {
  const int64_t N = call.layout.n_rows, K = call.layout.n_classes, size = unit_rows(K), n_units = (N + size - 1) / size;
  const int64_t units_a_task = 1 + (task_elements - 1) / (size * (K > 0 ? K : 1));
  constexpr int64_t few = 16;
  CrossEntropySum on_stack[few];
  CrossEntropySum* sums = on_stack;
  int64_t room = few;
  if (n_units > few) {
    if (void* memory = scratch(2, n_units * int64_t(sizeof(CrossEntropySum)))) {
      sums = static_cast<CrossEntropySum*>(memory);
      room = n_units;
    }
  }
  if (N * K < serial_elements) threads = 1;
  CrossEntropySum all = nothing;
  for (int64_t begin = 0; begin < n_units; begin += room) {
    const int64_t end = begin + room < n_units ? begin + room : n_units;
    parallel((end - begin + units_a_task - 1) / units_a_task, threads, [&](int64_t task) {
      const int64_t from = begin + task * units_a_task, to = from + units_a_task < end ? from + units_a_task : end;
      for (int64_t u = from; u < to; ++u) {
        sums[u - begin] = nothing;
        unit(call, u * size, (u + 1) * size < N ? size : N - u * size, &sums[u - begin]);
      }
    });
    for (int64_t u = begin; u < end; ++u) add(all, sums[u - begin]);
  }
  all.loss = rounded(all.loss, all.loss_low);
  all.weight = rounded(all.weight, all.weight_low);
  return all;
}

Unit rows_of(const CrossEntropy& call) {
  const CrossEntropyTable& table = chosen_cross_entropy_table();
  return call.layout.element[CrossEntropy::logits] == Element::float64 ? table.float64 : table.float32;
}

double sum_of_weights(const CrossEntropy& call, int threads) {
  const bool all_weigh_one = !call.sample_weight && !call.class_weight && !call.has_ignored;
  if (all_weigh_one) return call.weight_scale * double(call.layout.n_rows);
  return sum_of_units(call, chosen_cross_entropy_table().weights, threads).weight;
}

}  // namespace

CrossEntropySum cross_entropy(CrossEntropy& call, bool mean, int threads) noexcept {
  if (mean && call.has_gradient) call.divisor = sum_of_weights(call, threads);
  return sum_of_units(call, rows_of(call), threads);
}

void cross_entropy_gradient(const CrossEntropy& call, int threads) noexcept {
  sum_of_units(call, rows_of(call), threads);
}

}  // namespace softclass
