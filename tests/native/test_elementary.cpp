// exp for every float in (-150, 0], exp for doubles and log1p over wide ranges: the error against a wider type, and the
// same bits on every target. `test_elementary STEP` looks at every STEP-th float; 1 takes seconds, and minutes under an
// emulator or a sanitizer.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "elementary.hpp"

using namespace softclass;

namespace {

constexpr int64_t block = 1 << 16;
int failures = 0;

void check(bool holds, const char* target, const char* what, double reached, double bound) {
  std::printf("%-7s %-28s %.4f (bound %.4f)%s\n", target, what, reached, bound, holds ? "" : "  FAILED");
  failures += !holds;
}

float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Distance in units in the last place of Real at the exact value; subnormal results in units of the smallest one.
template <class Real, class Wide>
double ulps(Real found, Wide exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  const int digits = std::numeric_limits<Real>::digits, lowest = std::numeric_limits<Real>::min_exponent;
  const Wide unit = std::ldexp(Wide(1), (exponent < lowest ? lowest : exponent) - digits);
  return double(std::fabs((Wide(found) - exact) / unit));
}

template <class Run>
void for_each_target(const Run& run) {
  for (int t = 0; t < n_targets; ++t)
    if (set_target(Target(t))) run(name_of(Target(t)), chosen_elementary());
}

void test_exp_of_floats(uint32_t step) {
  std::vector<float> d(block), e(block, 0.0f), out(block), plain(block);
  const uint32_t last = 0xc3160000u;  // -150
  for_each_target([&](const char* name, const Elementary& table) {
    double worst = 0;
    bool equal = true;
    for (uint32_t bits = 0x80000000u; bits < last;) {
      for (int64_t i = 0; i < block; ++i, bits = bits < last ? bits + step : bits) d[i] = float_of(bits);
      table.exp_floats(d.data(), e.data(), block, out.data());
      plain::elementary.exp_floats(d.data(), e.data(), block, plain.data());
      equal = equal && std::memcmp(out.data(), plain.data(), sizeof(float) * block) == 0;
      for (int64_t i = 0; i < block; ++i) worst = std::fmax(worst, ulps(out[i], std::exp(double(d[i]))));
    }
    check(worst <= 1.01, name, "exp float, ulp", worst, 1.01);
    check(equal, name, "exp float, bits as plain", equal, 1);
  });
}

void test_exp_of_doubles(int64_t count) {
  std::mt19937_64 random(1);
  std::vector<double> d(count), e(count), out(count), plain(count);
  for (int64_t i = 0; i < count; ++i) {
    const double u = double(random() >> 11) * 0x1p-53;
    d[i] = i % 3 == 0 ? -u : (i % 3 == 1 ? -40.0 * u : -750.0 * u);
    e[i] = d[i] * 0x1p-54 * (double(random() >> 11) * 0x1p-52 - 1.0);
  }
  for_each_target([&](const char* name, const Elementary& table) {
    table.exp_doubles(d.data(), e.data(), count, out.data());
    plain::elementary.exp_doubles(d.data(), e.data(), count, plain.data());
    double worst = 0;
    if (std::numeric_limits<long double>::digits > 60)  // a wider type to judge by
      for (int64_t i = 0; i < count; ++i)
        worst = std::fmax(worst, ulps(out[i], std::exp((long double)d[i] + (long double)e[i])));
    const bool equal = std::memcmp(out.data(), plain.data(), sizeof(double) * size_t(count)) == 0;
    check(worst <= 1.2, name, "exp double, ulp", worst, 1.2);  // 1.03 of exp, the rest of adding e
    check(equal, name, "exp double, bits as plain", equal, 1);
  });
}

void test_log1p(int64_t count) {
  std::mt19937_64 random(2);
  std::vector<double> s(count), out(count), plain(count);
  for (int64_t i = 0; i < count; ++i) s[i] = std::exp2(double(random() >> 11) * 0x1p-53 * 150.0 - 130.0);
  for (int64_t i = 0; i < 16; ++i) s[i] = double(i) * 0.25;
  for_each_target([&](const char* name, const Elementary& table) {
    double worst = 0;
    table.log1p_for_floats(s.data(), count, out.data());
    for (int64_t i = 0; i < count; ++i)
      if (s[i] > 0) worst = std::fmax(worst, std::fabs(out[i] / std::log1p(s[i]) - 1.0) * 0x1p44);
    check(worst <= 0.56, name, "log1p for float, 2^-44", worst, 0.56);
    plain::elementary.log1p_for_floats(s.data(), count, plain.data());
    bool equal = std::memcmp(out.data(), plain.data(), sizeof(double) * size_t(count)) == 0;
    table.log1p_for_doubles(s.data(), count, out.data());
    plain::elementary.log1p_for_doubles(s.data(), count, plain.data());
    equal = equal && std::memcmp(out.data(), plain.data(), sizeof(double) * size_t(count)) == 0;
    worst = 0;
    if (std::numeric_limits<long double>::digits > 60)
      for (int64_t i = 0; i < count; ++i) worst = std::fmax(worst, ulps(out[i], std::log1p((long double)s[i])));
    check(worst <= 0.83, name, "log1p for double, ulp", worst, 0.83);
    check(equal, name, "log1p, bits as plain", equal, 1);
  });
}

void test_extremes() {
  const double inf = INFINITY, nan = NAN;
  std::vector<float> d(16, float(nan)), e(16, 0.0f), out(16);
  d[0] = -float(inf), e[0] = float(nan), d[1] = 0, d[2] = -3e38f, d[3] = -103.97f, d[4] = -104.5f;
  std::vector<double> dd(16, nan), de(16, 0.0), dout(16);
  dd[0] = -inf, de[0] = nan, dd[1] = 0, dd[2] = -1.7e308, dd[3] = -745.13, dd[4] = -745.14;
  std::vector<double> s(16, nan), l(16);
  for_each_target([&](const char* name, const Elementary& table) {
    table.exp_floats(d.data(), e.data(), 16, out.data());
    table.exp_doubles(dd.data(), de.data(), 16, dout.data());
    table.log1p_for_doubles(s.data(), 16, l.data());
    const bool floats = out[0] == 0 && out[1] == 1 && out[2] == 0 && out[3] == 0x1p-149f && out[4] == 0 && out[5] != out[5];
    const bool doubles = dout[0] == 0 && dout[1] == 1 && dout[2] == 0 && dout[3] == 0x1p-1074 && dout[4] == 0 &&
                         dout[5] != dout[5] && l[0] != l[0];
    check(floats, name, "extremes of float", floats, 1);
    check(doubles, name, "extremes of double", doubles, 1);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const uint32_t step = argc > 1 ? uint32_t(std::atoi(argv[1])) : 1;
  const int64_t count = step == 1 ? 1 << 22 : 1 << 16;
  test_extremes();
  test_exp_of_floats(step);
  test_exp_of_doubles(count);
  test_log1p(count);
  return failures ? 1 : 0;
}
