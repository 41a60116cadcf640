// Rows of logits to probabilities, their logarithms, and logsumexp. Real is float or double; N rows of K logits lie one
// after the other. No function allocates, throws or knows Python.
#pragma once

#include <cstdint>

namespace softclass {

// probabilities[i, j] = softmax(logits[i] / temperature)[j]; scratch holds K doubles.
template <class Real>
void softmax(const Real* logits, int64_t N, int64_t K, double temperature, Real* probabilities, double* scratch) noexcept;

template <class Real>
void log_softmax(const Real* logits, int64_t N, int64_t K, double temperature, Real* log_probabilities) noexcept;

// values[i] = log(sum_j exp(logits[i, j])); -inf where K = 0.
template <class Real>
void logsumexp(const Real* logits, int64_t N, int64_t K, Real* values) noexcept;

}  // namespace softclass
