// Activations, their slopes as functions of their outputs, and waves: own polynomials, the same bits on every target.
#pragma once

#include "exp.hpp"
#include "mlp.hpp"
#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

SOFTCLASS_INLINE Floats negated(Floats x) { return broadcast(0.0f) - x; }
SOFTCLASS_INLINE Floats size_of(Floats x) { return greater_of(x, negated(x)); }  // a NaN stays

// exp(d) - 1 for d <= 0, within 2 units: 2^n (e^t - 1) + (2^n - 1). Below -40 it is -1; a NaN stays.
SOFTCLASS_INLINE Floats expm1_of(Floats d) {
  const Floats near = greater_of(broadcast(-40.0f), d), n = round_to_even(near * log2_e(d));
  const Floats t = reduced_finely(reduced_coarsely(near, n), n), one = broadcast(1.0f);
  const Floats power = times_power_of_two(one, n);
  return fma(exp_series(t) * t, power, power - one);
}

constexpr float selu_scale = 1.0507009873554805f;
constexpr float selu_depth = 1.7580993408473766f;  // scale times alpha

template <MlpActivation kind>
SOFTCLASS_INLINE Floats activated(Floats z) {
  const Floats zero = broadcast(0.0f), one = broadcast(1.0f);
  if constexpr (kind == MlpActivation::relu) return greater_of(zero, z);
  if constexpr (kind == MlpActivation::tanh) {
    const Floats less_one = expm1_of(broadcast(-2.0f) * size_of(z));
    const Floats h = negated(less_one) / (broadcast(2.0f) + less_one);
    return select(less(z, zero), negated(h), h);
  }
  if constexpr (kind == MlpActivation::sigmoid) {
    const Floats e = exp_of_difference(negated(size_of(z)), zero), share = one / (one + e);
    return select(less(z, zero), e * share, share);
  }
  const Floats below = broadcast(selu_depth) * expm1_of(zero_where(less(zero, z), z));
  return select(less(zero, z), broadcast(selu_scale) * z, below);
}

template <MlpActivation kind>
SOFTCLASS_INLINE Floats slope_at(Floats h) {
  const Floats zero = broadcast(0.0f), one = broadcast(1.0f);
  if constexpr (kind == MlpActivation::relu) return keep_where(less(zero, h), one);
  if constexpr (kind == MlpActivation::tanh) return fma(negated(h), h, one);
  if constexpr (kind == MlpActivation::sigmoid) return h * (one - h);
  return select(less(zero, h), broadcast(selu_scale), h + broadcast(selu_depth));
}

// cos and sin of 2 pi r for |r| <= 1/2, within 3e-7: of half the angle, by Chebyshev fits.
struct Wave {
  Floats cosine, sine;
};
SOFTCLASS_INLINE Wave wave_at(Floats turns) {
  const Floats r = turns - round_to_even(turns), v = r * r;
  Floats s = fma(v, broadcast(-0x1.cc9cc2p-8f), broadcast(0x1.501416p-4f));
  s = fma(s, v, broadcast(-0x1.32d130p-1f));
  s = fma(s, v, broadcast(0x1.466bc0p+1f));
  s = fma(s, v, broadcast(-0x1.4abbcep+2f));
  s = fma(s, v, broadcast(0x1.921fb6p+1f)) * r;
  Floats c = fma(v, broadcast(0x1.e258acp-10f), broadcast(-0x1.a651c2p-6f));
  c = fma(c, v, broadcast(0x1.e1f24ep-3f));
  c = fma(c, v, broadcast(-0x1.55d3c0p+0f));
  c = fma(c, v, broadcast(0x1.03c1f0p+2f));
  c = fma(c, v, broadcast(-0x1.3bd3ccp+2f));
  c = fma(c, v, broadcast(1.0f));
  const Floats twice = s + s;
  return {fma(negated(twice), s, broadcast(1.0f)), twice * c};
}

// 16 floats by one tree, whatever the vectors: 8, 4, 2, 1 apart.
SOFTCLASS_INLINE float sum_of_sixteen(const Floats* parts) {
  alignas(64) float all[16];
  for (int v = 0; v < 16 / Floats::lanes; ++v) store(all + v * Floats::lanes, parts[v]);
  for (int half = 8; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) all[j] = all[j] + all[j + half];
  return all[0];
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
