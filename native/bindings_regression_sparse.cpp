// The pass over sparse rows, as Python sees it. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <memory>
#include <new>
#include <tuple>

#include "bindings.hpp"
#include "contiguous.hpp"
#include "regression_sparse.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

std::tuple<double, double> sparse_regression_pass(
    nb::handle row_starts, nb::handle columns, nb::handle values, int64_t chunk_rows, nb::handle chunk_starts,
    nb::handle chunk_columns, nb::handle column_starts, nb::handle column_rows, nb::handle column_values,
    nb::handle targets, nb::handle weights, int64_t n_classes, nb::handle weight, nb::handle bias,
    nb::handle weight_tangent, nb::handle bias_tangent, nb::handle probabilities, nb::handle weight_product,
    nb::handle bias_product, bool wants_margin, bool is_clear, int threads) {
  const Array x(values, Array::read), cx(column_values, Array::read), starts(row_starts, Array::read),
      chunks(chunk_starts, Array::read), entries(column_starts, Array::read), y(targets, Array::read),
      s(weights, Array::read), w(weight, Array::read), b(bias, Array::read), g(weight_product, Array::write),
      gb(bias_product, Array::write);
  const Indices by_row(columns), names(chunk_columns), by_column(column_rows);
  const Element real = x.element();
  if (real != Element::float32 && real != Element::float64) throw nb::type_error("values must be float32 or float64");
  SparseRegression call = {};
  require(w.rank() == 2 && w.shape()[1] % 16 == 0 && w.shape()[1] >= n_classes, "weight must be (D, step)");
  call.n_rows = y.size();
  call.n_features = w.shape()[0];
  call.n_classes = n_classes;
  call.step = w.shape()[1];
  call.is_double = real == Element::float64;
  const int64_t size = call.n_features * call.step;
  call.row_starts = reinterpret_cast<const int64_t*>(
      contiguous(starts, Element::int64, call.n_rows + 1, "row_starts must be (N + 1,), int64"));
  call.columns = by_row.data();
  call.values = contiguous(x, real, by_row.size(), "values and columns must have one length");
  require(chunk_rows > 0, "chunk_rows must be positive");
  call.chunk_rows = chunk_rows;
  call.chunk_starts = reinterpret_cast<const int64_t*>(contiguous(
      chunks, Element::int64, (call.n_rows + chunk_rows - 1) / chunk_rows + 1, "chunk_starts must be (chunks + 1,)"));
  call.chunk_columns = names.data();
  call.column_starts = reinterpret_cast<const int64_t*>(
      contiguous(entries, Element::int64, names.size() + 1, "column_starts must be one longer than chunk_columns"));
  call.column_rows = by_column.data();
  call.column_values = contiguous(cx, real, by_column.size(), "column_values and column_rows must have one length");
  call.targets = reinterpret_cast<const int64_t*>(contiguous(y, Element::int64, -1, "targets must be int64"));
  call.weights =
      reinterpret_cast<const double*>(contiguous(s, Element::float64, call.n_rows, "weights must be (N,), float64"));
  call.weight = contiguous(w, real, size, "weight must be of the dtype of the values");
  call.bias = contiguous(b, real, call.step, "bias must be (step,)");
  std::unique_ptr<Array> v, vb, p;
  if (!weight_tangent.is_none()) {
    v = std::make_unique<Array>(weight_tangent, Array::read);
    vb = std::make_unique<Array>(bias_tangent, Array::read);
    call.weight_tangent = contiguous(*v, real, size, "weight_tangent must be like weight");
    call.bias_tangent = contiguous(*vb, real, call.step, "bias_tangent must be like bias");
    require(!probabilities.is_none(), "a product needs probabilities");
  }
  if (!probabilities.is_none()) {
    p = std::make_unique<Array>(probabilities, Array::write);
    call.probabilities = contiguous(*p, real, call.n_rows * call.step, "probabilities must be (N, step)");
  }
  call.weight_product =
      reinterpret_cast<double*>(contiguous(g, Element::float64, size, "weight_product must be (D, step), float64"));
  call.bias_product =
      reinterpret_cast<double*>(contiguous(gb, Element::float64, call.step, "bias_product must be (step,), float64"));
  call.wants_margin = wants_margin;
  call.is_clear = is_clear;
  call.threads = threads;
  SparseEnd end;
  {
    const Unlocked unlocked(by_row.size());
    end = chosen_sparse_regression_kernels().run(call);
  }
  if (end.out_of_memory) throw std::bad_alloc();
  return {end.loss, end.margin};
}

const double* doubles_of(const Array& array, int64_t size, const char* rule) {
  return reinterpret_cast<const double*>(contiguous(array, Element::float64, size, rule));
}

