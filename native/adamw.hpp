// AdamW (Loshchilov and Hutter, 2019) on a block of parameters, with the sum of the lanes before it.
#pragma once

#include "row_state.hpp"
#include "simd.hpp"

#if defined(SOFTCLASS_TARGET_plain)
#include <cmath>
#endif

namespace softclass {
namespace SOFTCLASS_TARGET {

// Rounded once, like every IEEE square root.
#if defined(SOFTCLASS_TARGET_avx512)
SOFTCLASS_INLINE Floats square_root(Floats x) { return {_mm512_sqrt_ps(x.v)}; }
#elif defined(SOFTCLASS_TARGET_avx2)
SOFTCLASS_INLINE Floats square_root(Floats x) { return {_mm256_sqrt_ps(x.v)}; }
#elif defined(SOFTCLASS_TARGET_neon)
SOFTCLASS_INLINE Floats square_root(Floats x) { return {vsqrtq_f32(x.v)}; }
#elif defined(__GNUC__)
SOFTCLASS_INLINE Floats square_root(Floats x) {
  for (int l = 0; l < Floats::lanes; ++l) x.v[l] = __builtin_sqrtf(x.v[l]);
  return x;
}
#else
SOFTCLASS_INLINE Floats square_root(Floats x) {
  for (int l = 0; l < Floats::lanes; ++l) x.v[l] = sqrtf(x.v[l]);
  return x;
}
#endif

// 0 in place of what is smaller than `least`; a NaN stays.
SOFTCLASS_INLINE Floats without_least(Floats x, float least) {
  return zero_where(less(greater_of(x, broadcast(0.0f) - x), broadcast(least)), x);
}

// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w = shrink w - pace m / (sqrt(v / (1 - beta2^t)) + epsilon)
struct AdamStep {
  float beta1, rest1;  // rest = 1 - beta
  float beta2, rest2;
  float correction2;  // 1 / (1 - beta2^t)
  float pace;         // rate / (1 - beta1^t)
  float shrink;       // 1 - rate decay
  float epsilon;
};

// Moments below these become 0: without gradient 0.9 m would never reach 0 but stick at 6e-45, and subnormal numbers are
// slow.
constexpr float least_first_moment = 1e-30f, least_second_moment = 1e-36f;
// Gradients below this count as 0: their squares would be subnormal.
constexpr float least_gradient = 1e-17f;

// `size` is a multiple of 16. The gradient is lane 0 + lane 1 + ... , `lane_step` floats apart.
// Returns the sum of its squares, element j in partial sum j mod 16.
static double adamw_block(float* w, float* m, float* v, const float* lanes, int64_t n_lanes, int64_t lane_step,
                          int64_t size, const AdamStep& step) {
  constexpr int L = Floats::lanes, per = 16 / L;
  const Floats zero = broadcast(0.0f);
  Doubles squares[2 * per];
  for (int i = 0; i < 2 * per; ++i) squares[i] = broadcast(0.0);
  for (int64_t j = 0; j < size; j += 16) {
    for (int i = 0; i < per; ++i) {
      const int64_t at = j + i * L;
      Floats g = load(lanes + at);
      for (int64_t lane = 1; lane < n_lanes; ++lane) g = g + load(lanes + lane * lane_step + at);
      g = without_least(g, least_gradient);
      squares[2 * i] = fma(low_half(g), low_half(g), squares[2 * i]);
      squares[2 * i + 1] = fma(high_half(g), high_half(g), squares[2 * i + 1]);
      const Floats first =
          without_least(fma(broadcast(step.rest1), g, broadcast(step.beta1) * load(m + at)), least_first_moment);
      const Floats second =
          without_least(fma(broadcast(step.rest2) * g, g, broadcast(step.beta2) * load(v + at)), least_second_moment);
      const Floats divisor = square_root(second * broadcast(step.correction2)) + broadcast(step.epsilon);
      store(m + at, first);
      store(v + at, second);
      store(w + at, fma(zero - broadcast(step.pace), first / divisor, load(w + at) * broadcast(step.shrink)));
    }
  }
  return tree_sum(squares, 16);
}

// Lane 0 becomes the sum of the lanes.
static inline void sum_lanes(float* lanes, int64_t n_lanes, int64_t lane_step, int64_t size) {
  constexpr int L = Floats::lanes;
  for (int64_t at = 0; at < size; at += L) {
    Floats g = load(lanes + at);
    for (int64_t lane = 1; lane < n_lanes; ++lane) g = g + load(lanes + lane * lane_step + at);
    store(lanes + at, g);
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
