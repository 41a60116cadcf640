// A block of rows of softmax regression: logits class by class, a row a lane; from them losses and residuals.
#pragma once

#include "linear_block.hpp"
#include "log1p.hpp"
#include "regression.hpp"
#include "regression_dots.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t depth_tile = 128;  // features that are transposed at a time, into the first cache

// Exponentials up to this count as nothing: times the weight of a row and a number of it they might be subnormal, and
// arithmetic with such numbers is ten times slower.
SOFTCLASS_INLINE Floats faint(Floats) { return broadcast(1e-30f); }
SOFTCLASS_INLINE Doubles faint(Doubles) { return broadcast(1e-280); }
template <class V>
SOFTCLASS_INLINE V without_faint(V x) {
  return select(less(x, faint(x)), x - x, x);
}

// exp(d) for d <= 0, never below the smallest normal number; a NaN stays. Two units in the last place.
SOFTCLASS_INLINE Floats least_exponent(Floats) { return broadcast(-87.0f); }
SOFTCLASS_INLINE Doubles least_exponent(Doubles) { return broadcast(-708.0); }
SOFTCLASS_INLINE Floats biased_rounder(Floats) { return broadcast(0x1.8p23f + 127.0f); }
SOFTCLASS_INLINE Doubles biased_rounder(Doubles) { return broadcast(0x1.8p52 + 1023.0); }
template <int n, class V>
SOFTCLASS_INLINE void exponentials(V* d) {
  const V least = least_exponent(d[0]), log2 = log2_e(d[0]), bias = biased_rounder(d[0]), one = one_like(d[0]);
  V biased[n], whole[n], t[n];
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i) d[i] = greater_of(least, d[i]);
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i) biased[i] = fma(d[i], log2, bias);
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i) whole[i] = biased[i] - bias;
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i) t[i] = reduced_finely(reduced_coarsely(d[i], whole[i]), whole[i]);
  SOFTCLASS_UNROLL
  for (int i = 0; i < n; ++i) d[i] = times_normal_power(fma(exp_series(t[i]), t[i], one), whole[i], biased[i]);
}

// Rows that lie together.
template <class Real>
struct BlockRows {
  const Real* x;
  int64_t count;
  const int64_t* targets;
  const double* weights;  // null: all 1
  int64_t readable;       // numbers that may be read behind the last of them
};

// Weights as the rows are: R x D, and R.
template <class Real>
struct Coefficients {
  const Real* weight;
  const Real* bias;
};

template <class Real>
struct BlockSizes {
  int64_t n_features, n_outputs;
  int64_t step;  // rows from one class to the next
};

// What a thread works in.
template <class Real>
struct BlockScratch {
  Real* transposed;   // a panel of rows, depth_tile features
  Real* tail;         // copies of the last rows, of whole 16 bytes
  Real* by_class;     // logits, exponentials, residuals: R x step
  Real* tangents;     // R x step, or null
  // Of each row: the largest logit, what the other exponentials sum to, the logit of the target; step.
  Real* maximum;
  Real* rest;
  Real* picked;
};

template <class Real>
static BlockScratch<Real> block_scratch(const BlockSizes<Real>& s, bool has_tangents, Pieces& pieces) {
  BlockScratch<Real> t;
  t.transposed = pieces.take<Real>(panel_width<Real> * depth_tile);
  t.tail = pieces.take<Real>(panel_width<Real> * rounded_up(s.n_features, 4));
  t.by_class = pieces.take<Real>(s.n_outputs * s.step);
  t.tangents = has_tangents ? pieces.take<Real>(s.n_outputs * s.step) : nullptr;
  t.maximum = pieces.take<Real>(s.step);
  t.rest = pieces.take<Real>(s.step);
  t.picked = pieces.take<Real>(s.step);
  return t;
}

// Rows of a block so that its logits take at most a megabyte; whole panels of every target.
template <class Real>
static int64_t rows_of_block(int64_t n_features, int64_t n_outputs) {
  const int64_t fitting = (int64_t(1) << 20) / (n_outputs * int64_t(sizeof(Real))) / 48 * 48;
  return most(48, least(chunk_rows(n_features), fitting));
}