ScaledParameters parameters_of(const Array& theta, const Array& factor, const Array& shift, const Array& penalty,
                               int64_t first, int threads) {
  ScaledParameters call = {};
  require(theta.rank() == 2, "theta must be (D, R) or (D + 1, R)");
  call.n_features = factor.size();
  call.n_outputs = theta.shape()[1];
  call.has_bias = theta.shape()[0] == call.n_features + 1;
  require(call.has_bias || theta.shape()[0] == call.n_features, "theta must be (D, R) or (D + 1, R)");
  call.first = first;
  call.theta = doubles_of(theta, -1, "theta must be contiguous float64");
  call.factor = doubles_of(factor, call.n_features, "factor must be (D,), float64");
  call.shift = doubles_of(shift, call.n_features, "shift must be (D,), float64");
  call.penalty = doubles_of(penalty, call.n_features, "penalty must be (D,), float64");
  call.threads = threads;
  return call;
}

void sparse_regression_spread(nb::handle theta, nb::handle factor, nb::handle shift, int64_t first, nb::handle weight,
                              nb::handle bias, int threads) {
  const Array t(theta, Array::read), f(factor, Array::read), s(shift, Array::read), w(weight, Array::write),
      b(bias, Array::write);
  ScaledParameters call = parameters_of(t, f, s, f, first, threads);
  require(w.rank() == 2 && first >= 0 && first + call.n_outputs <= w.shape()[1], "weight must be (D, step)");
  call.step = w.shape()[1];
  call.is_double = w.element() == Element::float64;
  require(call.is_double || w.element() == Element::float32, "weight must be float32 or float64");
  char* const out = contiguous(w, w.element(), call.n_features * call.step, "weight must be (D, step)");
  char* const out_bias = contiguous(b, w.element(), call.step, "bias must be (step,)");
  const auto parts = std::make_unique<double[]>(size_t(spread_parts(call.n_features) * call.n_outputs));
  const Unlocked unlocked(call.n_features * call.n_outputs);
  chosen_sparse_regression_kernels().spread(call, parts.get(), out, out_bias);
}

double sparse_regression_gather(nb::handle by_weight, nb::handle by_bias, nb::handle theta, nb::handle factor,
                                nb::handle shift, nb::handle penalty, int64_t first, nb::handle derivative,
                                int threads) {
  const bool in_place = derivative.is_none();
  const Array g(by_weight, in_place ? Array::write : Array::read), gb(by_bias, Array::read), t(theta, Array::read),
      f(factor, Array::read), s(shift, Array::read), q(penalty, Array::read);
  ScaledParameters call = parameters_of(t, f, s, q, first, threads);
  require(g.rank() == 2 && first >= 0 && first + call.n_outputs <= g.shape()[1], "by_weight must be (D, step)");
  call.step = g.shape()[1];
  const int64_t rows = call.n_features + (in_place && call.has_bias ? 1 : 0);
  double* const sums = reinterpret_cast<double*>(
      contiguous(g, Element::float64, rows * call.step, "by_weight must be (D, step), float64; in place like theta"));
  const double* const bias_sums = doubles_of(gb, call.step, "by_bias must be (step,), float64");
  double* to = sums;
  std::unique_ptr<Array> out;
  if (!in_place) {
    out = std::make_unique<Array>(derivative, Array::write);
    to = reinterpret_cast<double*>(contiguous(*out, Element::float64, t.size(), "derivative must be like theta"));
  }
  const auto parts = std::make_unique<double[]>(size_t(spread_parts(call.n_features)));
  const Unlocked unlocked(call.n_features * call.n_outputs);
  return chosen_sparse_regression_kernels().gather(call, sums, bias_sums, parts.get(), to);
}

}  // namespace

void bind_regression_sparse(nb::module_& m) {
  m.def("sparse_regression_pass", &sparse_regression_pass, "row_starts"_a, "columns"_a, "values"_a, "chunk_rows"_a,
        "chunk_starts"_a, "chunk_columns"_a, "column_starts"_a, "column_rows"_a, "column_values"_a, "targets"_a,
        "weights"_a, "n_classes"_a, "weight"_a, "bias"_a, "weight_tangent"_a.none(), "bias_tangent"_a.none(),
        "probabilities"_a.none(), "weight_product"_a, "bias_product"_a, "wants_margin"_a, "is_clear"_a = false,
        "threads"_a = 0);
  m.def("sparse_regression_spread", &sparse_regression_spread, "theta"_a, "factor"_a, "shift"_a, "first"_a, "weight"_a,
        "bias"_a, "threads"_a = 0);
  m.def("sparse_regression_gather", &sparse_regression_gather, "by_weight"_a, "by_bias"_a, "theta"_a, "factor"_a,
        "shift"_a, "penalty"_a, "first"_a, "derivative"_a.none(), "threads"_a = 0);
}

}  // namespace softclass
