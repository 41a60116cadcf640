// softmax, log_softmax, logsumexp over the class axes of an array of any layout, and the product of a vector with the
// Jacobian of softmax.
#pragma once

#include <cstdint>

#include "layout.hpp"
#include "targets.hpp"

namespace softclass {

enum class Output { probabilities, log_probabilities, log_partition };

struct SoftmaxJob {
  Output output;
  double temperature;  // 1 for log_partition
  int threads;         // 0: the default of the process
  bool has_where;
  // Operands: 0 logits, 1 the result (no class axes for log_partition), 2 where, a boolean: False is a class that is
  // not there. The result may be the logits.
  Layout layout;
};

struct VjpJob {
  double factor;
  int threads;
  // Operands: 0 probabilities, 1 cotangent, 2 the result: factor p (g - <p, g>).
  Layout layout;
};

struct SoftmaxKernels {
  void (*softmax)(const SoftmaxJob& job);
  void (*softmax_vjp)(const VjpJob& job);
};
SOFTCLASS_TABLES(SoftmaxKernels, softmax_kernels)

}  // namespace softclass
