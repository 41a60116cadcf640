// Dual coordinate ascent for softmax regression over sparse rows: one row after the other is made optimal.
//
// With rows x_i in columns whose penalty is half the sum of the squared weights, row weights s_i and distributions
// alpha_i over the classes, W = sum_i s_i (e_y - alpha_i) x_i^T, and the dual objective is sum_i s_i H(alpha_i) -
// |W|^2 / 2 (Shalev-Shwartz and Zhang, Math. Programming 155:105, 2016; for this loss Yu, Huang and Lin, Machine
// Learning 85:41, 2011). A visit maximises it over the alpha_i of one row, by Newton's method on
//
//     log alpha' + eta alpha' = z + eta alpha - mu,   z = W x_i + b,   eta = s_i (|x_i|^2 + stiffness),
//
// where mu makes the sum one. It touches the columns of the row only. The bias is free: it is a weight of its own whose
// square `stiffness` divides, penalised about a centre that the caller moves (the method of multipliers).
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

// D features, classes in rows of `step` numbers, a multiple of 16; behind the last class all weights are 0, and biases
// and logarithms `no_class`.
struct DualAscent {
  int64_t n_visits, step;
  const int32_t* order;       // rows to visit
  const int64_t* row_starts;  // (N + 1,)
  const int32_t* columns;
  const float* values;
  const int64_t* targets;    // (N,)
  const double* weights;     // (N,) s
  const double* curvatures;  // (N,) eta
  double stiffness;          // 0: the bias stays
  const double* centre;      // (step,) of the bias
  float* weight;             // D x step
  float* logarithms;         // N x step: of alpha
  double* pull;              // (step,) sum of s (e_y - alpha)
};
constexpr float no_class = -1e30f;

struct DualEnd {
  double loss;        // sum of s times the loss, each row as it was met
  double divergence;  // sum of s times that of alpha from the probabilities: without intercept the duality gap
  bool out_of_memory;
};

struct DualAscentKernels {
  DualEnd (*run)(const DualAscent& call);
};
SOFTCLASS_TABLES(DualAscentKernels, dual_ascent_kernels)

}  // namespace softclass
