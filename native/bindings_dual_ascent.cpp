// Dual coordinate ascent over sparse rows, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <new>
#include <tuple>

#include "bindings.hpp"
#include "contiguous.hpp"
#include "dual_ascent.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

std::tuple<double, double> dual_ascent(nb::handle order, nb::handle row_starts, nb::handle columns, nb::handle values,
                                       nb::handle targets, nb::handle weights, nb::handle curvatures, double stiffness,
                                       nb::handle centre, nb::handle weight, nb::handle logarithms, nb::handle pull) {
  const Array starts(row_starts, Array::read), x(values, Array::read), y(targets, Array::read),
      s(weights, Array::read), eta(curvatures, Array::read), middle(centre, Array::read), w(weight, Array::write),
      logs(logarithms, Array::write), pulled(pull, Array::write);
  const Indices visits(order), names(columns);
  require(w.rank() == 2 && w.shape()[1] % 16 == 0, "weight must be (D, step)");
  const int64_t n = y.size(), step = w.shape()[1];
  DualAscent call = {};
  call.n_visits = visits.size();
  call.step = step;
  call.order = visits.data();
  call.row_starts = contiguous<int64_t>(starts, n + 1, "row_starts must be (N + 1,), int64");
  call.columns = names.data();
  call.values = contiguous<float>(x, names.size(), "values must be float32, as many as columns");
  call.targets = contiguous<int64_t>(y, n, "targets must be int64");
  call.weights = contiguous<double>(s, n, "weights must be (N,), float64");
  call.curvatures = contiguous<double>(eta, n, "curvatures must be (N,), float64");
  call.stiffness = stiffness;
  call.centre = contiguous<double>(middle, step, "centre must be (step,), float64");
  call.weight = contiguous<float>(w, w.size(), "weight must be contiguous float32");
  call.logarithms = contiguous<float>(logs, n * step, "logarithms must be (N, step), float32");
  call.pull = contiguous<double>(pulled, step, "pull must be (step,), float64");
  DualEnd end;
  {
    const Unlocked unlocked(names.size());
    end = chosen_dual_ascent_kernels().run(call);
  }
  if (end.out_of_memory) throw std::bad_alloc();
  return {end.loss, end.divergence};
}

}  // namespace

void bind_dual_ascent(nb::module_& m) {
  m.def("dual_ascent", &dual_ascent, "order"_a, "row_starts"_a, "columns"_a, "values"_a, "targets"_a, "weights"_a,
        "curvatures"_a, "stiffness"_a, "centre"_a, "weight"_a, "logarithms"_a, "pull"_a);
}

}  // namespace softclass
