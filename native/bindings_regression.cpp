// The pass of softmax regression over dense rows, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <new>

#include "arrays.hpp"
#include "bindings.hpp"
#include "regression.hpp"

namespace softclass {
namespace {

using namespace nb::literals;
using Held = std::unique_ptr<Array>;

Held held(nb::handle object, Array::Access access) {
  return object.is_none() ? nullptr : std::make_unique<Array>(object, access);
}

// Contiguous float64 numbers of a given count, or null.
double* doubles(const Held& array, int64_t count, const char* rule) {
  if (!array) return nullptr;
  if (array->element() != Element::float64) throw nb::type_error(rule);
  require(array->is_c_contiguous() && array->size() == count, rule);
  return reinterpret_cast<double*>(array->data());
}

// Rows of a call, with the arrays that they come from.
struct Rows {
  Held features, targets, row_weights;
  RegressionRows rows = {};

  Rows(nb::handle x, nb::handle y, nb::handle weights, int64_t first_chunk) {
    features = held(x, Array::read);
    targets = held(y, Array::read);
    row_weights = held(weights, Array::read);
    require(features && features->rank() == 2 && features->is_c_contiguous(), "features must be (N, D), contiguous");
    const Element element = features->element();
    if (element != Element::float32 && element != Element::float64)
      throw nb::type_error("features must be float32 or float64");
    rows.features = features->data();
    rows.is_double = element == Element::float64;
    rows.n_rows = features->shape()[0];
    rows.n_features = features->shape()[1];
    if (targets) {
      if (targets->element() != Element::int64) throw nb::type_error("targets must be int64");
      require(targets->is_c_contiguous() && targets->rank() == 1 && targets->size() == rows.n_rows,
              "targets must be (N,), contiguous");
      rows.targets = reinterpret_cast<const int64_t*>(targets->data());
    }
    rows.row_weights = doubles(row_weights, rows.n_rows, "row_weights must be (N,) of float64, contiguous");
    require(first_chunk >= 0, "first_chunk must not be negative");
    rows.first_chunk = first_chunk;
  }
};

int64_t lanes_in(const Held& lanes, int64_t length, const char* rule) {
  require(lanes && lanes->rank() == 2 && lanes->shape()[0] > 0 && lanes->shape()[1] == length, rule);
  require(lanes->shape()[0] <= most_waiting_lanes, "there may be 64 lanes");
  return lanes->shape()[0];
}

void require_memory(bool is_well) {
  if (!is_well) throw std::bad_alloc();
}

void regression_pass(nb::handle features, nb::handle targets, nb::handle row_weights, nb::handle weight,
                     nb::handle bias, nb::handle weight_tangent, nb::handle bias_tangent, nb::handle lanes,
                     int64_t first_chunk, bool with_margin, nb::handle curvature, int threads) {
  const Rows rows(features, targets, row_weights, first_chunk);
  require(rows.targets != nullptr, "targets must be an array");
  const Held held_weight = held(weight, Array::read), held_bias = held(bias, Array::read);
  const Held held_tangent = held(weight_tangent, Array::read), held_shift = held(bias_tangent, Array::read);
  const Held held_lanes = held(lanes, Array::write), held_curvature = held(curvature, Array::write);
  RegressionPass call = {};
  call.rows = rows.rows;
  require(held_weight && held_weight->rank() == 2 && held_weight->shape()[0] > 0, "weight must be (R, D)");
  call.n_outputs = held_weight->shape()[0];
  const int64_t size = call.n_outputs * call.rows.n_features;
  call.weight = doubles(held_weight, size, "weight must be (R, D) of float64, contiguous");
  call.bias = doubles(held_bias, call.n_outputs, "bias must be (R,) of float64, contiguous");
  require(call.bias, "bias must be (R,) of float64, contiguous");
  call.weight_tangent = doubles(held_tangent, size, "weight_tangent must be like weight");
  call.bias_tangent = doubles(held_shift, call.n_outputs, "bias_tangent must be like bias");
  require(!call.weight_tangent == !call.bias_tangent, "weight_tangent and bias_tangent come together");
  call.with_margin = with_margin;
  call.curvature = doubles(held_curvature, call.rows.n_rows, "curvature must be (N,) of float64, contiguous");
  const int64_t length = size + call.n_outputs + 2;
  call.n_lanes = lanes_in(held_lanes, length, "lanes must be (lanes, R (D + 1) + 2)");
  call.lanes = doubles(held_lanes, call.n_lanes * length, "lanes must be float64, contiguous");
  call.threads = threads;
  const Unlocked unlocked(call.rows.n_rows * call.rows.n_features);
  require_memory(chosen_regression_kernels().pass(call));
}

void regression_hessian(nb::handle features, nb::handle targets, nb::handle row_weights, nb::handle weight,
                        nb::handle bias, nb::handle sums, int64_t first_chunk, int threads) {
  const Rows rows(features, targets, row_weights, first_chunk);
  require(rows.targets != nullptr, "targets must be an array");
  const Held held_weight = held(weight, Array::read), held_bias = held(bias, Array::read);
  const Held held_sums = held(sums, Array::write);
  RegressionHessian call = {};
  call.rows = rows.rows;
  require(held_weight && held_weight->rank() == 2 && held_weight->shape()[0] > 0, "weight must be (R, D)");
  const int64_t R = call.n_outputs = held_weight->shape()[0], D = call.rows.n_features;
  call.weight = doubles(held_weight, R * D, "weight must be (R, D) of float64, contiguous");
  call.bias = doubles(held_bias, R, "bias must be (R,) of float64, contiguous");
  require(call.bias, "bias must be (R,) of float64, contiguous");
  const int64_t length = hessian_pairs(R) * hessian_length(R, D + 1);
  call.n_lanes = lanes_in(held_sums, length, "sums must be (lanes, regression_hessian_numbers(R, D))");
  call.sums = doubles(held_sums, call.n_lanes * length, "sums must be float64, contiguous");
  call.threads = threads;
  const Unlocked unlocked(call.rows.n_rows * D);
  require_memory(chosen_regression_kernels().hessian(call));
}

void regression_hessian_join(nb::handle sums, int64_t n_outputs, int64_t n_features, double unit, nb::handle penalty,
                             double gauge, nb::handle hessian) {
  const Held held_sums = held(sums, Array::read), held_penalty = held(penalty, Array::read);
  const Held held_hessian = held(hessian, Array::write);
  HessianJoin call = {};
  require(n_outputs > 0 && n_features >= 0, "n_outputs must be positive, n_features not negative");
  call.n_outputs = n_outputs;
  call.n_features = n_features;
  const int64_t length = hessian_pairs(n_outputs) * hessian_length(n_outputs, n_features + 1);
  call.n_lanes = lanes_in(held_sums, length, "sums must be (lanes, regression_hessian_numbers(R, D))");
  call.sums = doubles(held_sums, call.n_lanes * length, "sums must be float64, contiguous");
  call.unit = unit;
  call.gauge = gauge;
  const int64_t P = held_hessian && held_hessian->rank() == 2 ? held_hessian->shape()[0] : 0;
  require(P == n_outputs * (n_features + 1) || P == n_outputs * n_features, "hessian must be (R C, R C) or (R D, R D)");
  call.n_columns = P / n_outputs;
  call.penalty = doubles(held_penalty, call.n_columns, "penalty must have a number a column");
  call.hessian = doubles(held_hessian, P * P, "hessian must be square, of float64, contiguous");
  const Unlocked unlocked(P * P);
  require_memory(chosen_regression_kernels().join_hessian(call));
}

void regression_moments(nb::handle features, nb::handle row_weights, nb::handle shift, nb::handle lanes,
                        int64_t first_chunk, int threads) {
  const Rows rows(features, nb::none(), row_weights, first_chunk);
  const Held held_shift = held(shift, Array::read), held_lanes = held(lanes, Array::write);
  const int64_t length = 3 * rows.rows.n_features + 1;
  RegressionMoments call = {};
  call.rows = rows.rows;
  call.shift = doubles(held_shift, rows.rows.n_features, "shift must be (D,) of float64, contiguous");
  require(call.shift, "shift must be (D,) of float64, contiguous");
  call.n_lanes = lanes_in(held_lanes, length, "lanes must be (lanes, 3 D + 1)");
  call.lanes = doubles(held_lanes, call.n_lanes * length, "lanes must be float64, contiguous");
  call.threads = threads;
  const Unlocked unlocked(call.rows.n_rows * call.rows.n_features);
  require_memory(chosen_regression_kernels().moments(call));
}

void regression_scale(nb::handle features, nb::handle shift, nb::handle factor, nb::handle out, int threads) {
  const Rows rows(features, nb::none(), nb::none(), 0);
  const Held held_shift = held(shift, Array::read), held_factor = held(factor, Array::read);
  const Held held_out = held(out, Array::write);
  RegressionScale call = {};
  call.rows = rows.rows;
  call.shift = doubles(held_shift, call.rows.n_features, "shift must be (D,) of float64, contiguous");
  call.factor = doubles(held_factor, call.rows.n_features, "factor must be (D,) of float64, contiguous");
  require(call.shift && call.factor, "shift and factor must be arrays");
  require(held_out && held_out->has_shape_of(*rows.features) && held_out->is_c_contiguous(),
          "out must have the shape of features, contiguous");
  if (held_out->element() != Element::float32 && held_out->element() != Element::float64)
    throw nb::type_error("out must be float32 or float64");
  call.out = held_out->data();
  call.out_is_double = held_out->element() == Element::float64;
  call.threads = threads;
  const Unlocked unlocked(call.rows.n_rows * call.rows.n_features);
  require_memory(chosen_regression_kernels().scale(call));
}

void regression_lengths(nb::handle features, nb::handle lengths, int threads) {
  const Rows rows(features, nb::none(), nb::none(), 0);
  const Held held_lengths = held(lengths, Array::write);
  RegressionLengths call = {};
  call.rows = rows.rows;
  call.lengths = doubles(held_lengths, call.rows.n_rows, "lengths must be (N,) of float64, contiguous");
  require(call.lengths, "lengths must be (N,) of float64, contiguous");
  call.threads = threads;
  const Unlocked unlocked(call.rows.n_rows * call.rows.n_features);
  require_memory(chosen_regression_kernels().lengths(call));
}

bool regression_is_finite(nb::handle features, int threads) {
  const Rows rows(features, nb::none(), nb::none(), 0);
  const Unlocked unlocked(rows.rows.n_rows * rows.rows.n_features);
  return chosen_regression_kernels().is_finite(rows.rows, threads);
}

}  // namespace

void bind_regression(nb::module_& m) {
  m.def("regression_chunk_rows", [](int64_t n_features) { return chunk_rows(n_features); }, "n_features"_a);
  m.def("regression_hessian_numbers",
        [](int64_t n_outputs, int64_t n_features) {
          return hessian_pairs(n_outputs) * hessian_length(n_outputs, n_features + 1);
        },
        "n_outputs"_a, "n_features"_a);
  m.def("regression_is_finite", &regression_is_finite, "features"_a, "threads"_a = 0);
  m.def("regression_lengths", &regression_lengths, "features"_a, "lengths"_a, "threads"_a = 0);
  m.def("regression_pass", &regression_pass, "features"_a, "targets"_a, "row_weights"_a.none(), "weight"_a, "bias"_a,
        "weight_tangent"_a.none(), "bias_tangent"_a.none(), "lanes"_a, "first_chunk"_a, "with_margin"_a,
        "curvature"_a.none(), "threads"_a = 0);
  m.def("regression_hessian", &regression_hessian, "features"_a, "targets"_a, "row_weights"_a.none(), "weight"_a,
        "bias"_a, "sums"_a, "first_chunk"_a, "threads"_a = 0);
  m.def("regression_hessian_join", &regression_hessian_join, "sums"_a, "n_outputs"_a, "n_features"_a, "unit"_a,
        "penalty"_a.none(), "gauge"_a, "hessian"_a);
  m.def("regression_moments", &regression_moments, "features"_a, "row_weights"_a.none(), "shift"_a, "lanes"_a,
        "first_chunk"_a, "threads"_a = 0);
  m.def("regression_scale", &regression_scale, "features"_a, "shift"_a, "factor"_a, "out"_a, "threads"_a = 0);
}

}  // namespace softclass
