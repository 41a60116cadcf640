// Products of some rows with the weights of some classes, both as they lie: number d of a row goes to partial sum d mod
// 16, so that the bits are the same on every target.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int dot_unit = 16;
template <class Real>
constexpr int dot_parts = dot_unit / lanes_of<Real>;

// Numbers d ... d + 15 of each row and class.
template <class Real, int rows, int classes>
SOFTCLASS_INLINE void add_dot_step(const Real* const (&x)[rows], const Real* const (&weight)[classes], int64_t d,
                                   Vector<Real> (&sum)[rows][classes][dot_parts<Real>]) {
  constexpr int L = lanes_of<Real>;
  SOFTCLASS_UNROLL
  for (int p = 0; p < dot_parts<Real>; ++p) {
    Vector<Real> own[rows];
    SOFTCLASS_UNROLL
    for (int r = 0; r < rows; ++r) own[r] = load(x[r] + d + p * L);
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k) {
      const Vector<Real> w = load(weight[k] + d + p * L);
      SOFTCLASS_UNROLL
      for (int r = 0; r < rows; ++r) sum[r][k][p] = fma(own[r], w, sum[r][k][p]);
    }
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
