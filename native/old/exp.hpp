// exp of a difference z - m <= 0, in double precision and without a library call, so that compilers can vectorise it.
#pragma once

#include <cstdint>
#include <cstring>

namespace softclass {

// Smaller arguments give 0 in every type: exp(-745.14) is half of the smallest subnormal number.
constexpr double smallest_exponent = -746.0;

// 2^h for an integer h in [-1022, 1023]. Adding the magic number leaves h + 1023 in the low bits of the sum, where the
// shift makes an exponent of it.
inline double power_of_two(double h) noexcept {
  const double shifted = h + (0x1.8p52 + 1023.0);
  uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits <<= 52;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

// Nearest integer, for |x| < 2^51; needs IEEE addition in the given order.
inline double nearest_integer(double x) noexcept { return (x + 0x1.8p52) - 0x1.8p52; }

// exp(d + e) for d <= 0 (also -inf, NaN), e the rounding error of d. Relative error about 2^-53; subnormal results are
// rounded once. Coefficients: Remez fit of (exp(t) - 1 - t) / t^2 on |t| <= log(2) / 2, relative error 2^-57.9.
inline double exp_of_difference(double d, double e) noexcept {
  const bool vanishes = d < smallest_exponent;
  d = vanishes ? smallest_exponent : d;  // NaN stays
  e = vanishes ? 0.0 : e;                // e is NaN where d is -inf
  const double n = nearest_integer(d * 0x1.71547652b82fep+0);
  double t = d - n * 0x1.62e42fee00000p-1;  // exact: 32 bits times 11 bits
  t = t - n * 0x1.a39ef35793c76p-33;
  t = t + e;
  double q = 0x1.ad7f767dc8f4ap-26;
  q = q * t + 0x1.28ad69a95aec3p-22;
  q = q * t + 0x1.71df253e8750ap-19;
  q = q * t + 0x1.a0199a15d32f0p-16;
  q = q * t + 0x1.a01a012a67194p-13;
  q = q * t + 0x1.6c16c18426cb0p-10;
  q = q * t + 0x1.1111111127ba5p-7;
  q = q * t + 0x1.555555555088ap-5;
  q = q * t + 0x1.55555555554fap-3;
  q = q * t + 0x1.000000000000ap-1;
  const double near_one = 1.0 + (t + (t * t) * q);
  const double half = nearest_integer(n * 0.5);
  return near_one * power_of_two(half) * power_of_two(n - half);  // only the last product can round
}

}  // namespace softclass
