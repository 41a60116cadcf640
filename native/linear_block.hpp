// Logits of a block of classes, a row a lane: class c of row r at logits + c step + r. From logits to exponentials and
// what the block adds to the state of each row; from exponentials, once the states of all blocks are known, to the
// gradient.
#pragma once

#include "linear_rows.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t row_unit = 16;  // rows are padded to whole vectors of every target

template <class Real>
struct LogitBlock {
  Real* logits;
  int64_t step;
  int64_t first_class, n_classes;
  int64_t n_rows;  // a multiple of row_unit
};

// What a block leaves behind, one number a row. Sums are over its classes.
struct BlockState {
  double* maximum;
  double* rest;       // of exp(z - maximum), without one class that has the maximum
  double* spread;     // of z - maximum; null if there is no smoothing
  double* mean;       // of share times (z - maximum), if the targets are distributions
  double* mass;       // of the shares
  double* centre;     // Hessian: the tangent where the maximum is
  double* deviation;  // of exp(z - maximum) (tangent - centre)
};

SOFTCLASS_INLINE void store_wide(double* out, Floats x) {
  store(out, low_half(x));
  store(out + Doubles::lanes, high_half(x));
}
SOFTCLASS_INLINE void store_wide(double* out, Doubles x) { store(out, x); }
SOFTCLASS_INLINE Floats load_narrow(Floats, const double* p) { return narrow(load(p), load(p + Doubles::lanes)); }
SOFTCLASS_INLINE Doubles load_narrow(Doubles, const double* p) { return load(p); }
SOFTCLASS_INLINE void store_sum(double* out, Sum<Floats> x) {
  store(out, x.low);
  store(out + Doubles::lanes, x.high);
}
SOFTCLASS_INLINE void store_sum(double* out, Sum<Doubles> x) { store(out, x.sum + x.lost); }

// Adds numbers in the type of the elements sixteen at a time, then in double.
template <class V>
struct GroupSum {
  V group;
  Sum<V> total;
};
template <class V, class Real>
SOFTCLASS_INLINE void clear(GroupSum<V>& sum, Real zero) {
  sum.group = broadcast_as(V{}, zero);
  clear(sum.total);
}
template <class V, class Real>
SOFTCLASS_INLINE void close_group(GroupSum<V>& sum, Real zero) {
  add_to(sum.total, sum.group);
  sum.group = broadcast_as(V{}, zero);
}
constexpr int64_t group_classes = 16;

// `bias` has one number a class of the block, or is null.
template <class Real>
static void add_bias_and_find_maximum(const LogitBlock<Real>& block, const Real* bias, double* maximum) {
  using V = Vector<Real>;
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    V best = broadcast_as(V{}, -infinity<Real>);
    Real* z = block.logits + r;
    for (int64_t c = 0; c < block.n_classes; ++c, z += block.step) {
      V logit = load(z);
      if (bias) {
        logit = logit + broadcast_as(V{}, bias[c]);
        store(z, logit);
      }
      best = greater_of(logit, best);
    }
    store_wide(maximum + r, best);
  }
}

// The logit of the target of every row that has it in this block.
template <class Real>
static void pick_targets(const LogitBlock<Real>& block, const ActiveRows& rows, double* target_logit) {
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t c = rows.target[r] - block.first_class;
    if (rows.target[r] >= 0 && uint64_t(c) < uint64_t(block.n_classes))
      target_logit[r] = double(block.logits[c * block.step + r]);
  }
}

// Shares of the classes of a block, laid out like its logits.
template <class Real>
static void copy_shares(const LinearLoss& call, const ActiveRows& rows, const LogitBlock<Real>& block, Real* shares) {
  Real part[64];
  for (int64_t r = 0; r < block.n_rows; ++r)
    for (int64_t c = 0; c < block.n_classes; c += 64) {
      const int64_t count = least(64, block.n_classes - c);
      if (r < rows.count)
        copy_of_row(call.distributions, rows.row[r], block.first_class + c, count, part);
      else
        fill(part, count, Real(0));
      for (int64_t j = 0; j < count; ++j) shares[(c + j) * block.step + r] = part[j];
    }
}

