// The template arguments of a job, one number type a source: compilers work on both at a time.
#pragma once

#include "softmax_paths.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

template <class Real>
static void softmax_of(const SoftmaxJob& job) {
  const bool tempered = job.temperature != 1.0;
  switch (job.output) {
    case Output::probabilities:
      return tempered ? SoftmaxPaths<Output::probabilities, true, Real>(job).run()
                      : SoftmaxPaths<Output::probabilities, false, Real>(job).run();
    case Output::log_probabilities:
      return tempered ? SoftmaxPaths<Output::log_probabilities, true, Real>(job).run()
                      : SoftmaxPaths<Output::log_probabilities, false, Real>(job).run();
    case Output::log_partition:
      return SoftmaxPaths<Output::log_partition, false, Real>(job).run();
  }
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
