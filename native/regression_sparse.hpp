// One pass over sparse rows for softmax regression: loss, gradient, Hessian product; nothing of size N x K but the
// probabilities, where they are asked for.
//
// The rows are kept twice: by row for the logits, and chunk by chunk by column for the gradient. A chunk's residuals stay
// in the second cache while every column of the chunk adds up its own sum, in the precision of the values and then in
// double: no two tasks write to the same place, and all sums have a fixed order.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

// D features, K classes in rows of `step` numbers, a multiple of 16; behind the last class, weights are 0 and biases
// minus infinity. Real is float or double.
struct SparseRegression {
  int64_t n_rows, n_features, n_classes, step;
  bool is_double;

  const int64_t* row_starts;  // (N + 1,)
  const int32_t* columns;
  const void* values;

  int64_t chunk_rows;             // rows of a chunk
  const int64_t* chunk_starts;    // (chunks + 1,): where the columns of a chunk begin
  const int32_t* chunk_columns;   // those that occur in the chunk, each once
  const int64_t* column_starts;   // where their entries begin, and the end
  const int32_t* column_rows;     // counted from the first row of the chunk
  const void* column_values;

  const int64_t* targets;  // (N,)
  const double* weights;   // (N,)
  const void* weight;      // D x step
  const void* bias;        // step
  const void* weight_tangent;  // D x step; null: loss and gradient
  const void* bias_tangent;    // step
  void* probabilities;         // N x step or null; made with the gradient, used for the product
  double* weight_product;      // D x step: gradient, or Hessian times tangent
  double* bias_product;        // step
  bool wants_margin;
  bool is_clear;  // weight_product holds zeros already
  int threads;
};

struct SparseEnd {
  double loss;
  double margin;  // smallest lead of the right class, where wanted
  bool out_of_memory;
};

// Parameters of R classes over scaled columns, (x - shift) * factor, as a matrix of D rows and, with a bias, one more;
// class r is class first + r of the pass.
struct ScaledParameters {
  int64_t n_features, n_outputs, first, step;
  bool is_double, has_bias;
  const double* theta;
  const double* factor;   // (D,)
  const double* shift;    // (D,)
  const double* penalty;  // (D,)
  int threads;
};

struct SparseRegressionKernels {
  SparseEnd (*run)(const SparseRegression& call);
  // Weights over the columns themselves, and what the shift leaves for the bias. `parts` has room for `spread_parts` rows
  // of R numbers.
  void (*spread)(const ScaledParameters& call, double* parts, void* weight, void* bias);
  // Derivatives of the loss by those weights (D x step) and biases, and of the penalty, by theta; less their mean over
  // the classes where there are several. `derivative` is like theta, or `by_weight` itself, which then has a row more for
  // the bias. Returns the penalty.
  double (*gather)(const ScaledParameters& call, const double* by_weight, const double* by_bias, double* parts,
                   double* derivative);
};
constexpr int64_t spread_columns = 1024;  // of a task
constexpr int64_t spread_parts(int64_t n_features) { return (n_features + spread_columns - 1) / spread_columns; }
SOFTCLASS_TABLES(SparseRegressionKernels, sparse_regression_kernels)

}  // namespace softclass