// Sums of z - maximum, plain and by the shares (class c of row r at shares + c step + r, null: none).
template <class Real>
static void sum_differences(const LogitBlock<Real>& block, const Real* shares, const BlockState& state) {
  using V = Vector<Real>;
  const V zero = broadcast_as(V{}, Real(0));
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    const V m = load_narrow(V{}, state.maximum + r);
    Sum<V> spread, mean, mass;
    clear(spread);
    clear(mean);
    clear(mass);
    for (int64_t c = 0; c < block.n_classes; ++c) {
      const V z = load(block.logits + c * block.step + r), d = select(equal(z, m), zero, z - m);
      add_to(spread, d);
      if (!shares) continue;
      const V share = load(shares + c * block.step + r);
      add_to(mean, select(equal(share, zero), zero, share * d));
      add_to(mass, share);
    }
    if (state.spread) store_sum(state.spread + r, spread);
    if (!shares) continue;
    store_sum(state.mean + r, mean);
    store_sum(state.mass + r, mass);
  }
}

// Logits become exponentials; where the tangents of the logits are given, their centre and deviation too.
template <class Real>
static void exponentiate(const LogitBlock<Real>& block, const Real* tangents, const BlockState& state) {
  using V = Vector<Real>;
  const V zero = broadcast_as(V{}, Real(0)), one = broadcast_as(V{}, Real(1));
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    const V m = load_narrow(V{}, state.maximum + r);
    V n_largest = zero, centre = zero;
    GroupSum<V> rest;
    clear(rest, Real(0));
    for (int64_t start = 0; start < block.n_classes; start += group_classes) {
      const int64_t end = least(start + group_classes, block.n_classes);
      for (int64_t c = start; c < end; ++c) {
        Real* const z = block.logits + c * block.step + r;
        const V logit = load(z);
        const Difference<V> d = difference(logit, m);
        const auto is_largest = equal(logit, m);
        const V e = select(is_largest, one, exp_of_difference(d.value, d.error));
        store(z, e);
        rest.group = add_where(none_of(is_largest), rest.group, e);
        n_largest = add_where(is_largest, n_largest, one);
        if (tangents) centre = select(is_largest, load(tangents + c * block.step + r), centre);
      }
      close_group(rest, Real(0));
    }
    add_to(rest.total, n_largest - one);
    store_sum(state.rest + r, rest.total);
    if (!tangents) continue;
    store_wide(state.centre + r, centre);
    Sum<V> deviation;
    clear(deviation);
    for (int64_t c = 0; c < block.n_classes; ++c) {
      const V tangent = load(tangents + c * block.step + r);
      add_to(deviation, load(block.logits + c * block.step + r) * (tangent - centre));
    }
    store_sum(state.deviation + r, deviation);
  }
}

// The same for rows whose maximum over all classes is known.
template <class Real>
static void exponentiate_from(const LogitBlock<Real>& block, const double* maximum) {
  using V = Vector<Real>;
  const V one = broadcast_as(V{}, Real(1));
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    const V m = load_narrow(V{}, maximum + r);
    for (int64_t c = 0; c < block.n_classes; ++c) {
      Real* const z = block.logits + c * block.step + r;
      const V logit = load(z);
      const Difference<V> d = difference(logit, m);
      store(z, select(equal(logit, m), one, exp_of_difference(d.value, d.error)));
    }
  }
}

// exp(z - maximum of the row) times `factor`, for the exponentials that refer to the maximum of their block.
template <class V, class Real>
SOFTCLASS_INLINE V factor_of_block(V block_maximum, V row_maximum, V factor, Real) {
  const Difference<V> d = difference(block_maximum, row_maximum);
  const V one = broadcast_as(V{}, Real(1));
  return select(equal(block_maximum, row_maximum), one, exp_of_difference(d.value, d.error)) * factor;
}

// Rows once all their classes were seen; numbers of a row in the type of the elements, with room for whole vectors.
template <class Real>
struct FinishedRows {
  const double* maximum;
  double* target_logit;
  Real* factor;          // share total / (1 + rest): times an exponential it is a term of the gradient
  Real* complement;      // share total rest / (1 + rest): what the largest class lacks of share total
  Real* share;           // row weight over the divisor
  Real* mass;            // sum of the shares of a distribution
  const double* centre;  // Hessian: the tangent where the maximum is,
  double* average;       // and the mean of tangent - centre
};

