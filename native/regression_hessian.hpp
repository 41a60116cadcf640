// The Hessian of softmax regression over dense rows: for each pair of classes one weighted sum of the products of columns.
//
// Both symmetries are used, of the classes and of the columns: N R (R - 1) / 2 C (C + 1) / 2 multiplications, a quarter
// of N (R C)^2. The products of the columns of a block of rows are made once and serve all pairs, as a matrix product.
#pragma once

#include "regression_block.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t strip_products = 768;  // products of columns that are made at a time, a row of them in the first cache
constexpr int64_t strip_pairs = 64;
constexpr int64_t block_numbers = 32768;  // of a block of rows, about: a quarter of a megabyte stays in the second cache

struct HessianSizes {
  BlockSizes<double> block;
  int64_t n_columns;  // C
  int64_t n_pairs, length;
  int64_t products;  // numbers from one row of products to the next
};
static HessianSizes hessian_sizes(int64_t D, int64_t R) {
  const int64_t C = D + 1, length = hessian_length(R, C);
  const int64_t products = R == 1 ? hessian_step(C) : least(length, most(strip_products, hessian_step(C)));
  const int64_t rows = most(48, least(least(480, chunk_rows(D)), block_numbers / products / 48 * 48));
  return {{D, R, rows}, C, hessian_pairs(R), length, products};
}

struct HessianScratch {
  BlockScratch<double> block;
  double* rows;      // as doubles
  double* extended;  // one row: (x, 1), zeros behind
  double* products;  // of a block of rows and a strip of columns; R = 1: the rows, times a root
  double* shares;    // of a strip of pairs: class-major, a times the probabilities of both
};
static HessianScratch hessian_scratch(const HessianSizes& s, Pieces& pieces) {
  const int64_t rows = s.block.step;
  HessianScratch t;
  t.block = block_scratch(s.block, false, pieces);
  t.rows = pieces.take<double>(rows * s.block.n_features + 64);
  t.extended = pieces.take<double>(hessian_step(s.n_columns) + 8);
  t.products = pieces.take<double>(rows * s.products + 16);
  t.shares = pieces.take<double>(s.block.n_outputs == 1 ? 0 : (strip_pairs + 1) * rows);
  return t;
}

SOFTCLASS_INLINE void extend_row(const double* x, int64_t D, double factor, double* out, int64_t step) {
  for (int64_t d = 0; d < D; ++d) out[d] = factor * x[d];
  out[D] = factor;
  for (int64_t d = D + 1; d < step; ++d) out[d] = 0.0;
}

// Probabilities of the classes, class by class; of class 1 where there are two.
static void make_chances(const BlockRows<double>& rows, const HessianSizes& s, const Coefficients<double>& point,
                         const HessianScratch& t) {
  constexpr int64_t width = panel_width<double>;
  using Block = RegressionBlock<double>;
  Block block(s.block, t.block, rows);
  const int64_t padded = block.padded_rows();
  double margin = 0.0;
  for (int64_t first = 0; first < padded; first += width) {
    const int64_t columns = least(width, padded - first);
    block.make_logits(first, point, nullptr, 0);
    if (s.block.n_outputs == 1) {
      block.finish_pair(first, columns, point.bias[0], 0.0, Block::Pair::probability, margin, nullptr);
      continue;
    }
    block.exponentiate<false>(first, columns, point.bias, margin);
    block.make_probabilities(first, columns);
  }
}

// Products of the columns i of [begin, end) with those from i on, a row of them after the other.
static void make_products(const BlockRows<double>& rows, const HessianSizes& s, int64_t begin, int64_t end,
                          const HessianScratch& t) {
  constexpr int L = Doubles::lanes;
  const int64_t C = s.n_columns, D = C - 1;
  for (int64_t r = 0; r < rows.count; ++r) {
    extend_row(rows.x + r * D, D, 1.0, t.extended, hessian_step(C) + 8);
    double* out = t.products + r * s.products;
    for (int64_t i = begin; i < end; ++i) {
      const Doubles factor = broadcast(t.extended[i]);
      for (int64_t j = i; j < C; j += L) store(out + j - i, load(t.extended + j) * factor);  // written over behind C
      out += C - i;
    }
  }
}

