// Cross-entropy of rows of logits and its gradient. Two steps: the weights of the rows, which also checks the targets,
// and then losses and gradient. A row of weight 0 is never read.
#pragma once

#include <cstdint>

namespace softclass {

struct RowWeights {
  double total;       // sum of the weights
  int64_t first_bad;  // first row of weight > 0 whose target is no target; -1 if there is none
  int64_t n_bad;
};

// row_weights[i] = sample_weight[i] * class_weight[targets[i]]; either may be null, which means 1.
RowWeights index_row_weights(const int64_t* targets, const double* sample_weight, const double* class_weight, int64_t N,
                             int64_t K, double* row_weights) noexcept;

// row_weights[i] = sample_weight[i] * sum_j class_weight[j] * targets[i, j]. A row of targets is bad if it holds NaN or
// a negative number, or if its sum differs from 1 by more than `tolerance`.
template <class Target>
RowWeights soft_row_weights(const Target* targets, const double* sample_weight, const double* class_weight, int64_t N,
                            int64_t K, double tolerance, double* row_weights) noexcept;

// losses[i] = row_weights[i] * loss of row i. `gradient`, where it is not null, receives the derivative of
// sum_i losses[i] / divisor at the logits; scratch then holds K doubles (null otherwise).
// Targets have passed the function above.
template <class Real>
void index_cross_entropy(const Real* logits, const int64_t* targets, const double* row_weights, double label_smoothing,
                         double divisor, int64_t N, int64_t K, double* losses, Real* gradient, double* scratch) noexcept;

template <class Real, class Target>
void soft_cross_entropy(const Real* logits, const Target* targets, const double* row_weights, double label_smoothing,
                        double divisor, int64_t N, int64_t K, double* losses, Real* gradient, double* scratch) noexcept;

}  // namespace softclass
