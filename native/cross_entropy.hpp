// Cross-entropy of rows of logits, and its gradient at the logits. A row of weight 0 is never read.
#pragma once

#include <cstdint>

#include "layout.hpp"
#include "targets.hpp"

namespace softclass {

// One call. Rows are numbered in the C order of their axes; class indices, weights, losses and states have one entry a
// row, in that order. Null stands for what is not there.
struct CrossEntropy {
  enum Operand { logits, gradient, shares };  // of the layout; those that are not there repeat the logits
  Layout layout;
  bool has_gradient;
  bool has_shares;  // targets are distributions; else class indices
  const int64_t* targets;
  const double* sample_weight;
  const double* class_weight;  // n_classes entries
  bool has_ignored;
  int64_t ignored;  // rows with this class index are not there
  double label_smoothing;
  double weight_scale;  // every row weight is multiplied by it
  double tolerance;     // how far the sum of a distribution may lie from 1

  double divisor = 1.0;    // of the gradient
  double factor = 1.0;     // of the gradient
  const double* upstream;  // more factors of the gradient, one a row
  double* losses;          // receives weight times loss
  double* states;          // receives maximum and s1 of every row
  const double* known_states;  // these, for a gradient without a loss
};

struct CrossEntropySum {
  double loss;    // sum of weight times loss; the pair is its value before it is rounded
  double loss_low;
  double weight;
  double weight_low;
  int64_t first_bad;  // first row of weight > 0 whose target is no target; -1: none
  int64_t n_bad;
};

// `mean`: the gradient is divided by the sum of the weights, which is made first, without a look at the logits. Threads:
// see run_tasks.
CrossEntropySum cross_entropy(CrossEntropy& call, bool mean, int threads) noexcept;

// The gradient alone, from known states.
void cross_entropy_gradient(const CrossEntropy& call, int threads) noexcept;

// For `count` rows from `first`, at most most_unit_rows of them.
constexpr int64_t most_unit_rows = 1024;
struct CrossEntropyTable {
  void (*float32)(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum);
  void (*float64)(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum);
  void (*weights)(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum);
};
SOFTCLASS_TABLES(CrossEntropyTable, cross_entropy_table)

}  // namespace softclass