// A panel of rows transposed, as pack_transposed does it; of rows that lie `ahead` numbers behind, one in four is fetched
// meanwhile. Every one is asked for again with the gradient, where there is more to do between two.
template <class Real>
SOFTCLASS_INLINE void pack_panel(const Real* rows, int64_t row_step, int64_t n_rows, int64_t n_columns, Real* out,
                                 int64_t ahead) {
  using V = Vector<Real>;
  constexpr int quarter = 16 / int(sizeof(Real)), L = V::lanes, width = int(panel_width<Real>);
  for (int64_t i = 0; i < n_rows; i += L) {
    const Real* const x = rows + i * row_step;
    for (int64_t k = 0; k < n_columns; k += quarter) {
      if (ahead && k % line_elements<Real> == 0)
        for (int64_t l = 0; l < L; l += 4) fetch_to_read(x + l * row_step + k + ahead);
      V part[quarter];
      for (int q = 0; q < quarter; ++q) part[q] = load_quarters(x + q * row_step + k, quarter * row_step);
      transpose_quarters(part);
      for (int q = 0; q < quarter; ++q) store(out + i + (k + q) * width, part[q]);
    }
  }
}

template <class Real>
class RegressionBlock {
 public:
  RegressionBlock(const BlockSizes<Real>& sizes, const BlockScratch<Real>& scratch, const BlockRows<Real>& rows)
      : s_(sizes), t_(scratch), b_(rows) {}

  int64_t padded_rows() const { return rounded_up(b_.count, row_unit); }

  // Logits without the bias of the rows first ... of one panel, and of their tangents. Of rows that lie `ahead` bytes
  // behind, some are fetched meanwhile.
  void make_logits(int64_t first, const Coefficients<Real>& c, const Coefficients<Real>* tangent, int64_t ahead) {
    constexpr int64_t width = panel_width<Real>, quarter = 16 / int64_t(sizeof(Real));
    const int64_t D = s_.n_features, count = most(0, least(width, b_.count - first));
    const int64_t columns = least(width, rounded_up(b_.count, row_unit) - first);
    if (takes_dots<Real>(s_.n_outputs, D)) return make_dot_logits(first, count, columns, c, tangent, ahead);
    const Real* x = b_.x + first * D;
    int64_t step = D;
    if (count < width || (b_.count - first - width) * D + b_.readable < rounded_up(D, quarter) - D) {
      step = rounded_up(D, quarter);
      for (int64_t r = 0; r < width; ++r) {
        if (r < count) memcpy(t_.tail + r * step, x + r * D, size_t(D) * sizeof(Real));
        fill(t_.tail + r * step + (r < count ? D : 0), r < count ? step - D : step, Real(0));
      }
      x = t_.tail;
    }
    if (D == 0)
      for (int64_t k = 0; k < s_.n_outputs; ++k) {
        fill(t_.by_class + k * s_.step + first, columns, Real(0));
        if (tangent) fill(t_.tangents + k * s_.step + first, columns, Real(0));
      }
    for (int64_t d = 0; d < D; d += depth_tile) {
      const int64_t depth = least(depth_tile, D - d);
      pack_panel(x + d, step, columns, rounded_up(depth, quarter), t_.transposed, ahead / int64_t(sizeof(Real)));
      const Right<Real> panel{t_.transposed, 0, width};
      matmul<Real>(s_.n_outputs, columns, depth, {c.weight + d, D, 1}, panel, t_.by_class + first, s_.step, d > 0);
      if (tangent)
        matmul<Real>(s_.n_outputs, columns, depth, {tangent->weight + d, D, 1}, panel, t_.tangents + first, s_.step,
                     d > 0);
    }
  }

