// Compiled once a target; counts are multiples of 16.
#include "elementary.hpp"

#include "exp.hpp"
#include "log1p.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

template <class Real>
void exp_all(const Real* d, const Real* e, int64_t count, Real* out) {
  for (int64_t i = 0; i < count; i += lanes_of<Real>) store(out + i, exp_of_difference(load(d + i), load(e + i)));
}

void log1p_for_floats(const double* s, int64_t count, double* out) {
  for (int64_t i = 0; i < count; i += Doubles::lanes) store(out + i, log1p_for_float(load(s + i)));
}

void log1p_for_doubles(const double* s, int64_t count, double* out) {
  for (int64_t i = 0; i < count; i += Doubles::lanes) store(out + i, log1p_for_double(load(s + i)));
}

}  // namespace

extern const Elementary elementary;
const Elementary elementary = {&exp_all<float>, &exp_all<double>, &log1p_for_floats, &log1p_for_doubles};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
