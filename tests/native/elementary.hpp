// exp and log1p of every target, over arrays, for test_elementary.cpp.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

struct Elementary {
  void (*exp_floats)(const float* d, const float* e, int64_t count, float* out);
  void (*exp_doubles)(const double* d, const double* e, int64_t count, double* out);
  void (*log1p_for_floats)(const double* s, int64_t count, double* out);
  void (*log1p_for_doubles)(const double* s, int64_t count, double* out);
};
SOFTCLASS_TABLES(Elementary, elementary)

}  // namespace softclass
