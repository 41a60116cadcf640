// Coordinate descent on a quadratic with absolute values, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <tuple>

#include "arrays.hpp"
#include "bindings.hpp"
#include "coordinate_descent.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

double* doubles_of(const Array& array, int64_t size, const char* rule) {
  require(array.size() == size && array.is_c_contiguous(), rule);
  if (array.element() != Element::float64) throw nb::type_error(rule);
  return reinterpret_cast<double*>(array.data());
}

std::tuple<int64_t, bool> coordinate_descent(nb::handle hessian, nb::handle slope, nb::handle weight, nb::handle l1,
                                             nb::handle ridge, int64_t most_sweeps, double tolerance) {
  const Array matrix(hessian, Array::read), slopes(slope, Array::write), weights(weight, Array::write),
      bounds(l1, Array::read), bends(ridge, Array::read);
  require(weights.rank() == 1, "weight must be (P,)");
  const int64_t n = weights.shape()[0];
  QuadraticModel model{};
  model.n = n;
  model.hessian = doubles_of(matrix, n * n, "hessian must be (P, P), contiguous float64");
  model.l1 = doubles_of(bounds, n, "l1 must be (P,), contiguous float64");
  model.ridge = doubles_of(bends, n, "ridge must be (P,), contiguous float64");
  model.slope = doubles_of(slopes, n, "slope must be (P,), contiguous float64");
  model.weight = doubles_of(weights, n, "weight must be (P,), contiguous float64");
  const Unlocked unlocked(n * n);
  const DescentEnd end = chosen_descent_kernels().run(model, most_sweeps, tolerance);
  return {end.sweeps, end.is_done};
}

}  // namespace

void bind_coordinate_descent(nb::module_& m) {
  m.def("coordinate_descent", &coordinate_descent, "hessian"_a, "slope"_a, "weight"_a, "l1"_a, "ridge"_a,
        "most_sweeps"_a, "tolerance"_a);
}

}  // namespace softclass
