// The module. What belongs to a word of the library is bound in the file of that word (bindings_softmax.cpp, ...).
#include "bindings.hpp"

#include <cstring>

#include "targets.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

nb::tuple runnable_targets() {
  nb::list names;
  for (int t = 0; t < softclass::n_targets; ++t)
    if (softclass::can_run(softclass::Target(t))) names.append(softclass::name_of(softclass::Target(t)));
  return nb::tuple(names);
}

void choose_target(const char* name) {
  for (int t = 0; t < softclass::n_targets; ++t)
    if (std::strcmp(name, softclass::name_of(softclass::Target(t))) == 0 && softclass::set_target(softclass::Target(t)))
      return;
  throw nb::value_error("this machine cannot run that target");
}

}  // namespace

NB_MODULE(_cpu, m) {
  m.def("target", [] { return softclass::name_of(softclass::target()); });
  m.def("targets", &runnable_targets);
  m.def("set_target", &choose_target, "name"_a);
  m.def("refused_wish", &softclass::refused_wish);
  m.def("thread_count", &softclass::thread_count);
  m.def("set_thread_count", &softclass::set_thread_count, "count"_a);
  softclass::bind_cholesky_solve(m);
  softclass::bind_coordinate_descent(m);
  softclass::bind_cross_entropy(m);
  softclass::bind_dual_ascent(m);
  softclass::bind_linear(m);
  softclass::bind_networks(m);
  softclass::bind_regression(m);
  softclass::bind_regression_compact(m);
  softclass::bind_regression_sparse(m);
  softclass::bind_softmax(m);
}
