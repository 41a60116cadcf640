// One file a word; bindings.cpp puts them into one module.
#pragma once

#include <nanobind/nanobind.h>

namespace softclass {

void bind_cholesky_solve(nanobind::module_& m);
void bind_coordinate_descent(nanobind::module_& m);
void bind_cross_entropy(nanobind::module_& m);
void bind_dual_ascent(nanobind::module_& m);
void bind_linear(nanobind::module_& m);
void bind_networks(nanobind::module_& m);
void bind_regression(nanobind::module_& m);
void bind_regression_compact(nanobind::module_& m);
void bind_regression_sparse(nanobind::module_& m);
void bind_softmax(nanobind::module_& m);

}  // namespace softclass