// All pairs times the products of a strip, added to `out`, which lies at the first of its columns.
static void add_pairs(const BlockRows<double>& rows, const HessianSizes& s, int64_t n_products,
                      const HessianScratch& t, double* out) {
  constexpr int64_t width = panel_width<double>, L = Doubles::lanes;
  const int64_t R = s.block.n_outputs, step = s.block.step;
  const Right<double> products{t.products, width, s.products};
  double* const mine = t.shares + strip_pairs * step;
  int64_t n = 0;
  for (int64_t k = 0; k < R - 1; ++k) {
    const double* const first = t.block.by_class + k * step;
    for (int64_t r = 0; r < rows.count; ++r) mine[r] = rows.weights ? rows.weights[r] * first[r] : first[r];
    for (int64_t l = k + 1; l < R; ++l) {
      const double* const second = t.block.by_class + l * step;
      double* const share = t.shares + n * step;
      for (int64_t r = 0; r < rows.count; r += L) store(share + r, load(mine + r) * load(second + r));
      if (++n < strip_pairs && (k < R - 2 || l < R - 1)) continue;
      matmul<double>(n, n_products, rows.count, {t.shares, step, 1}, products, out, s.length, true);
      out += n * s.length;
      n = 0;
    }
  }
}

static void add_hessian(const BlockRows<double>& rows, const HessianSizes& s, const Coefficients<double>& point,
                        const HessianScratch& t, double* sums) {
  const int64_t C = s.n_columns, D = C - 1;
  make_chances(rows, s, point, t);
  if (s.block.n_outputs == 1) {
    for (int64_t r = 0; r < rows.count; ++r) {
      const double weight = rows.weights ? rows.weights[r] : 1.0, p = t.block.by_class[r];
      extend_row(rows.x + r * D, D, __builtin_sqrt(weight * p * (1.0 - p)), t.products + r * s.products, s.products);
    }
    matmul<double>(C, s.products, rows.count, {t.products, 1, s.products},
                   {t.products, panel_width<double>, s.products}, sums, s.products, true);
    return;
  }
  for (int64_t begin = 0, end; begin < C; begin = end) {
    int64_t n_products = 0;
    for (end = begin; end < C && n_products + C - end <= s.products; ++end) n_products += C - end;
    make_products(rows, s, begin, end, t);
    add_pairs(rows, s, n_products, t, sums);
    sums += n_products;
  }
}

// Sums over the lanes of one row of products of one pair, times a number.
SOFTCLASS_INLINE void add_lanes(const HessianJoin& call, int64_t at, int64_t lane_size, int64_t count, double* out) {
  const double* from = call.sums + at;
  for (int64_t j = 0; j < count; ++j) out[j] = from[j];
  for (int64_t lane = 1; lane < call.n_lanes; ++lane) {
    from += lane_size;
    for (int64_t j = 0; j < count; ++j) out[j] += from[j];
  }
  for (int64_t j = 0; j < count; ++j) out[j] *= call.unit;
}

static bool join_hessian(const HessianJoin& call) {
  const int64_t R = call.n_outputs, C = call.n_features + 1, c = call.n_columns, P = R * c;
  const int64_t length = hessian_length(R, C), lane_size = hessian_pairs(R) * length;
  double* const sum = static_cast<double*>(scratch(0, size_t(hessian_step(C)) * sizeof(double)));
  if (!sum) return false;
  for (int64_t i = 0; i < P * P; ++i) call.hessian[i] = 0.0;
  const auto row_of = [&](int64_t k, int64_t i, int64_t l) { return call.hessian + (k * c + i) * P + l * c; };
  for (int64_t i = 0; R == 1 && i < c; ++i) add_lanes(call, i * hessian_step(C), lane_size, c, row_of(0, i, 0));
  int64_t at = 0;
  for (int64_t k = 0; k < R; ++k) {
    for (int64_t l = k + 1; l < R; ++l, at += length) {
      int64_t place = at;
      for (int64_t i = 0; i < c; place += C - i, ++i) {
        add_lanes(call, place, lane_size, c - i, sum);
        double* const between = row_of(k, i, l) + i;
        double* const own = row_of(k, i, k) + i;
        double* const other = row_of(l, i, l) + i;
        for (int64_t j = 0; j < c - i; ++j) {
          between[j] = -sum[j];
          own[j] += sum[j];
          other[j] += sum[j];
        }
      }
    }
  }
  // So far each block holds its upper half, and so does the whole.
  for (int64_t k = 0; k < R; ++k)
    for (int64_t l = k; l < R; ++l)
      for (int64_t i = 0; i < c; ++i) {
        double* const row = row_of(k, i, l);
        for (int64_t j = 0; j < i; ++j) row[j] = row_of(k, j, l)[i];
        row[i] += call.gauge;
        if (k == l && call.penalty) row[i] += call.penalty[i];
      }
  for (int64_t k = 0; k < R; ++k)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t i = 0; i < c; ++i) {
        const double* const from = row_of(l, i, k);
        double* const row = row_of(k, i, l);
        for (int64_t j = 0; j < c; ++j) row[j] = from[j];
      }
  return true;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