  // Logits become exponentials; the states of the rows of a panel are left behind.
  template <bool with_margin>
  void exponentiate(int64_t first, int64_t columns, const Real* bias, double& margin) {
    using V = Vector<Real>;
    const int64_t K = s_.n_outputs, step = s_.step, count = most(0, least(columns, b_.count - first));
    Real* const panel = t_.by_class + first;
    Real* const picked = t_.picked + first;
    const int64_t* const targets = b_.targets + first;
    for (int64_t r = 0; r < count; ++r) {
      const int64_t y = targets[r];
      picked[r] = panel[y * step + r] + bias[y];
      if (with_margin) margin = lesser(margin, double(picked[r]) - best_other(panel + r, bias, y));
    }
    for (int64_t r = count; r < columns; ++r) picked[r] = Real(0);
    const V one = broadcast_as(V{}, Real(1)), zero = broadcast_as(V{}, Real(0));
    for (int64_t r = 0; r < columns; r += V::lanes) {
      V best = broadcast_as(V{}, -infinity<Real>);
      Real* z = panel + r;
      for (int64_t k = 0; k < K; ++k, z += step) {
        const V logit = load(z) + broadcast_as(V{}, bias[k]);
        store(z, logit);
        best = greater_of(logit, best);
      }
      V ties = zero, rest = zero;
      z = panel + r;
      int64_t k = 0;
      if (K <= group_classes * 2) {
        for (; k + 4 <= K; k += 4, z += 4 * step) add_exponentials<4>(z, best, rest, ties);
        for (; k < K; ++k, z += step) add_exponentials<1>(z, best, rest, ties);
        rest = rest + (ties - one);
      } else {
        GroupSum<V> sum;
        clear(sum, Real(0));
        for (; k + 4 <= K; k += 4, z += 4 * step) {
          add_exponentials<4>(z, best, sum.group, ties);
          if (k % group_classes == group_classes - 4) close_group(sum, Real(0));
        }
        for (; k < K; ++k, z += step) add_exponentials<1>(z, best, sum.group, ties);
        close_group(sum, Real(0));
        add_to(sum.total, ties - one);
        double wide[V::lanes];
        store_sum(wide, sum.total);
        rest = load_narrow(V{}, wide);
      }
      store(t_.rest + first + r, rest);
      store(t_.maximum + first + r, best);
    }
  }

  // Exponentials become residuals.
  void make_residuals(int64_t first, int64_t columns) {
    using V = Vector<Real>;
    const int64_t K = s_.n_outputs, step = s_.step, count = most(0, least(columns, b_.count - first));
    const V one = broadcast_as(V{}, Real(1)), zero = broadcast_as(V{}, Real(0));
    Real shares[48], kept[48], added[48];
    shares_of(first, columns, count, shares);
    Real* const panel = t_.by_class + first;
    for (int64_t r = 0; r < columns; r += V::lanes) {
      const V rest = load(t_.rest + first + r), share = load(shares + r), factor = share / (one + rest);
      // At the target share is taken off; where it is the largest class, what is left is all the others have.
      const auto is_largest = equal(load(t_.picked + first + r), load(t_.maximum + first + r));
      store(kept + r, select(is_largest, zero, one));
      store(added + r, zero - select(is_largest, rest * factor, share));
      Real* z = panel + r;
      for (int64_t k = 0; k < K; ++k, z += step) store(z, without_faint(load(z)) * factor);
    }
    for (int64_t r = 0; r < count; ++r) {
      Real& g = panel[b_.targets[first + r] * step + r];
      g = g * kept[r] + added[r];
    }
    clear_behind(first, columns, count);
  }

  // Exponentials and tangents become the derivative of the residuals: weight p (u - <p, u>).
  void make_products(int64_t first, int64_t columns, const Real* bias_tangent) {
    using V = Vector<Real>;
    const int64_t K = s_.n_outputs, step = s_.step, count = most(0, least(columns, b_.count - first));
    const V zero = broadcast_as(V{}, Real(0)), one = broadcast_as(V{}, Real(1));
    Real shares[48];
    shares_of(first, columns, count, shares);
    for (int64_t r = 0; r < columns; r += V::lanes) {
      const V plain = one / (one + load(t_.rest + first + r)), factor = plain * load(shares + r);
      Real* const z = t_.by_class + first + r;
      Real* const u = t_.tangents + first + r;
      V average = zero;
      for (int64_t k = 0; k < K; ++k) {
        const V tangent = load(u + k * step) + broadcast_as(V{}, bias_tangent[k]);
        store(u + k * step, tangent);
        average = fma(load(z + k * step), tangent, average);
      }
      average = average * plain;
      for (int64_t k = 0; k < K; ++k)
        store(z + k * step, without_faint(load(z + k * step)) * factor * (load(u + k * step) - average));
    }
    clear_behind(first, columns, count);
  }

