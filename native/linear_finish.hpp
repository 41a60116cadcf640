// States of blocks of classes become the state of a row; that becomes its loss and the factors of its gradient.
#pragma once

#include "linear_block.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Part of the classes of the rows at r ... : its state, and how many classes it has.
struct Part {
  Doubles maximum, rest, spread, mean, mass, centre, deviation, n_classes;
};

SOFTCLASS_INLINE Doubles load_or_zero(const double* p, int64_t at) { return p ? load(p + at) : broadcast(0.0); }

SOFTCLASS_INLINE Part part_at(const BlockState& state, int64_t at, double n_classes) {
  return {load(state.maximum + at),          load_or_zero(state.rest, at), load_or_zero(state.spread, at),
          load_or_zero(state.mean, at),      load_or_zero(state.mass, at), load_or_zero(state.centre, at),
          load_or_zero(state.deviation, at), broadcast(n_classes)};
}

// Adds a part to `sum`, whose maximum (and, with a Hessian, centre) is already that of all parts together; `ties`
// counts the parts that have the maximum. Such a part adds its sum as it is; each but one adds 1 for its own maximum.
SOFTCLASS_INLINE void absorb(Part& sum, Doubles& ties, const Part& part, bool has_shares, bool has_tangents) {
  const Doubles zero = broadcast(0.0), one = broadcast(1.0);
  const DoubleMask is_largest = equal(part.maximum, sum.maximum);
  const Difference<Doubles> d = difference(part.maximum, sum.maximum);
  const Doubles lower = select(is_largest, zero, d.value);
  const Doubles f = select(is_largest, one, exp_of_difference(d.value, d.error));
  sum.rest = sum.rest + select(is_largest, part.rest, (one + part.rest) * f);
  ties = add_where(is_largest, ties, one);
  sum.spread = sum.spread + part.spread + select(equal(part.n_classes, zero), zero, part.n_classes * lower);
  if (has_shares) {
    sum.mass = sum.mass + part.mass;
    sum.mean = sum.mean + part.mean + select(equal(part.mass, zero), zero, part.mass * lower);
  }
  if (has_tangents) {
    const Doubles shift = part.centre - sum.centre;
    sum.deviation = sum.deviation + f * (part.deviation + (one + part.rest) * shift);
  }
}

// Merges `n_blocks` blocks, block b at b step, into the states of the rows first ... first + count - 1, which so far
// know `n_known` classes. Rows begin as `begin_rows` leaves them.
static void merge_blocks(const BlockState& blocks, int64_t step, int64_t n_blocks, int64_t block_size,
                         int64_t n_classes, const BlockState& rows, double n_known, int64_t first, int64_t count) {
  const bool has_shares = rows.mean != nullptr, has_tangents = rows.centre != nullptr;
  const Doubles zero = broadcast(0.0);
  for (int64_t r = first; r < first + count; r += Doubles::lanes) {
    const Part known = part_at(rows, r, n_known);
    Doubles m = known.maximum;
    for (int64_t b = 0; b < n_blocks; ++b) m = greater_of(load(blocks.maximum + b * step + r), m);
    Doubles centre = known.centre, ties = zero - broadcast(1.0);
    for (int64_t b = 0; b < n_blocks && has_tangents; ++b)
      centre = select(equal(load(blocks.maximum + b * step + r), m), load(blocks.centre + b * step + r), centre);
    Part sum = {m, zero, zero, zero, zero, centre, zero, zero};
    absorb(sum, ties, known, has_shares, has_tangents);
    for (int64_t b = 0; b < n_blocks; ++b)
      absorb(sum, ties, part_at(blocks, b * step + r, double(least(block_size, n_classes - b * block_size))),
             has_shares, has_tangents);
    store(rows.maximum + r, sum.maximum);
    store(rows.rest + r, sum.rest + ties);
    if (rows.spread) store(rows.spread + r, sum.spread);
    if (has_shares) {
      store(rows.mean + r, sum.mean);
      store(rows.mass + r, sum.mass);
    }
    if (has_tangents) {
      store(rows.centre + r, sum.centre);
      store(rows.deviation + r, sum.deviation);
    }
  }
}

// No class seen yet.
static void begin_rows(const BlockState& rows, double* target_logit, int64_t count) {
  fill(rows.maximum, count, -infinity<double>);
  fill(rows.rest, count, -1.0);
  fill(target_logit, count, -infinity<double>);
  double* const sums[] = {rows.spread, rows.mean, rows.mass, rows.centre, rows.deviation};
  for (double* each : sums)
    if (each) fill(each, count, 0.0);
}

// Losses and factors of the rows first ... first + count - 1; `losses` receives weight times loss. All classes were
// seen: a maximum of -inf then means that all logits are -inf, one of +inf with a rest that there are several.
template <class Real>
static void finish_rows(const LinearLoss& call, double divisor, const ActiveRows& active, const BlockState& state,
                        const FinishedRows<Real>& rows, double* losses, int64_t first, int64_t count) {
  const double keep = 1.0 - call.label_smoothing, even = call.label_smoothing / double(call.n_classes);
  for (int64_t r = first; r < first + count; r += Doubles::lanes) {
    const Doubles rest = load(state.rest + r);
    store(losses + r, sizeof(Real) == 4 ? log1p_for_float(rest) : log1p_for_double(rest));
  }
  for (int64_t r = first; r < first + count; ++r) {
    const double m = state.maximum[r], rest = state.rest[r], inverse = 1.0 / (1.0 + rest);
    const bool has_none = m == -infinity<double> || (m == infinity<double> && rest > 0.0);
    const double weight = r >= active.count ? 0.0 : has_none ? not_a_number<double>() : active.weight[r];
    const double share = weight / divisor, total = state.mass ? keep * state.mass[r] + call.label_smoothing : 1.0;
    double loss = losses[r] * total;
    if (state.mean)
      loss -= keep * state.mean[r];
    else if (rows.target_logit[r] != m)
      loss -= keep * (rows.target_logit[r] - m);
    if (state.spread) loss -= even * state.spread[r];
    losses[r] = weight * loss;
    rows.factor[r] = Real(share * total * inverse);
    rows.complement[r] = Real(share * total * rest * inverse);
    rows.share[r] = Real(share);
    rows.mass[r] = Real(state.mass ? state.mass[r] : 1.0);
    if (rows.average) rows.average[r] = state.deviation[r] * inverse;
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
