// Coordinate descent on a quadratic with absolute values: the model that proximal Newton minimises at each step.
//
//     <slope, v - weight> + <v - weight, hessian (v - weight)> / 2 + sum_j (ridge_j v_j^2 / 2 + l1_j |v_j|)
//
// A sweep over all coordinates finds the ones that are not zero, sweeps over these follow until they rest, and a sweep
// over all that moves nothing ends it. The slope is kept for all coordinates ("covariance updates"): a coordinate that
// does not move costs a few operations, one that moves a row of the Hessian.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

struct QuadraticModel {
  int64_t n;
  const double* hessian;  // n x n, symmetric, row by row
  const double* l1;       // not negative; infinity keeps a coordinate at zero; 0: never zero but by chance
  const double* ridge;    // not negative
  double* slope;          // in: at the first weight; out: at the last, without ridge and l1
  double* weight;         // in: where to start; out: where it ended
};

struct DescentEnd {
  int64_t sweeps;
  bool is_done;  // no coordinate moved by more than the tolerance in the last sweep over all
};

struct DescentKernels {
  // Stops where every move lowers the model by at most `tolerance` / 2, or after `most_sweeps`.
  DescentEnd (*run)(const QuadraticModel& model, int64_t most_sweeps, double tolerance);
};
SOFTCLASS_TABLES(DescentKernels, descent_kernels)

}  // namespace softclass