  // Exponentials become probabilities.
  void make_probabilities(int64_t first, int64_t columns) {
    using V = Vector<Real>;
    const V one = broadcast_as(V{}, Real(1));
    for (int64_t r = 0; r < columns; r += V::lanes) {
      const V factor = one / (one + load(t_.rest + first + r));
      Real* z = t_.by_class + first + r;
      for (int64_t k = 0; k < s_.n_outputs; ++k, z += s_.step) store(z, load(z) * factor);
    }
  }

  void curvature_of_classes(int64_t first, int64_t columns, double* out) {
    using V = Vector<Real>;
    double left[48];
    const V one = broadcast_as(V{}, Real(1)), zero = broadcast_as(V{}, Real(0));
    for (int64_t r = 0; r < columns; r += V::lanes) {
      V sum = zero;
      const V factor = one / (one + load(t_.rest + first + r));
      const Real* z = t_.by_class + first + r;
      for (int64_t k = 0; k < s_.n_outputs; ++k, z += s_.step) sum = fma(load(z), load(z), sum);
      store_wide(left + r, greater_of(one - sum * factor * factor, zero));
    }
    const int64_t count = most(0, least(columns, b_.count - first));
    for (int64_t r = 0; r < count; ++r) out[first + r] = left[r];
  }

  // Two classes. The logit becomes what `kind` says.
  enum class Pair { residual, product, probability, curvature };
  void finish_pair(int64_t first, int64_t columns, Real bias, Real bias_tangent, Pair kind, double& margin,
                   double* curvature) {
    using V = Vector<Real>;
    const int64_t count = most(0, least(columns, b_.count - first));
    Real signs[48], shares[48];
    for (int64_t r = 0; r < columns; ++r) signs[r] = r < count && b_.targets[first + r] == 0 ? Real(-1) : Real(1);
    shares_of(first, columns, count, shares);
    for (int64_t r = count; r < columns; ++r) shares[r] = Real(0);
    const V one = broadcast_as(V{}, Real(1)), zero = broadcast_as(V{}, Real(0));
    double many[48];
    Real* const panel = t_.by_class + first;
    for (int64_t r = 0; r < columns; r += V::lanes) {
      const V z = load(panel + r) + broadcast_as(V{}, bias), sign = load(signs + r), share = load(shares + r);
      V e[1] = {zero - greater_of(z, zero - z)};
      exponentials<1>(e);
      const V likely = one / (one + e[0]), unlikely = e[0] * likely, lead = z * sign;
      store(t_.rest + first + r, e[0]);
      store(t_.picked + first + r, lead);
      store(t_.maximum + first + r, greater_of(lead, zero));  // so that maximum - picked is what a wrong row lacks
      V out = zero;
      if (kind == Pair::residual) {
        out = (zero - sign) * select(less(lead, zero), likely, unlikely) * share;
      } else if (kind == Pair::product) {
        out = likely * unlikely * share * (load(t_.tangents + first + r) + broadcast_as(V{}, bias_tangent));
      } else if (kind == Pair::probability) {
        out = select(less(z, zero), unlikely, likely);
      } else {
        store_wide(many + r, likely * unlikely);
      }
      store(panel + r, out);
    }
    for (int64_t r = 0; r < count; ++r) margin = lesser(margin, double(t_.picked[first + r]));
    if (kind == Pair::curvature)
      for (int64_t r = 0; r < count; ++r) curvature[first + r] = 2.0 * many[r];
  }

  // Sum of the losses of all rows, from the states; row r goes to partial sum r mod row_unit.
  double sum_losses() {
    constexpr int parts = int(row_unit) / Doubles::lanes;
    Doubles sums[parts], products[parts];
    const Doubles zero = broadcast(0.0), one = broadcast(1.0);
    for (int p = 0; p < parts; ++p) {
      sums[p] = zero;
      products[p] = one;
    }
    double rest[row_unit], maximum[row_unit], picked[row_unit], shares[row_unit];
    int n_factors = 0;
    for (int64_t r = 0; r < b_.count; r += row_unit) {
      const int64_t count = least(row_unit, b_.count - r);
      widen_run(t_.rest + r, rest);
      widen_run(t_.maximum + r, maximum);
      widen_run(t_.picked + r, picked);
      for (int64_t j = 0; j < row_unit; ++j) shares[j] = j < count ? (b_.weights ? b_.weights[r + j] : 1.0) : 0.0;
      for (int64_t j = count; j < row_unit; ++j) rest[j] = maximum[j] = picked[j] = 0.0;
      for (int p = 0; p < parts; ++p) {
        const int at = p * Doubles::lanes;
        const Doubles share = load(shares + at), lead = load(maximum + at) - load(picked + at);
        if (sizeof(Real) == 4 && !b_.weights) {  // a logarithm of a product: as many sums as a float can tell apart
          sums[p] = sums[p] + lead;
          products[p] = fma(products[p], load(rest + at), products[p]);
        } else {
          sums[p] = fma(share, log_of_rest(load(rest + at)) + lead, sums[p]);
        }
      }
      if (++n_factors == 16) {  // of at most 2^32 classes
        take_logarithms(products, sums);
        n_factors = 0;
      }
    }
    take_logarithms(products, sums);
    return tree_sum(sums, int(row_unit));
  }

