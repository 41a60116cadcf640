// Solves with the Cholesky factors of several matrices, as Python sees them. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>

#include <cstdint>
#include <new>

#include "bindings.hpp"
#include "cholesky_solve.hpp"
#include "contiguous.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

void cholesky_solve(nb::handle factors, nb::handle scale, nb::handle right, nb::handle solution, int threads) {
  const Array lower(factors, Array::read), divided(scale, Array::read), sides(right, Array::read),
      found(solution, Array::write);
  require(lower.rank() == 3 && lower.shape()[1] == lower.shape()[2], "factors must be (K, n, n)");
  const int64_t K = lower.shape()[0], n = lower.shape()[1];
  require(K > 0 && n > 0 && sides.size() % (K * n) == 0, "right must be (sides, K, n)");
  CholeskySolve call = {};
  call.n_factors = K;
  call.n = n;
  call.n_sides = sides.size() / (K * n);
  call.is_double = lower.element() == Element::float64;
  call.factors = call.is_double
                     ? static_cast<const void*>(contiguous<double>(lower, K * n * n, "factors must be contiguous"))
                     : contiguous<float>(lower, K * n * n, "factors must be contiguous float32 or float64");
  call.scale = contiguous<double>(divided, K * n, "scale must be (K, n), float64");
  call.right = contiguous<double>(sides, sides.size(), "right must be (sides, K, n), float64");
  call.solution = contiguous<double>(found, sides.size(), "solution must have the shape of right, float64");
  call.threads = threads;
  const Unlocked unlocked(K * n * n);
  if (!chosen_cholesky_kernels().solve(call)) throw std::bad_alloc();
}

}  // namespace

void bind_cholesky_solve(nb::module_& m) {
  m.def("cholesky_solve", &cholesky_solve, "factors"_a, "scale"_a, "right"_a, "solution"_a, "threads"_a = 0);
}

}  // namespace softclass
