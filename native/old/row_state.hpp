// What one pass over a row of logits leaves behind. Everything that is returned (logsumexp, probabilities, their
// logarithms, losses, gradients) is made from it by sums of one sign, so that nothing cancels.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "exp.hpp"
#include "sum.hpp"

namespace softclass {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

enum class RowKind {
  ordinary,   // the maximum is finite; a NaN elsewhere is found in `rest`
  one_hot,    // exactly one +inf and no NaN: all probability is there
  many_hot,   // two or more +inf and no NaN: no limit exists
  all_absent, // every logit is -inf
  no_number,  // the maximum is not finite and there is a NaN
};

struct RowState {
  RowKind kind;
  double maximum;
  int64_t first;  // first index of the maximum
  double rest;    // sum of exp(z_i - maximum) over the OTHER classes: log1p(rest) keeps what 1 + rest would lose
};

// z - m = value + error, exactly, as long as nothing overflows.
struct Difference {
  double value;
  double error;
};

// float: the difference of two floats in double precision is right to 2^-53, far below what a float can show.
inline Difference difference(float z, float m) noexcept { return {double(z) - double(m), 0.0}; }

// double: two-sum. `error` is NaN where `value` is infinite.
inline Difference difference(double z, double m) noexcept {
  const double d = z - m;
  const double b = d - z;
  return {d, (z - (d - b)) - (m + b)};
}

// (z - m) / temperature.
inline Difference tempered_difference(float z, float m, double temperature) noexcept {
  return {(double(z) - double(m)) / temperature, 0.0};
}

inline Difference tempered_difference(double z, double m, double temperature) noexcept {
  const Difference d = difference(z, m);
  if (!std::isfinite(d.value) && std::isfinite(z)) return {(z * 0.5 - m * 0.5) / (temperature * 0.5), 0.0};
  const double quotient = d.value / temperature;
  const double remainder = std::fma(-quotient, temperature, d.value);  // exact
  return {quotient, (remainder + d.error) / temperature};
}

template <bool Tempered, class Real>
inline Difference scaled_difference(Real z, Real m, double temperature) noexcept {
  if constexpr (Tempered) return tempered_difference(z, m, temperature);
  return difference(z, m);
}

template <class Real>
inline Real row_maximum(const Real* z, int64_t K) noexcept {
  constexpr int64_t lanes = 16;
  Real lane[lanes];
  for (int64_t l = 0; l < lanes; ++l) lane[l] = -std::numeric_limits<Real>::infinity();
  int64_t j = 0;
  for (; j + lanes <= K; j += lanes)
    for (int64_t l = 0; l < lanes; ++l) lane[l] = z[j + l] > lane[l] ? z[j + l] : lane[l];  // NaN never wins
  for (int64_t l = 0; j + l < K; ++l) lane[l] = z[j + l] > lane[l] ? z[j + l] : lane[l];
  Real maximum = lane[0];
  for (int64_t l = 1; l < lanes; ++l) maximum = lane[l] > maximum ? lane[l] : maximum;
  return maximum;
}

template <class Real>
inline RowState extreme_row_state(const Real* z, int64_t K, Real maximum) noexcept {
  int64_t n_maxima = 0, first = 0;
  for (int64_t j = K - 1; j >= 0; --j) {
    if (z[j] != z[j]) return {RowKind::no_number, not_a_number, 0, not_a_number};
    if (z[j] == maximum) {
      first = j;
      ++n_maxima;
    }
  }
  const RowKind kind =
      maximum < 0 ? RowKind::all_absent : (n_maxima == 1 ? RowKind::one_hot : RowKind::many_hot);
  return {kind, double(maximum), first, kind == RowKind::one_hot ? 0.0 : not_a_number};
}

// K >= 1. `weights`, where it is not null, receives exp((z_i - maximum) / temperature) of an ordinary row.
template <bool Tempered, class Real>
inline RowState row_state(const Real* z, int64_t K, double temperature, double* weights) noexcept {
  const Real maximum = row_maximum(z, K);
  if (!std::isfinite(maximum)) return extreme_row_state(z, K, maximum);
  int64_t first = 0;
  while (z[first] != maximum) ++first;
  Sum rest;
  double scratch[sum_block];
  for (int64_t start = 0; start < K; start += sum_block) {
    const int64_t count = K - start < sum_block ? K - start : sum_block;
    double* block = weights ? weights + start : scratch;
    for (int64_t j = 0; j < count; ++j) {
      const Difference d = scaled_difference<Tempered>(z[start + j], maximum, temperature);
      block[j] = exp_of_difference(d.value, d.error);
    }
    const bool holds_first = first >= start && first < start + count;
    if (holds_first) block[first - start] = 0.0;
    rest.add(block_sum(block, count));
    if (holds_first) block[first - start] = 1.0;
  }
  return {RowKind::ordinary, double(maximum), first, rest.value()};
}

}  // namespace softclass
