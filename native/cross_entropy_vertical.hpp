// Loss and gradient of a block of `lanes` rows, a row a lane: for few classes, and for any number of them where rows lie
// side by side in memory. `z` holds class c of all rows in vector c; the gradient takes its place.
#pragma once

#include "cross_entropy_lanes.hpp"
#include "vertical.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// What is known of the rows of a block beside their logits; a number a row.
struct BlockRows {
  const int64_t* picks;  // the class of the target; -1: the row is not there, or its target is no class
  const double* omega;   // weight of the loss; 0: the row is not there, NaN: bad target
  const double* scale;   // weight of the gradient
  double* losses;
  double* states;        // receives (m, s1) of every row, or null
  const double* known;   // for Wanted::gradient: (m, s1) of every row
};

enum class Wanted { value, both, gradient };

template <class V>
SOFTCLASS_INLINE V block_maximum(const V* z, int K) {
  V m = z[0];
  SOFTCLASS_UNROLL
  for (int c = 1; c < K; ++c) m = greater_of(z[c], m);
  return m;
}
template <class V>
SOFTCLASS_INLINE bool all_finite(V m) {
  return bits_of(none_of(equal(m - m, zero_of<V>()))) == 0;
}

// Rows with an infinite maximum become rows with the same loss and gradient that need no care: one +inf is a 0 among
// -inf; two, or nothing but -inf, are NaN.
template <class V>
SOFTCLASS_INLINE V tamed(V* z, int K, V m) {
  const V zero = zero_of<V>(), infinity = broadcast_as(V{}, __builtin_inff()), nothing = zero - infinity;
  const V nan = infinity - infinity;
  const auto is_top = equal(m, infinity), is_empty = equal(m, nothing);
  auto seen = none_of(equal(m, m));
  seen = both(seen, none_of(seen));
  for (int c = 0; c < K; ++c) {
    const auto is_infinite = both(is_top, equal(z[c], infinity));
    const V other = select(equal(z[c], z[c]), nothing, z[c]);
    V x = select(is_top, other, z[c]);
    x = select(is_infinite, select(seen, nan, zero), x);
    z[c] = select(is_empty, nan, x);
    seen = either(seen, is_infinite);
  }
  return select(is_top, zero, select(is_empty, nan, m));
}

template <class V>
SOFTCLASS_INLINE void store_states(double* states, V m, const Wide<V>& s1) {
  double maxima[V::lanes], sums[V::lanes];
  store_wide(maxima, widen(m));
  store_wide(sums, s1);
  for (int l = 0; l < V::lanes; ++l) {
    states[2 * l] = maxima[l];
    states[2 * l + 1] = sums[l];
  }
}

template <class V>
struct BlockState {
  V m;
  Wide<V> s1;
};
// What is known of rows that are not there is not used.
template <class V>
SOFTCLASS_INLINE BlockState<V> known_state(const BlockRows& rows) {
  double maxima[V::lanes], sums[V::lanes];
  for (int l = 0; l < V::lanes; ++l) {
    const bool is_there = rows.omega[l] != 0.0;
    maxima[l] = is_there ? rows.known[2 * l] : 0.0;
    sums[l] = is_there ? rows.known[2 * l + 1] : 0.0;
  }
  return {narrow(load_wide<V>(maxima)), load_wide<V>(sums)};
}

// What a pass over the classes leaves for the epilogue; z holds the scaled exponentials then.
template <class V>
struct TargetNumbers {
  V t;  // logit of the target; m where there is none
  V e;  // its exponential
};

// Gradient of class indices: scale p, and at the target scale (p - 1), which where the target is the maximum is minus the
// sum of the others.
template <class V>
SOFTCLASS_INLINE void index_gradient(V* z, int K, V m, TargetNumbers<V> target, const Wide<V>& s1, const BlockRows& rows) {
  const auto picked = load_picks(V{}, rows.picks);
  const Wide<V> scale = load_wide<V>(rows.scale), wide_e = widen(target.e);
  const Doubles one = broadcast(1.0), zero = broadcast(0.0), down = broadcast(1.0 / exp_scale<V>);
  Wide<V> factor, below, at_maximum;
  for (int h = 0; h < halves<V>; ++h) {
    const Doubles r = one / (one + s1.part[h]);
    factor.part[h] = scale.part[h] * r;
    below.part[h] = scale.part[h] * fma(wide_e.part[h], r * down, zero - one);
    at_maximum.part[h] = zero - factor.part[h] * s1.part[h];
  }
  const V of_target = select(equal(target.t, m), narrow(at_maximum), narrow(below));
  V of_class = narrow(factor);
  if (__builtin_expect(any_is_tiny(of_class), 0)) {
    SOFTCLASS_UNROLL
    for (int c = 0; c < K; ++c) z[c] = z[c] * unscaling<V>();
  } else {
    of_class = of_class * unscaling<V>();
  }
  SOFTCLASS_UNROLL
  for (int c = 0; c < K; ++c) z[c] = select(picks(picked, c), of_target, z[c] * of_class);
}

template <class V>
SOFTCLASS_INLINE void store_losses(const BlockRows& rows, const Wide<V>& loss) {
  const Wide<V> omega = load_wide<V>(rows.omega);
  for (int h = 0; h < halves<V>; ++h) store(rows.losses + h * Doubles::lanes, omega.part[h] * loss.part[h]);
}

// The block with class indices. m, finite or NaN, is the maximum of z; raw_m is what it was before the block was tamed.
template <Wanted wanted, class V>
SOFTCLASS_INLINE void index_block(V* z, int K, V m, V raw_m, const BlockRows& rows) {
  const auto picked = load_picks(V{}, rows.picks);
  TargetNumbers<V> target{m, zero_of<V>()};
  RestSum<V> sum;
  clear(sum);
  SOFTCLASS_UNROLL
  for (int c = 0; c < K; ++c) {
    const Difference<V> d = difference(z[c], m);
    const ScaledExp<V> e = scaled_exp(d.value, d.error);
    const auto is_target = picks(picked, c);
    if constexpr (wanted != Wanted::gradient) add(sum, e, equal(z[c], m));
    target.t = select(is_target, z[c], target.t);
    if constexpr (wanted != Wanted::value) {
      target.e = select(is_target, e.value, target.e);
      z[c] = e.value;
    }
  }
  if constexpr (wanted == Wanted::gradient) {
    index_gradient(z, K, m, target, known_state<V>(rows).s1, rows);
  } else {
    const Rest<V> rest = total(sum);
    store_losses<V>(rows, loss_of(rest, target.t, m));
    if (rows.states) store_states(rows.states, raw_m + zero_of<V>(), rest.sum);
    if constexpr (wanted == Wanted::both) index_gradient(z, K, m, target, rest.sum, rows);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
