// Sums in a fixed order: their bits depend on the numbers and their count alone.
#pragma once

#include <cmath>
#include <cstdint>

namespace softclass {

constexpr int64_t sum_lanes = 8;
constexpr int64_t sum_block = 64;  // 8 plain additions a lane: the error of a block stays near one rounding

// Plain sum of at most sum_block numbers, element j in lane j mod 8, then a fixed tree.
inline double block_sum(const double* values, int64_t count) noexcept {
  double lane[sum_lanes] = {};
  int64_t j = 0;
  for (; j + sum_lanes <= count; j += sum_lanes)
    for (int64_t l = 0; l < sum_lanes; ++l) lane[l] += values[j + l];
  for (int64_t l = 0; j + l < count; ++l) lane[l] += values[j + l];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

// Neumaier's compensated sum.
struct Sum {
  double high = 0.0;
  double low = 0.0;

  void add(double x) noexcept {
    const double total = high + x;
    low += std::fabs(high) >= std::fabs(x) ? (high - total) + x : (x - total) + high;
    high = total;
  }
  // The correction of an infinite sum is inf - inf; NaN is already in `high` when it belongs there.
  double value() const noexcept { return std::isfinite(high) ? high + low : high; }
};

inline double sum_of(const double* values, int64_t count) noexcept {
  Sum total;
  for (int64_t start = 0; start < count; start += sum_block)
    total.add(block_sum(values + start, count - start < sum_block ? count - start : sum_block));
  return total.value();
}

}  // namespace softclass
