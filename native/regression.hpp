// Softmax regression over dense rows, as its solvers see it: sums over all rows in double, whatever the rows are.
//
// Rows come in chunks of chunk_rows(D): chunk c holds the rows c B ... (c + 1) B - 1 of the data and adds to lane
// c mod n_lanes. A lane takes its chunks in order, so its bits depend neither on the threads nor on how the data are
// cut into calls, as long as every call begins at a chunk. Two classes have one logit, that of class 1.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

// Rows of a chunk: about 384 KB of floats, which stay in the second cache. Whole panels of every target.
static constexpr int64_t chunk_rows(int64_t n_features) {
  const int64_t rows = 98304 / (n_features < 1 ? 1 : n_features) / 48 * 48;
  return rows < 48 ? 48 : (rows > 1008 ? 1008 : rows);
}

struct RegressionRows {
  const void* features;  // N x D, contiguous
  bool is_double;
  int64_t n_rows, n_features;
  const int64_t* targets;     // (N,), in range
  const double* row_weights;  // (N,), or null: all 1
  int64_t first_chunk;        // number of the chunk that begins with the first row
};

// R is 1 for two classes, else K.
struct RegressionPass {
  RegressionRows rows;
  int64_t n_outputs;     // R
  const double* weight;  // R x D
  const double* bias;    // (R,)
  // A direction: the product with the Hessian takes the place of the gradient, and there is no loss. Null: none.
  const double* weight_tangent;
  const double* bias_tangent;
  bool with_margin;   // the smallest lead of the right class over the best other one
  double* curvature;  // (N,): 1 - sum of the squared probabilities; then nothing else is made. Null: none
  double* lanes;      // n_lanes x (R D weight gradient, R bias gradient, loss, margin); margins begin at infinity
  int64_t n_lanes;
  int threads;
};

// Sums from which the Hessian over (weight, bias) of each class follows, without the penalty; C = D + 1, (x, 1) is y.
// R = 1: one pair, sum of a p (1 - p) y y^T, C rows of step numbers. Else a pair of classes k < l after the other: sum of
// a p_k p_l y_i y_j for i <= j, row after row. The block of k and l is minus that; the block of k with itself is the
// sum over all its pairs, so that nothing cancels, however rare a class is.
struct RegressionHessian {
  RegressionRows rows;
  int64_t n_outputs;
  const double* weight;
  const double* bias;
  double* sums;  // n_lanes x hessian_pairs(R) x hessian_length(R, C)
  int64_t n_lanes;
  int threads;
};
static constexpr int64_t hessian_step(int64_t n_columns) { return (n_columns + 7) / 8 * 8; }  // whole vectors
static constexpr int64_t hessian_pairs(int64_t R) { return R == 1 ? 1 : R * (R - 1) / 2; }
static constexpr int64_t hessian_length(int64_t R, int64_t C) {
  return R == 1 ? C * hessian_step(C) : hessian_step(C * (C + 1) / 2);
}

// The Hessian from its sums: lanes added in their order, times `unit`, of the first `n_columns` of the C columns.
struct HessianJoin {
  const double* sums;
  int64_t n_lanes, n_outputs, n_features, n_columns;
  double unit;
  const double* penalty;  // (n_columns,): added to the diagonal of each class; null: zeros
  double gauge;           // added between the same column of any two classes
  double* hessian;        // R n_columns x R n_columns
};

struct RegressionMoments {
  RegressionRows rows;  // targets are not read
  const double* shift;  // (D,): near the columns, subtracted before all but the largest values
  double* lanes;        // n_lanes x (3 D + 1): mean, sum of squares about it, largest absolute value; weight
  int64_t n_lanes;
  int threads;
};

struct RegressionScale {
  RegressionRows rows;  // only the features are read
  const double* shift;  // (D,)
  const double* factor;
  void* out;  // N x D: (x - shift) factor
  bool out_is_double;
  int threads;
};

struct RegressionLengths {
  RegressionRows rows;  // only the features are read
  double* lengths;      // (N,): sum of the squares of each row
  int threads;
};

// False: no memory.
struct RegressionKernels {
  bool (*pass)(const RegressionPass& call);
  bool (*hessian)(const RegressionHessian& call);
  bool (*join_hessian)(const HessianJoin& call);
  bool (*moments)(const RegressionMoments& call);
  bool (*scale)(const RegressionScale& call);
  bool (*lengths)(const RegressionLengths& call);
  bool (*is_finite)(const RegressionRows& rows, int threads);  // false: a feature is infinite or NaN
};
SOFTCLASS_TABLES(RegressionKernels, regression_kernels)

}  // namespace softclass
