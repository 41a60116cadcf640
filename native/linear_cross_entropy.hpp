// Cross-entropy of features times weight, its gradients and Hessian products, without the N x K logits.
//
// N rows of D features x_i, K classes with weight w_c and bias b_c; logits z_ic = <x_i, w_c> + b_c. The loss is that of
// cross_entropy.hpp. G = row weights * (probabilities - targets), over the sum of the row weights for the mean:
// weight gradient G^T X, bias gradient G^T 1, features gradient G W.
#pragma once

#include <cstdint>

#include "layout.hpp"
#include "targets.hpp"

namespace softclass {

// Element (i, j) of a matrix at data + i row + j column, counted in bytes.
struct Matrix {
  const char* data;
  int64_t row;
  int64_t column;
  Element element;
};

struct LinearLoss {
  int64_t n_rows, n_classes, n_features;
  Matrix features, weight;
  Matrix bias;  // 1 x K; data null: none

  const int64_t* indices;       // (N,), or null:
  Matrix distributions;         // N x K
  const double* sample_weight;  // (N,) or null
  const double* class_weight;   // (K,) or null
  bool has_ignored;
  int64_t ignored;
  double label_smoothing;
  double weight_scale;
  double tolerance;  // of the sum of a distribution
  bool mean;

  double* losses;  // (N,) or null
  // C-contiguous, of the element of the features, or null.
  void* weight_gradient;
  void* bias_gradient;
  void* features_gradient;

  // Hessian in a direction: the two gradients above become its products; the features have none.
  Matrix weight_tangent;  // data null: no Hessian
  Matrix bias_tangent;    // 1 x K; data null: zero
  int threads;
};

struct LossSum {
  double loss;
  double weight;
  int64_t first_bad;  // row of weight > 0 whose target is none; -1: all are targets
  int64_t n_bad;
  bool out_of_memory;
};

struct LinearKernels {
  int64_t (*bytes)(const LinearLoss& call);  // memory that `run` wants, aligned to 64
  LossSum (*run)(const LinearLoss& call, void* memory);
};
SOFTCLASS_TABLES(LinearKernels, linear_kernels)

}  // namespace softclass
