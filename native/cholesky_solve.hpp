// Solves with several Cholesky factors, each with right sides of its own: the blocks of a preconditioner, one a class.
//
// LAPACK solves with one factor after the other, holding Python's lock, and reads each triangle twice from memory; here
// the factors are shared out over threads, and what the forward half has read is in the second cache for the way back.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

struct CholeskySolve {
  int64_t n_factors, n, n_sides;
  bool is_double;       // the factors; the arithmetic is theirs
  const void* factors;  // n_factors x n x n, row by row; of each the lower triangle is read
  const double* scale;  // n_factors x n: what rows and columns of the matrices were divided by
  const double* right;  // n_sides x n_factors x n
  double* solution;     // likewise
  int threads;
};

struct CholeskyKernels {
  bool (*solve)(const CholeskySolve& call);  // false: no memory
};
SOFTCLASS_TABLES(CholeskyKernels, cholesky_kernels)

}  // namespace softclass
