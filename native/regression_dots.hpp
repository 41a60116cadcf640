// Logits of long rows and few classes: products of a row as it lies with the weights of each class. Rows that are
// turned round first (regression_block.hpp) need no sums across vectors, but with few classes the turning costs as much
// as the products.
//
// Partial sums 0 ... 3, 4 ... 7, ... are added, then the four of them.
#pragma once

#include "dot_step.hpp"
#include "linear_block.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t fewest_dot_features = 96;
constexpr int64_t most_dot_bytes = 32768;  // of the weights, which stay in the first cache beside some rows

// Four rows and so many classes: a tile's sums, with a row of numbers for each of its rows, fill the registers.
constexpr int dot_rows = 4;
#if defined(SOFTCLASS_TARGET_avx512) || defined(SOFTCLASS_TARGET_neon)
constexpr int dot_registers = 24;
#else
constexpr int dot_registers = 12;
#endif
template <class Real>
constexpr int most_dot_classes = dot_registers / (dot_rows * dot_parts<Real>) < 1
                                     ? 1
                                     : dot_registers / (dot_rows * dot_parts<Real>);

template <class Real>
static bool takes_dots(int64_t n_outputs, int64_t n_features) {
  return n_features >= fewest_dot_features && n_outputs * n_features * int64_t(sizeof(Real)) <= most_dot_bytes;
}

template <class Real>
struct DotTile {
  const Real* x;       // rows, n_features apart
  const Real* weight;  // of the first class
  int64_t n_features;
  Real* out;         // of the first class and row
  int64_t out_step;  // from a class to the next
  int64_t ahead;     // numbers; every other row that lies so far behind is fetched meanwhile. 0: none
};

// The sums of the parts of one class, of each row.
template <int classes>
SOFTCLASS_INLINE void add_parts(const Floats (&sum)[dot_rows][classes][dot_parts<float>], int k, float* out) {
  constexpr int L = Floats::lanes;
  alignas(64) float quarters[dot_unit];  // a sum of four of each row, 0 ... 3 first
  for (int p = 0; p < dot_parts<float>; ++p) {
    Floats part[4] = {sum[0][k][p], sum[1][k][p], sum[2][k][p], sum[3][k][p]};
    transpose_quarters(part);
    store(quarters + p * L, (part[0] + part[1]) + (part[2] + part[3]));
  }
  for (int i = 0; i < 4; ++i) out[i] = (quarters[i] + quarters[4 + i]) + (quarters[8 + i] + quarters[12 + i]);
}
template <int classes>
SOFTCLASS_INLINE void add_parts(const Doubles (&sum)[dot_rows][classes][dot_parts<double>], int k, double* out) {
  for (int i = 0; i < 4; ++i) {
    double all[dot_unit];
    for (int p = 0; p < dot_parts<double>; ++p) store(all + p * Doubles::lanes, sum[i][k][p]);
    for (int q = 0; q < dot_unit; q += 4) all[q] = (all[q] + all[q + 1]) + (all[q + 2] + all[q + 3]);
    out[i] = (all[0] + all[4]) + (all[8] + all[12]);
  }
}

// Rows of the tile that are not there, behind `count`, are read as the first one and written nowhere.
template <class Real, int classes>
static void dot_tile(const DotTile<Real>& t, int64_t count) {
  using V = Vector<Real>;
  constexpr int L = V::lanes, parts = dot_parts<Real>;
  const V zero = broadcast_as(V{}, Real(0));
  V sum[dot_rows][classes][parts];
  SOFTCLASS_UNROLL
  for (int i = 0; i < dot_rows; ++i)
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k)
      SOFTCLASS_UNROLL
      for (int p = 0; p < parts; ++p) sum[i][k][p] = zero;
  const int64_t D = t.n_features, whole = D / dot_unit * dot_unit;
  const Real *rows[dot_rows], *weight[classes];
  for (int i = 0; i < dot_rows; ++i) rows[i] = t.x + (i < count ? i * D : 0);
  for (int k = 0; k < classes; ++k) weight[k] = t.weight + k * D;
  for (int64_t d = 0; d < whole; d += dot_unit) {
    if (t.ahead) {
      fetch_to_read(rows[0] + d + t.ahead);
      fetch_to_read(rows[2] + d + t.ahead);
    }
    add_dot_step<Real>(rows, weight, d, sum);
  }
  for (int p = 0; p < parts && whole + p * L < D; ++p) {
    const int64_t at = whole + p * L;
    const int left = D - at < L ? int(D - at) : L;
    for (int i = 0; i < dot_rows; ++i) {
      const V x = load_first(rows[i] + at, left, zero);
      for (int k = 0; k < classes; ++k) sum[i][k][p] = fma(x, load_first(weight[k] + at, left, zero), sum[i][k][p]);
    }
  }
  SOFTCLASS_UNROLL
  for (int k = 0; k < classes; ++k) {
    Real each[dot_rows];
    add_parts(sum, k, each);
    for (int64_t i = 0; i < least(count, dot_rows); ++i) t.out[k * t.out_step + i] = each[i];
  }
}

template <class Real, int classes>
SOFTCLASS_INLINE void dot_tile_of(int wanted, const DotTile<Real>& t, int64_t count) {
  if constexpr (classes > 0) {
    if (wanted == classes) return dot_tile<Real, classes>(t, count);
    dot_tile_of<Real, classes - 1>(wanted, t, count);
  }
}

// The products of `n_rows` rows with the weights of all classes, which find the rows in the first cache after the first.
template <class Real>
static void make_dots(int64_t n_outputs, int64_t n_rows, const DotTile<Real>& all) {
  constexpr int64_t most = most_dot_classes<Real>;
  const int64_t groups = (n_outputs + most - 1) / most;
  for (int64_t r = 0; r < n_rows; r += dot_rows)
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t k = n_outputs * g / groups, end = n_outputs * (g + 1) / groups;
      dot_tile_of<Real, int(most)>(int(end - k), {all.x + r * all.n_features, all.weight + k * all.n_features,
                                                  all.n_features, all.out + k * all.out_step + r, all.out_step,
                                                  g == 0 ? all.ahead : 0}, n_rows - r);
    }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