 private:
  void make_dot_logits(int64_t first, int64_t count, int64_t columns, const Coefficients<Real>& c,
                       const Coefficients<Real>* tangent, int64_t ahead) {
    const int64_t D = s_.n_features;
    const Real* const x = b_.x + first * D;
    const auto make = [&](const Real* weight, Real* out, int64_t fetched) {
      make_dots<Real>(s_.n_outputs, count, {x, weight, D, out + first, s_.step, fetched});
      for (int64_t k = 0; k < s_.n_outputs; ++k) fill(out + k * s_.step + first + count, columns - count, Real(0));
    };
    make(c.weight, t_.by_class, ahead / int64_t(sizeof(Real)));
    if (tangent) make(tangent->weight, t_.tangents, 0);
  }

  static double lesser(double a, double b) { return b < a ? b : a; }
  static Doubles log_of_rest(Doubles rest) {
    if constexpr (sizeof(Real) == 4) return log1p_for_float(rest);
    return log1p_for_double(rest);
  }

  double best_other(const Real* z, const Real* bias, int64_t y) const {
    double best = -infinity<double>;
    for (int64_t k = 0; k < s_.n_outputs; ++k)
      if (k != y && double(z[k * s_.step] + bias[k]) > best) best = double(z[k * s_.step] + bias[k]);
    return best;
  }

  template <int n, class V>
  void add_exponentials(Real* z, V best, V& sum, V& ties) const {
    const V one = broadcast_as(V{}, Real(1)), zero = broadcast_as(V{}, Real(0));
    V e[n];
    SOFTCLASS_UNROLL
    for (int i = 0; i < n; ++i) e[i] = load(z + i * s_.step) - best;
    decltype(equal(best, best)) is_largest[n];
    SOFTCLASS_UNROLL
    for (int i = 0; i < n; ++i) is_largest[i] = equal(e[i], zero);
    exponentials<n>(e);
    SOFTCLASS_UNROLL
    for (int i = 0; i < n; ++i) {
      store(z + i * s_.step, e[i]);
      sum = add_where(none_of(is_largest[i]), sum, e[i]);
      ties = add_where(is_largest[i], ties, one);
    }
  }

  static void take_logarithms(Doubles* products, Doubles* sums) {
    const Doubles one = broadcast(1.0);
    for (int p = 0; p < int(row_unit) / Doubles::lanes; ++p) {
      sums[p] = sums[p] + log1p_for_float(products[p] - one);
      products[p] = one;
    }
  }

  static void widen_run(const Real* from, double* to) {
    using V = Vector<Real>;
    for (int64_t j = 0; j < row_unit; j += V::lanes) store_wide(to + j, load(from + j));
  }

  void shares_of(int64_t first, int64_t columns, int64_t count, Real* shares) const {
    if (!b_.weights) return fill(shares, columns, Real(1));
    for (int64_t r = 0; r < count; ++r) shares[r] = Real(b_.weights[first + r]);
    fill(shares + count, columns - count, Real(0));
  }

  void clear_behind(int64_t first, int64_t columns, int64_t count) {
    for (int64_t k = 0; k < s_.n_outputs && count < columns; ++k)
      fill(t_.by_class + k * s_.step + first + count, columns - count, Real(0));
  }

  const BlockSizes<Real>& s_;
  const BlockScratch<Real>& t_;
  const BlockRows<Real>& b_;
};