// The gradient at the logits of a block, from its exponentials; zeros behind the last row.
template <class Real>
static void make_gradient(const LinearLoss& call, const LogitBlock<Real>& block, const double* block_maximum,
                          const Real* shares, const ActiveRows& active, const FinishedRows<Real>& rows, Real* out) {
  using V = Vector<Real>;
  const V one = broadcast_as(V{}, Real(1));
  const double smoothing = call.label_smoothing, even_share = smoothing / double(call.n_classes);
  const Real keep = Real(1.0 - smoothing), even = Real(even_share);
  const V smoothed_others = broadcast_as(V{}, Real(smoothing - even_share));
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    const V m = load_narrow(V{}, block_maximum + r), row_m = load_narrow(V{}, rows.maximum + r);
    const V factor = factor_of_block(m, row_m, load(rows.factor + r), Real(0));
    const V share = load(rows.share + r), complement = load(rows.complement + r);
    const V mass = load(rows.mass + r), kept = share * broadcast_as(V{}, keep);
    const V smooth = share * broadcast_as(V{}, even);
    for (int64_t c = 0; c < block.n_classes; ++c) {
      const int64_t at = c * block.step + r;
      const V e = load(block.logits + at);
      if (shares) {
        const V target = load(shares + at), others = fma(mass - target, kept, share * smoothed_others);
        const auto is_largest = both(equal(e, one), equal(m, row_m));
        store(out + at, select(is_largest, others - complement, e * factor - fma(target, kept, smooth)));
      } else {
        store(out + at, e * factor - smooth);
      }
    }
  }
  if (!shares)
    for (int64_t r = 0; r < active.count; ++r) {
      const int64_t c = active.target[r] - block.first_class;
      if (active.target[r] < 0 || uint64_t(c) >= uint64_t(block.n_classes)) continue;
      Real& g = out[c * block.step + r];
      g = rows.target_logit[r] == rows.maximum[r] ? rows.share[r] * Real(smoothing - even_share) - rows.complement[r]
                                                  : g - rows.share[r] * keep;
    }
  for (int64_t c = 0; c < block.n_classes && active.count < block.n_rows; ++c)
    fill(out + c * block.step + active.count, block.n_rows - active.count, Real(0));
}

// The derivative of that gradient along the tangents of the logits: weight p (u - <p, u>), taken from the tangent of
// the largest class so that nothing cancels there.
template <class Real>
static void make_product(const LogitBlock<Real>& block, const double* block_maximum, const Real* tangents,
                         const ActiveRows& active, const FinishedRows<Real>& rows, Real* out) {
  using V = Vector<Real>;
  for (int64_t r = 0; r < block.n_rows; r += V::lanes) {
    const V m = load_narrow(V{}, block_maximum + r), row_m = load_narrow(V{}, rows.maximum + r);
    const V factor = factor_of_block(m, row_m, load(rows.factor + r), Real(0));
    const V centre = load_narrow(V{}, rows.centre + r), average = load_narrow(V{}, rows.average + r);
    for (int64_t c = 0; c < block.n_classes; ++c) {
      const int64_t at = c * block.step + r;
      store(out + at, load(block.logits + at) * factor * ((load(tangents + at) - centre) - average));
    }
  }
  for (int64_t c = 0; c < block.n_classes && active.count < block.n_rows; ++c)
    fill(out + c * block.step + active.count, block.n_rows - active.count, Real(0));
}

SOFTCLASS_INLINE void add_wide(Doubles* parts, int v, Floats x) {
  parts[2 * v] = parts[2 * v] + low_half(x);
  parts[2 * v + 1] = parts[2 * v + 1] + high_half(x);
}
SOFTCLASS_INLINE void add_wide(Doubles* parts, int v, Doubles x) { parts[v] = parts[v] + x; }

// Sum over the rows of one class; number r goes to partial sum r mod row_unit.
template <class Real>
SOFTCLASS_INLINE double sum_over_rows(const Real* values, int64_t n_rows) {
  constexpr int L = lanes_of<Real>;
  Doubles parts[row_unit / Doubles::lanes];
  for (int p = 0; p < int(row_unit / Doubles::lanes); ++p) parts[p] = broadcast(0.0);
  for (int64_t r = 0; r < n_rows; r += row_unit)
    for (int v = 0; v < int(row_unit) / L; ++v) add_wide(parts, v, load(values + r + v * L));
  return tree_sum(parts, int(row_unit));
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
