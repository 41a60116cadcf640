#include "softmax.hpp"

#include <cmath>

#include "row_state.hpp"

namespace softclass {
namespace {

template <class Real>
void fill(Real* values, int64_t count, double with) noexcept {
  for (int64_t j = 0; j < count; ++j) values[j] = Real(with);
}

template <bool Tempered, class Real>
void softmax_rows(const Real* logits, int64_t N, int64_t K, double temperature, Real* out, double* weights) noexcept {
  for (int64_t i = 0; i < N; ++i, logits += K, out += K) {
    const RowState state = row_state<Tempered>(logits, K, temperature, weights);
    if (state.kind == RowKind::ordinary) {
      const double r = 1.0 / (1.0 + state.rest);
      for (int64_t j = 0; j < K; ++j) out[j] = Real(weights[j] * r);
    } else if (state.kind == RowKind::one_hot) {
      fill(out, K, 0.0);
      out[state.first] = Real(1);
    } else {
      fill(out, K, not_a_number);
    }
  }
}

template <bool Tempered, class Real>
void log_softmax_rows(const Real* logits, int64_t N, int64_t K, double temperature, Real* out) noexcept {
  for (int64_t i = 0; i < N; ++i, logits += K, out += K) {
    const RowState state = row_state<Tempered>(logits, K, temperature, nullptr);
    if (state.kind == RowKind::ordinary) {
      const Real maximum = Real(state.maximum);
      const double log_sum = std::log1p(state.rest);
      for (int64_t j = 0; j < K; ++j) {
        // The error of the difference is left out: measured, it changes the worst case by nothing.
        out[j] = Real(scaled_difference<Tempered>(logits[j], maximum, temperature).value - log_sum);
      }
    } else if (state.kind == RowKind::one_hot) {
      fill(out, K, -infinity);
      out[state.first] = Real(0);
    } else {
      fill(out, K, not_a_number);
    }
  }
}

}  // namespace

template <class Real>
void softmax(const Real* logits, int64_t N, int64_t K, double temperature, Real* out, double* scratch) noexcept {
  if (K == 0) return;
  if (temperature == 1.0)
    softmax_rows<false>(logits, N, K, temperature, out, scratch);
  else
    softmax_rows<true>(logits, N, K, temperature, out, scratch);
}

template <class Real>
void log_softmax(const Real* logits, int64_t N, int64_t K, double temperature, Real* out) noexcept {
  if (K == 0) return;
  if (temperature == 1.0)
    log_softmax_rows<false>(logits, N, K, temperature, out);
  else
    log_softmax_rows<true>(logits, N, K, temperature, out);
}

template <class Real>
void logsumexp(const Real* logits, int64_t N, int64_t K, Real* out) noexcept {
  for (int64_t i = 0; i < N; ++i, logits += K) {
    if (K == 0) {
      out[i] = Real(-infinity);
      continue;
    }
    const RowState state = row_state<false>(logits, K, 1.0, nullptr);
    // A maximum that is not finite is the answer: +inf, -inf, or NaN.
    out[i] = Real(state.kind == RowKind::ordinary ? state.maximum + std::log1p(state.rest) : state.maximum);
  }
}

template void softmax(const float*, int64_t, int64_t, double, float*, double*) noexcept;
template void softmax(const double*, int64_t, int64_t, double, double*, double*) noexcept;
template void log_softmax(const float*, int64_t, int64_t, double, float*) noexcept;
template void log_softmax(const double*, int64_t, int64_t, double, double*) noexcept;
template void logsumexp(const float*, int64_t, int64_t, float*) noexcept;
template void logsumexp(const double*, int64_t, int64_t, double*) noexcept;

}  // namespace softclass