// Sums over rows of residual times features, in tiles of classes times vectors of features that stay in registers.
template <class Real>
struct GradientTile {
  const Real* x;
  int64_t x_step;
  const Real* residuals;  // class k of row r at k r_step + r
  int64_t r_step;
  int64_t n_rows;
  double* sums;  // class k, feature d at k sums_step + d
  int64_t sums_step;
  int64_t ahead;     // bytes to what will be read next, which is fetched meanwhile; 0: nothing
  int last_columns;  // of the last vector
};

SOFTCLASS_INLINE void add_first(double* sums, Floats x, int count) {
  const Doubles zero = broadcast(0.0);
  constexpr int half = Doubles::lanes;
  const int low = count < half ? count : half, high = count - low;
  store_first(sums, load_first(sums, low, zero) + low_half(x), low);
  if (high > 0) store_first(sums + half, load_first(sums + half, high, zero) + high_half(x), high);
}
SOFTCLASS_INLINE void add_first(double* sums, Doubles x, int count) {
  store_first(sums, load_first(sums, count, broadcast(0.0)) + x, count);
}

template <class Real, int classes, int vectors, bool is_whole>
static void add_gradient_tile(const GradientTile<Real>& t) {
  using V = Vector<Real>;
  constexpr int L = V::lanes;
  const V zero = broadcast_as(V{}, Real(0));
  V sum[classes][vectors];
  SOFTCLASS_UNROLL
  for (int k = 0; k < classes; ++k)
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) sum[k][v] = zero;
  const Real* x = t.x;
  for (int64_t r = 0; r < t.n_rows; ++r, x += t.x_step) {
    V row[vectors];
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors - !is_whole; ++v) row[v] = load(x + v * L);
    if constexpr (!is_whole) row[vectors - 1] = load_first(x + (vectors - 1) * L, t.last_columns, zero);
    if (t.ahead) {
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) fetch_to_read(reinterpret_cast<const char*>(x + v * L) + t.ahead);
    }
    SOFTCLASS_UNROLL
    for (int k = 0; k < classes; ++k) {
      const V residual = broadcast_as(V{}, t.residuals[k * t.r_step + r]);
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[k][v] = fma(residual, row[v], sum[k][v]);
    }
  }
  for (int k = 0; k < classes; ++k)
    for (int v = 0; v < vectors; ++v)
      add_first(t.sums + k * t.sums_step + v * L, sum[k][v], v < vectors - 1 || is_whole ? L : t.last_columns);
}

template <class Real, int vectors, bool is_whole, int classes>
SOFTCLASS_INLINE void add_gradient_tile_of(int wanted, const GradientTile<Real>& t) {
  if constexpr (classes > 0) {
    if (wanted == classes) return add_gradient_tile<Real, classes, vectors, is_whole>(t);
    add_gradient_tile_of<Real, vectors, is_whole, classes - 1>(wanted, t);
  }
}

template <class Real, int vectors>
SOFTCLASS_INLINE void add_gradient_columns(int64_t n_classes, int columns, GradientTile<Real> t) {
  constexpr int L = lanes_of<Real>, most_classes = tile_rows[tile_vectors - 1];
  if constexpr (vectors > 1)
    if (columns <= (vectors - 1) * L) return add_gradient_columns<Real, vectors - 1>(n_classes, columns, t);
  t.last_columns = columns - (vectors - 1) * L;
  const int64_t groups = (n_classes + most_classes - 1) / most_classes;
  const GradientTile<Real> all = t;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t k = n_classes * g / groups, end = n_classes * (g + 1) / groups;
    t.residuals = all.residuals + k * all.r_step;
    t.sums = all.sums + k * all.sums_step;
    if (t.last_columns == L)
      add_gradient_tile_of<Real, vectors, true, most_classes>(int(end - k), t);
    else
      add_gradient_tile_of<Real, vectors, false, most_classes>(int(end - k), t);
    t.ahead = 0;
  }
}

template <class Real>
static void add_gradient(int64_t n_classes, int64_t n_features, GradientTile<Real> t) {
  constexpr int64_t width = panel_width<Real>;
  const GradientTile<Real> all = t;
  for (int64_t d = 0; d < n_features; d += width) {
    t.x = all.x + d;
    t.sums = all.sums + d;
    add_gradient_columns<Real, tile_vectors>(n_classes, int(least(width, n_features - d)), t);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
