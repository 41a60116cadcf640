#include "softmax.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void softmax_float32(const SoftmaxJob& job);  // softmax_float32.cpp
void softmax_float64(const SoftmaxJob& job);
void softmax_vjp(const VjpJob& job);

namespace {

// float has an exponent of 8 bits: 1 / T must be a normal number with some room.
constexpr double widest_temperature = 0x1p100;

void softmax(const SoftmaxJob& job) {
  const Element* element = job.layout.element;
  const bool is_double = element[0] == Element::float64 || element[1] == Element::float64 ||
                         job.temperature > widest_temperature || job.temperature < 1 / widest_temperature;
  return is_double ? softmax_float64(job) : softmax_float32(job);
}

}  // namespace

extern const SoftmaxKernels softmax_kernels = {softmax, softmax_vjp};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
